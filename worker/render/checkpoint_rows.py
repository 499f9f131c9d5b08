"""Small multiples: one panel a checkpoint, all panels of a row on one scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import ImageDraw

from jobs.order_profiles import Checkpoint, SignedProfile
from worker.render.arrays import Floats
from worker.render.axes import Axis, axis_around, centred, write_ticks
from worker.render.colours import INK, MUTED
from worker.render.order_bars import SIGNS, Slots, bars, changes, fitted_parts, signed, stacks, write_orders
from worker.render.sheet import TEXT_SIZE, Block, blank
from worker.render.text import fit, number, write

ROOM = 1020
_LEFT = 56
_GAP = 12
_CAPTION, _FOOT = 24, 22
_PROFILE, _SPLIT, _EMERGED = 140, 110, 96  # heights of the bars

Draw = Callable[[Block, Axis, Slots, Checkpoint], None]


def titles(sequence: Sequence[Checkpoint], steps: Sequence[int], columns: int) -> Block:
    """The checkpoints' numbers and names, and how strong their interactions are together."""
    block = blank(ROOM, 38)
    for column, step in enumerate(steps):
        left, right = _column(column, columns)
        name = fit(f"{step + 1} · {sequence[step].name}", TEXT_SIZE, right - left)
        total = fit(f"strength {number(_total(sequence[step]))}", TEXT_SIZE, right - left)
        write(block, (left, 0), name, TEXT_SIZE, INK)
        write(block, (left, 19), total, TEXT_SIZE, MUTED)
    return block


def profile_row(sequence: Sequence[Checkpoint], steps: Sequence[int], columns: int) -> Block:
    """A^(m)±, as shares of a checkpoint's strength, which grows with how sure of itself a network is."""

    def draw(block: Block, axis: Axis, slots: Slots, checkpoint: Checkpoint) -> None:
        everything, salient = (_shares(checkpoint, signed(part)) for part in _profiles(checkpoint))
        bars(block, axis, slots, everything, start=0.08, end=0.92, pale=True)
        bars(block, axis, slots, salient, start=0.24, end=0.76, pale=False)

    heights = [_shares(one, signed(part)) for one in sequence for part in _profiles(one)]
    caption = "Strength by order, % of the checkpoint's; up: raises the output; down: lowers it; full colour: salient"
    return _row(sequence, steps, columns, caption, draw, _both_ways(heights), _PROFILE)


def split_row(sequence: Sequence[Checkpoint], steps: Sequence[int], columns: int) -> Block:
    """Decay, spindle and residual, as shares of a checkpoint's strength."""

    def draw(block: Block, axis: Axis, slots: Slots, checkpoint: Checkpoint) -> None:
        if checkpoint.orders.disentangled is not None:
            parts = fitted_parts(checkpoint.orders.disentangled)
            stacks(block, axis, slots, _shares(checkpoint, parts), start=0.1, end=0.9)

    splits = [(one, one.orders.disentangled) for one in sequence]
    heights = [_shares(one, part) for one, split in splits if split for part in fitted_parts(split).cumsum(axis=0)]
    caption = "Of it decay (green) and spindle (hatched), %; with a dot where it is more or less than both: residual"
    return _row(sequence, steps, columns, caption, draw, _both_ways(heights), _SPLIT)


def emerged_row(sequence: Sequence[Checkpoint], steps: Sequence[int], columns: int) -> Block:
    """ΔA^(m)±, over Z where every checkpoint has a Z, else in the unit of strength."""
    changed = [one for one in sequence if one.emerged is not None]
    over_z = all(one.emerged_normalised is not None for one in changed)
    found = {one.model: one.emerged_normalised if over_z else one.emerged for one in changed}

    def draw(block: Block, axis: Axis, slots: Slots, checkpoint: Checkpoint) -> None:
        emerged = found.get(checkpoint.model)
        if emerged is None:
            centred(block, ((slots.left + slots.right) // 2, axis.place(0) - 20), "the reference", MUTED)
        else:
            changes(block, axis, slots, signed(emerged))

    heights = np.concatenate([signed(emerged) for emerged in found.values() if emerged is not None])
    unit = ", each over its own salient strength of order 1" if over_z else ""
    caption = f"Salient strength that emerged (up) or went (down){unit}; brown: of positive, blue: of negative"
    return _row(sequence, steps, columns, caption, draw, heights, _EMERGED)


def _row(
    sequence: Sequence[Checkpoint],
    steps: Sequence[int],
    columns: int,
    caption: str,
    draw: Draw,
    heights: Floats,
    room: int,
) -> Block:
    block = blank(ROOM, _CAPTION + room + _FOOT)
    write(block, (_LEFT, 0), fit(caption, TEXT_SIZE, ROOM - _LEFT), TEXT_SIZE, MUTED)
    axis = axis_around(heights.ravel().tolist(), _CAPTION + room, _CAPTION + 4)
    write_ticks(block, axis, _LEFT, _column(len(steps) - 1, columns)[1], most=6)
    for column, step in enumerate(steps):
        left, right = _column(column, columns)
        slots = Slots(left, right, len(sequence[step].orders.all.positive))
        draw(block, axis, slots, sequence[step])
        ImageDraw.Draw(block).line((left, axis.place(0), right, axis.place(0)), fill=INK)
        write_orders(block, slots, block.height - _FOOT + 3)
    return block


def _profiles(checkpoint: Checkpoint) -> tuple[SignedProfile, SignedProfile]:
    return checkpoint.orders.all, checkpoint.orders.salient


def _both_ways(profiles: Sequence[Floats]) -> Floats:
    """What an axis must hold where negative strength points down."""
    return np.concatenate([sign * profile[side] for profile in profiles for side, sign in enumerate(SIGNS)])


def _total(checkpoint: Checkpoint) -> float:
    return float(signed(checkpoint.orders.all).sum())


def _shares(checkpoint: Checkpoint, values: Floats) -> Floats:
    """In hundredths of the strength of all interactions; 0 where there is none."""
    total = _total(checkpoint)
    return 100 * values / total if total else np.zeros_like(values)


def _column(column: int, columns: int) -> tuple[int, int]:
    size = (ROOM - _LEFT) / columns
    return round(_LEFT + column * size), round(_LEFT + (column + 1) * size - _GAP)
