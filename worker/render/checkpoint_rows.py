"""What dynamics.png shows of every checkpoint: its profile, the profile's parts, and what emerged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from jobs.order_profiles import Checkpoint, SignedProfile
from worker.render import small_multiples
from worker.render.arrays import Floats
from worker.render.axes import Axis, centred
from worker.render.colours import MUTED
from worker.render.order_bars import Slots, bars, both_ways, changes, fitted_parts, signed, stacks
from worker.render.sheet import Block
from worker.render.text import number

_PROFILE, _SPLIT, _EMERGED = 140, 110, 96  # heights of the bars

Draw = Callable[[Block, Axis, Slots, Checkpoint], None]


def titles(sequence: Sequence[Checkpoint], steps: Sequence[int], columns: int) -> Block:
    """The checkpoints' numbers and names, and how strong their interactions are together."""
    texts = [
        (f"{step + 1} · {sequence[step].name}", f"strength {number(total_strength(sequence[step]))}") for step in steps
    ]
    return small_multiples.titles(texts, columns)


def profile_row(sequence: Sequence[Checkpoint], steps: Sequence[int], columns: int) -> Block:
    """A^(m)±, as shares of a checkpoint's strength, which grows with how sure of itself a network is."""

    def draw(block: Block, axis: Axis, slots: Slots, checkpoint: Checkpoint) -> None:
        everything, salient = (_shares(checkpoint, signed(part)) for part in _profiles(checkpoint))
        bars(block, axis, slots, everything, start=0.08, end=0.92, pale=True)
        bars(block, axis, slots, salient, start=0.24, end=0.76, pale=False)

    heights = both_ways([_shares(one, signed(part)) for one in sequence for part in _profiles(one)])
    caption = "Strength by order, % of the checkpoint's; up: raises the output; down: lowers it; full colour: salient"
    return _row(sequence, steps, columns, draw, caption=caption, heights=heights, room=_PROFILE)


def split_row(sequence: Sequence[Checkpoint], steps: Sequence[int], columns: int) -> Block:
    """Decay, spindle and residual, as shares of a checkpoint's strength."""

    def draw(block: Block, axis: Axis, slots: Slots, checkpoint: Checkpoint) -> None:
        if checkpoint.orders.disentangled is not None:
            parts = fitted_parts(checkpoint.orders.disentangled)
            stacks(block, axis, slots, _shares(checkpoint, parts), start=0.1, end=0.9)

    splits = [(one, one.orders.disentangled) for one in sequence]
    heights = both_ways(
        [_shares(one, part) for one, split in splits if split for part in fitted_parts(split).cumsum(axis=0)]
    )
    caption = "Of it decay (green) and spindle (hatched), %; with a dot where it is more or less than both: residual"
    return _row(sequence, steps, columns, draw, caption=caption, heights=heights, room=_SPLIT)


def emerged_row(sequence: Sequence[Checkpoint], steps: Sequence[int], columns: int) -> Block:
    """ΔA^(m)±, over Z where every checkpoint has a Z, else in the unit of strength."""
    over_z = all(one.emerged_normalised is not None for one in sequence if one.emerged is not None)

    def emerged(checkpoint: Checkpoint) -> SignedProfile | None:
        return checkpoint.emerged_normalised if over_z else checkpoint.emerged

    def draw(block: Block, axis: Axis, slots: Slots, checkpoint: Checkpoint) -> None:
        difference = emerged(checkpoint)
        if difference is None:
            centred(block, ((slots.left + slots.right) // 2, axis.place(0) - 20), missing, MUTED)
        else:
            changes(block, axis, slots, signed(difference))

    found = [signed(difference) for one in sequence if (difference := emerged(one)) is not None]
    missing = "the reference" if len(found) == len(sequence) - 1 else "not compared"
    unit = ", each over its own salient strength of order 1" if over_z else ""
    caption = f"Salient strength that emerged (up) or went (down){unit}; brown: of positive, blue: of negative"
    heights = np.concatenate(found).ravel().tolist()
    return _row(sequence, steps, columns, draw, caption=caption, heights=heights, room=_EMERGED)


def total_strength(checkpoint: Checkpoint) -> float:
    """Strength of all interactions, of all orders and either sign."""
    return float(signed(checkpoint.orders.all).sum())


def _row(
    sequence: Sequence[Checkpoint],
    steps: Sequence[int],
    columns: int,
    draw: Draw,
    *,
    caption: str,
    heights: Iterable[float],
    room: int,
) -> Block:
    draws = [_of(draw, sequence[step]) for step in steps]
    orders = len(sequence[0].orders.all.positive)
    return small_multiples.row(draws, columns, orders=orders, caption=caption, heights=heights, room=room)


def _of(draw: Draw, checkpoint: Checkpoint) -> small_multiples.Draw:
    return lambda block, axis, slots: draw(block, axis, slots, checkpoint)


def _profiles(checkpoint: Checkpoint) -> tuple[SignedProfile, SignedProfile]:
    return checkpoint.orders.all, checkpoint.orders.salient


def _shares(checkpoint: Checkpoint, values: Floats) -> Floats:
    """In hundredths of the strength of all interactions; 0 where there is none."""
    total = total_strength(checkpoint)
    return 100 * values / total if total else np.zeros_like(values)
