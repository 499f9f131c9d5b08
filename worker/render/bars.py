"""Bar charts for inputs that are a list of features: one bar a feature, or one a set of features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import ImageDraw

from jobs.schemas import Explanation, Interaction
from worker.render.colours import HAIRLINE, INK, MUTED, of_sign
from worker.render.png import encode
from worker.render.sheet import TEXT_SIZE, Block, blank, heading, lines, sheet
from worker.render.text import count, fit, width, with_error, write

MOST_BARS = 25
ROOM = 640
_ROW = 24
_NAMES = 210
_NUMBERS = 130


@dataclass(frozen=True)
class Bar:
    """One row of a chart."""

    name: str
    value: float
    error: float | None = None


def feature_bars(explanation: Explanation) -> bytes:
    """The features with the largest attributions, as PNG bytes."""
    values = np.asarray(explanation.arrays["attribution"], dtype=np.float64)
    names = feature_names(explanation)
    bars = [Bar(names[index], float(values[index])) for index in np.argsort(-np.abs(values), kind="stable")]
    return _chart("What each feature contributes", explanation, bars, "feature")


def set_bars(explanation: Explanation) -> bytes:
    """The strongest sets of features, as PNG bytes."""
    names = feature_names(explanation)
    bars = [_bar_of(interaction, names) for interaction in explanation.interactions]
    bars.sort(key=lambda bar: -abs(bar.value))
    return _chart("The sets of features that the model combines", explanation, bars, "set")


def feature_names(explanation: Explanation) -> Sequence[str]:
    """The players' names, or their numbers."""
    return explanation.players.names or [f"feature {index}" for index in range(int(np.prod(explanation.players.shape)))]


def _bar_of(interaction: Interaction, names: Sequence[str]) -> Bar:
    name = " × ".join(names[member] for member in interaction.members)
    return Bar(name, interaction.strength, interaction.standard_error)


def _chart(title: str, explanation: Explanation, bars: Sequence[Bar], noun: str) -> bytes:
    shown = bars[:MOST_BARS]
    notes = [f"Unit: {explanation.unit}"]
    if len(bars) > len(shown):
        notes.append(f"The {len(shown)} largest of {count(len(bars), noun)}")
    blocks = [heading(title, explanation, ROOM), _rows(shown), lines(notes, ROOM)]
    return encode(sheet(blocks))


def _rows(bars: Sequence[Bar]) -> Block:
    block = blank(ROOM, max(1, _ROW * len(bars)))
    low, high = _limits(bars)
    zero = _place(0.0, low, high)
    draw = ImageDraw.Draw(block)
    for row, bar in enumerate(bars):
        _write_row(block, _ROW * row, bar)
        _draw_bar(draw, _ROW * row + 4, bar, zero, _place(bar.value, low, high))
        _draw_error(draw, _ROW * row + 11, bar, low, high)
    draw.line((zero, 0, zero, block.height), fill=INK)
    return block


def _limits(bars: Sequence[Bar]) -> tuple[float, float]:
    ends = [bar.value + side * (bar.error or 0.0) for bar in bars for side in (-1, 1)]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    return (low, high) if high > low else (0.0, 1.0)


def _place(value: float, low: float, high: float) -> int:
    return round(_NAMES + (ROOM - _NAMES - _NUMBERS) * (value - low) / (high - low))


def _write_row(block: Block, top: int, bar: Bar) -> None:
    name = fit(bar.name, TEXT_SIZE, _NAMES - 12)
    write(block, (_NAMES - 12 - width(name, TEXT_SIZE), top + 3), name, TEXT_SIZE, INK)
    text = fit(with_error(bar.value, bar.error), TEXT_SIZE, _NUMBERS - 8)
    write(block, (ROOM - width(text, TEXT_SIZE), top + 3), text, TEXT_SIZE, MUTED)


def _draw_bar(draw: ImageDraw.ImageDraw, top: int, bar: Bar, zero: int, end: int) -> None:
    draw.rectangle((min(zero, end), top, max(zero, end), top + 14), fill=of_sign(bar.value), outline=HAIRLINE)


def _draw_error(draw: ImageDraw.ImageDraw, middle: int, bar: Bar, low: float, high: float) -> None:
    if bar.error:
        start, end = (_place(bar.value + side * bar.error, low, high) for side in (-1, 1))
        draw.line((start, middle, end, middle), fill=INK)
        for place in (start, end):
            draw.line((place, middle - 3, place, middle + 3), fill=INK)
