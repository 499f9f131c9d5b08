"""orders.png: how strong the interactions of every order are, and what of it is decay and what is spindle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import ImageDraw

from jobs.order_profiles import Disentangling, OrderProfile
from jobs.schemas import Explanation
from worker.render.arrays import Floats
from worker.render.axes import axis_around, centred, write_ticks
from worker.render.colours import INK, MUTED, of_sign
from worker.render.order_bars import (
    DECAY,
    SPINDLE,
    Slots,
    bars,
    both_ways,
    filled,
    fitted_parts,
    residual_mark,
    signed,
    stacks,
    write_orders,
)
from worker.render.png import encode
from worker.render.sheet import TEXT_SIZE, Block, blank, heading, lines, sheet
from worker.render.text import amount, fit, number, width, write

ROOM = 580
_HEIGHT = 300
_LEFT = 64
_TOP, _BOTTOM = 22, 44  # room above and below the bars


def orders(explanation: Explanation, profile: OrderProfile) -> bytes:
    """Draw A^(m)± of `profile`, as PNG bytes.

    Raises:
        ValueError: A strength is not finite.
    """
    blocks = [
        heading("How many inputs the model combines at once", explanation, ROOM),
        _chart(profile),
        _legend(profile.disentangled is not None),
        lines([*order_notes(explanation.unit, profile), *_averages(inputs(explanation))], ROOM),
    ]
    return encode(sheet(blocks))


def inputs(explanation: Explanation) -> int:
    """How many inputs the order profile is an average over."""
    series = explanation.details.get("series")
    there = series.get("inputs") if isinstance(series, dict) else None
    return there if isinstance(there, int) else 1


def _averages(inputs: int) -> list[str]:
    return [f"Averages over {inputs} inputs; the line below the title is about the first."] if inputs > 1 else []


def _chart(profile: OrderProfile) -> Block:
    everything, salient = signed(profile.all), signed(profile.salient)
    parts = None if profile.disentangled is None else fitted_parts(profile.disentangled)
    block = blank(ROOM, _HEIGHT)
    axis = axis_around(_extremes(everything, salient, parts), _HEIGHT - _BOTTOM, _TOP)
    slots = Slots(_LEFT + 4, ROOM, everything.shape[1])
    write_ticks(block, axis, _LEFT, ROOM)
    end = 0.88 if parts is None else 0.5
    bars(block, axis, slots, everything, start=0.12, end=end, pale=True)
    inset = 0.2 * (end - 0.12)
    bars(block, axis, slots, salient, start=0.12 + inset, end=end - inset, pale=False)
    if parts is not None:
        stacks(block, axis, slots, parts, start=0.53, end=0.88)
    ImageDraw.Draw(block).line((_LEFT, axis.place(0), ROOM, axis.place(0)), fill=INK)
    _write_axes(block, slots)
    return block


def _extremes(everything: Floats, salient: Floats, parts: Floats | None) -> list[float]:
    """What the axis must hold, downwards negative."""
    tops = [everything, salient] if parts is None else [everything, salient, *np.cumsum(parts, axis=0)]
    return both_ways(tops)


def _write_axes(block: Block, slots: Slots) -> None:
    write(block, (_LEFT + 4, 0), "↑ raises the output", TEXT_SIZE, MUTED)
    write(block, (_LEFT + 4, _HEIGHT - 19), "↓ lowers it", TEXT_SIZE, MUTED)
    write_orders(block, slots, _HEIGHT - _BOTTOM + 5)
    centred(block, ((slots.left + slots.right) // 2, _HEIGHT - 19), "order: how many inputs take part")


def _legend(is_split: bool) -> Block:
    """A row of samples with words."""
    block = blank(ROOM, 22)
    entries: list[tuple[str, Callable[[Block, int], None]]] = [
        ("all interactions", lambda block, left: _sample(block, left, pale=True)),
        ("the salient ones", lambda block, left: _sample(block, left, pale=False)),
    ]
    if is_split:
        entries += [
            ("decay", lambda block, left: filled(block, (left, 3, left + 22, 17), DECAY)),
            ("spindle", lambda block, left: filled(block, (left, 3, left + 22, 17), SPINDLE, hatched=True)),
            ("residual", lambda block, left: residual_mark(block, left + 11, (17, 5))),
        ]
    left = 0
    for text, sample in entries:
        sample(block, left)
        write(block, (left + 29, 2), text, TEXT_SIZE, INK)
        left += 29 + width(text, TEXT_SIZE) + 16
    return block


def _sample(block: Block, left: int, *, pale: bool) -> None:
    draw = ImageDraw.Draw(block)
    for side, sign in ((0, 1), (12, -1)):
        outline = of_sign(sign) if pale else None
        draw.rectangle((left + side, 3, left + side + 10, 17), fill=of_sign(sign, pale=pale), outline=outline)


def order_notes(unit: str, profile: OrderProfile) -> list[str]:
    """What a reader must know to read the bars."""
    notes = [
        f"Strength, added up over the interactions of an order: {unit}.",
        f"Salient, stronger than {number(profile.threshold)}: {amount(profile.salient_count)}; "
        f"their mean order, weighted by strength: {number(profile.mean_order)}.",
    ]
    return notes if profile.disentangled is None else [*notes, *_about_split(profile.disentangled)]


def _about_split(split: Disentangling) -> list[str]:
    source = "this model's own interactions" if split.mode == "self" else "a later checkpoint's interactions"
    notes = [
        "Decay-shaped strength is of the kind that generalizes, spindle-shaped strength is of the kind that noise has; "
        f"the residual is neither. Spindle share {percent(split.spindle_share)}, residual {percent(split.error)} of "
        "the whole.",
        f"The decay starts from {source} (mode {split.mode}), with δ={number(split.delta)}, "
        f"α={number(split.alpha)}, β={number(split.beta)}, γ={number(split.gamma)}.",
    ]
    if split.sensitivity:
        shares = [fit.spindle_share for fit in split.sensitivity]
        deltas = [fit.delta for fit in split.sensitivity]
        notes.append(
            f"For δ from {number(min(deltas))} to {number(max(deltas))} the spindle share would run from "
            f"{percent(min(shares))} to {percent(max(shares))}."
        )
    return notes


def percent(share: float) -> str:
    """`8.5 %`."""
    return f"{fit(number(100 * share), TEXT_SIZE, 120)} %"
