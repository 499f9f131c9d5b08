"""Rows of small bar charts by order, all charts of a row on one scale."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from PIL import ImageDraw

from worker.render.axes import Axis, axis_around, write_ticks
from worker.render.colours import INK, MUTED
from worker.render.order_bars import Slots, write_orders
from worker.render.sheet import TEXT_SIZE, Block, blank
from worker.render.text import fit, write

ROOM = 1020
MOST_COLUMNS = 6
_LEFT = 56
_GAP = 12
_CAPTION, _FOOT = 24, 22

Draw = Callable[[Block, Axis, Slots], None]


def columns_for(panels: int) -> int:
    """How many panels stand beside each other, so that all rows are about equally full."""
    return -(-panels // -(-panels // MOST_COLUMNS))


def titles(texts: Sequence[tuple[str, str]], columns: int) -> Block:
    """Two lines over every panel."""
    block = blank(ROOM, 38)
    for column, (name, remark) in enumerate(texts):
        left, right = _column(column, columns)
        write(block, (left, 0), fit(name, TEXT_SIZE, right - left), TEXT_SIZE, INK)
        write(block, (left, 19), fit(remark, TEXT_SIZE, right - left), TEXT_SIZE, MUTED)
    return block


def row(
    draws: Sequence[Draw], columns: int, *, orders: int, caption: str, heights: Iterable[float], room: int
) -> Block:
    """Draw panels beside each other.

    Args:
        draws: What draws the bars of a panel.
        orders: The highest order.
        heights: What the scale must hold, in all rows of this kind.
        room: Height of the bars, in pixels.
    """
    block = blank(ROOM, _CAPTION + room + _FOOT)
    write(block, (_LEFT, 0), fit(caption, TEXT_SIZE, ROOM - _LEFT), TEXT_SIZE, MUTED)
    axis = axis_around(heights, _CAPTION + room, _CAPTION + 4)
    write_ticks(block, axis, _LEFT, _column(len(draws) - 1, columns)[1], most=6)
    for column, draw in enumerate(draws):
        slots = Slots(*_column(column, columns), orders)
        draw(block, axis, slots)
        ImageDraw.Draw(block).line((slots.left, axis.place(0), slots.right, axis.place(0)), fill=INK)
        write_orders(block, slots, block.height - _FOOT + 3)
    return block


def _column(column: int, columns: int) -> tuple[int, int]:
    size = (ROOM - _LEFT) / columns
    return round(_LEFT + column * size), round(_LEFT + (column + 1) * size - _GAP)
