"""Axes of charts: numbers to places, and the round numbers that are written beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from PIL import ImageDraw

from worker.render.arrays import Floats
from worker.render.colours import HAIRLINE, INK, MUTED
from worker.render.sheet import TEXT_SIZE, Block
from worker.render.text import number, width, write

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Axis:
    """Numbers from `low` at pixel `start` to `high` at pixel `end`, evenly, or by their logarithm."""

    low: float
    high: float
    start: int
    end: int
    logarithmic: bool = False

    def place(self, value: float) -> int:
        return round(self.start + (self.end - self.start) * self._share(value))

    def ticks(self, most: int = 5) -> list[float]:
        """Round numbers from `low` to `high`, about `most` of them."""
        return _decades(self.low, self.high, most) if self.logarithmic else _round_numbers(self.low, self.high, most)

    def _share(self, value: float) -> float:
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def axis_around(values: Iterable[float], start: int, end: int) -> Axis:
    """An even axis that holds 0 and `values`.

    Raises:
        ValueError: A value is not finite.
    """
    ends = [0.0, *values]
    if not all(math.isfinite(value) for value in ends):
        raise ValueError("expected finite numbers to draw, got NaN or infinity")
    low, high = min(ends), max(ends)
    return Axis(low, high if high > low else low + 1.0, start, end)


def finite(values: Floats) -> Floats:
    """Return `values`.

    Raises:
        ValueError: One is not finite.
    """
    if not all(map(math.isfinite, values.flat)):
        raise ValueError("expected finite numbers to draw, got NaN or infinity")
    return values


def write_ticks(block: Block, axis: Axis, left: int, right: int, *, most: int = 5) -> None:
    """Write a vertical axis's numbers to the left of `left`, each with a hairline to `right`."""
    draw = ImageDraw.Draw(block)
    for tick in axis.ticks(most):
        place, text = axis.place(tick), tick_text(axis, tick)
        draw.line((left, place, right, place), fill=INK if tick == 0 and not axis.logarithmic else HAIRLINE)
        write(block, (left - 8 - width(text, TEXT_SIZE), place - 8), text, TEXT_SIZE, MUTED)


def tick_text(axis: Axis, tick: float) -> str:
    """`0.01`, but `10⁻⁵` on a logarithmic axis."""
    return number(tick).removeprefix("1×") if axis.logarithmic else number(tick)


def centred(block: Block, place: tuple[int, int], text: str, colour: tuple[int, int, int] = MUTED) -> None:
    """Write so that the text's middle is at `place`, as far as the block allows."""
    room = width(text, TEXT_SIZE)
    left = min(max(place[0] - room // 2, 0), max(0, block.width - room))
    write(block, (left, place[1]), text, TEXT_SIZE, colour)


def _round_numbers(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * step for step in _STEPS if power * step >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def _decades(low: float, high: float, most: int) -> list[float]:
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    stride = max(1, -(-(last - first) // most))
    return [10.0**power for power in range(first, last + 1, stride)]
