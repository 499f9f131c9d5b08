"""dynamics.png: the order profile from checkpoint to checkpoint, what emerged, and the gauges of overfitting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jobs.order_profiles import Checkpoint
from jobs.schemas import Explanation
from worker.render.checkpoint_rows import emerged_row, profile_row, split_row, titles
from worker.render.colours import PALETTE
from worker.render.curves import Curve, curve_chart
from worker.render.order_bars import SPINDLE
from worker.render.png import encode
from worker.render.sheet import Block, blank, heading, lines, sheet
from worker.render.small_multiples import ROOM, columns_for
from worker.render.text import number

MOST_PANELS = 12
_GAP = 10
_CURVE_HEIGHT = 170


def dynamics(explanation: Explanation, sequence: Sequence[Checkpoint]) -> bytes:
    """Draw checkpoints in the order of training, as PNG bytes.

    Raises:
        ValueError: A strength is not finite.
    """
    shown = shown_steps(len(sequence))
    lowest = lowest_step(sequence)
    blocks = [
        heading("How the interactions changed while the model learned", explanation, ROOM),
        *_small_multiples(sequence, shown),
        _gauges(sequence, lowest),
        lines(_notes(explanation, sequence, shown, lowest), ROOM),
    ]
    return encode(sheet(blocks))


def shown_steps(total: int) -> list[int]:
    """The checkpoints that get bars: all, or some from first to last, evenly."""
    return [int(step) for step in np.unique(np.linspace(0, total - 1, MOST_PANELS).round())]


def lowest_step(sequence: Sequence[Checkpoint]) -> int:
    """Where the mean order is lowest: the turn from the first phase of training to the second.

    Without a salient interaction there is no order to be the lowest.
    """
    with_orders = [step for step, checkpoint in enumerate(sequence) if checkpoint.orders.salient_count]
    return min(with_orders, key=lambda step: sequence[step].orders.mean_order, default=len(sequence) - 1)


def _small_multiples(sequence: Sequence[Checkpoint], shown: Sequence[int]) -> list[Block]:
    rows: list[Block] = []
    columns = columns_for(len(shown))
    for start in range(0, len(shown), columns):
        steps = shown[start : start + columns]
        rows += [titles(sequence, steps, columns), profile_row(sequence, steps, columns)]
        if any(checkpoint.orders.disentangled for checkpoint in sequence):
            rows.append(split_row(sequence, steps, columns))
        if any(checkpoint.emerged for checkpoint in sequence):
            rows.append(emerged_row(sequence, steps, columns))
    return rows


def _gauges(sequence: Sequence[Checkpoint], lowest: int) -> Block:
    profiles = [checkpoint.orders for checkpoint in sequence]
    shares = [one.disentangled.spindle_share if one.disentangled else None for one in profiles]
    curves = [
        Curve("Mean order of the salient interactions", [one.mean_order for one in profiles], PALETTE[6]),
        Curve("Number of salient interactions", [one.salient_count for one in profiles], PALETTE[4]),
    ]
    if any(share is not None for share in shares):
        curves.append(Curve("Spindle share", shares, SPINDLE, as_percent=True))
    labels = [str(step + 1) for step in range(len(sequence))]
    size = (ROOM // 3 - 2 * _GAP, _CURVE_HEIGHT)
    return _beside([curve_chart(curve, labels, size, mark=lowest) for curve in curves])


def _beside(blocks: Sequence[Block]) -> Block:
    together = blank(ROOM, _CURVE_HEIGHT)
    for at, block in enumerate(blocks):
        together.paste(block, (at * ROOM // 3 + _GAP, 0))
    return together


def _notes(explanation: Explanation, sequence: Sequence[Checkpoint], shown: Sequence[int], lowest: int) -> list[str]:
    mean = number(sequence[lowest].orders.mean_order)
    notes = [
        f"Strength: {explanation.unit}.",
        f"Broken line: the lowest mean order, {mean} at checkpoint {lowest + 1}. {_phases(len(sequence), lowest)}",
    ]
    if len(shown) < len(sequence):
        notes.append(f"Bars of {len(shown)} of the {len(sequence)} checkpoints; the curves have all of them.")
    return notes


def _phases(steps: int, lowest: int) -> str:
    if lowest == steps - 1:
        return "It is the last: no checkpoint behind it shows interactions of high order coming back."
    if lowest == 0:
        return "It is higher at every later checkpoint."
    return "It is higher behind it: interactions of high order come back, which in the paper goes with overfitting."
