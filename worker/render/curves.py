"""Small line charts: one number over a few steps, its extremes and ends written beside the points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageDraw

from worker.render.axes import Axis, axis_around, centred, write_ticks
from worker.render.colours import HAIRLINE, INK, MUTED, PAPER, Colour
from worker.render.sheet import TEXT_SIZE, Block, blank
from worker.render.text import fit, number, width, write

_LEFT = 56
_TOP, _BOTTOM = 34, 26
_RADIUS = 4
_MANY = 16  # points that touch each other at full size


@dataclass(frozen=True)
class Curve:
    """One number by step; None where a step has none."""

    title: str
    values: Sequence[float | None]
    colour: Colour
    as_percent: bool = False


def curve_chart(
    curve: Curve, labels: Sequence[str], size: tuple[int, int], *, mark: int | None = None, highest: float = 0.0
) -> Block:
    """Draw a curve in a block of `size`; a broken line stands at the step `mark`; the axis reaches `highest` at least.

    Raises:
        ValueError: A value is not finite.
    """
    block = blank(*size)
    scale = 100.0 if curve.as_percent else 1.0
    known = [(step, scale * value) for step, value in enumerate(curve.values) if value is not None]
    axis = axis_around([scale * highest, *(value for _, value in known)], size[1] - _BOTTOM, _TOP + 16)
    across = Axis(-0.5, len(labels) - 0.5, _LEFT, size[0] - _RADIUS)
    write(block, (0, 0), fit(curve.title, TEXT_SIZE, size[0]), TEXT_SIZE, INK)
    write_ticks(block, axis, _LEFT, size[0], most=4)
    _write_steps(block, across, labels)
    if mark is not None:
        _broken_line(block, across.place(mark))
    points = [(across.place(step), axis.place(value)) for step, value in known]
    _draw_line(block, known, points, curve.colour)
    _write_values(block, known, points, unit=" %" if curve.as_percent else "")
    return block


def _draw_line(
    block: Block, known: Sequence[tuple[int, float]], points: Sequence[tuple[int, int]], colour: Colour
) -> None:
    draw = ImageDraw.Draw(block)
    for (one, start), (other, end) in zip(
        zip(known, points, strict=True), zip(known[1:], points[1:], strict=True), strict=False
    ):
        if other[0] == one[0] + 1:  # a gap stays a gap
            draw.line((*start, *end), fill=MUTED, width=4)
            draw.line((*start, *end), fill=colour, width=2)
    radius = _RADIUS if len(points) <= _MANY else _RADIUS - 2
    for column, row in points:
        box = (column - radius, row - radius, column + radius, row + radius)
        draw.ellipse(box, fill=colour, outline=INK)


def _write_values(
    block: Block, known: Sequence[tuple[int, float]], points: Sequence[tuple[int, int]], *, unit: str
) -> None:
    """Write the highest, lowest, last and first value, where they do not touch."""
    if not known:
        return
    sizes = [value for _, value in known]
    wanted = dict.fromkeys([sizes.index(max(sizes)), sizes.index(min(sizes)), len(known) - 1, 0])
    taken: list[tuple[int, int]] = []
    for at in wanted:
        text = number(sizes[at]) + unit
        half = width(text, TEXT_SIZE) // 2
        if all(points[at][0] + half + 4 < left or points[at][0] - half - 4 > right for left, right in taken):
            left = min(max(points[at][0] - half, _LEFT), block.width - 2 * half)
            top = points[at][1] - 22
            ImageDraw.Draw(block).rectangle((left - 1, top + 1, left + 2 * half + 1, top + 16), fill=PAPER)
            write(block, (left, top), text, TEXT_SIZE, INK)
            taken.append((left, left + 2 * half))


def _write_steps(block: Block, across: Axis, labels: Sequence[str]) -> None:
    stride = -(-len(labels) * (max(width(label, TEXT_SIZE) for label in labels) + 6) // (across.end - across.start))
    for step in range(0, len(labels), stride):
        centred(block, (across.place(step), block.height - 19), labels[step])


def _broken_line(block: Block, column: int) -> None:
    draw = ImageDraw.Draw(block)
    for top in range(_TOP, block.height - _BOTTOM, 8):
        draw.line((column, top, column, top + 3), fill=HAIRLINE, width=2)
