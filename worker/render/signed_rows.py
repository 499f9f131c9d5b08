"""Rows of signed bars, each with a name before it and words behind it, over one axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageDraw

from worker.render.axes import axis_around, centred
from worker.render.colours import HAIRLINE, INK, MUTED, PAPER, of_sign
from worker.render.sheet import TEXT_SIZE, Block, blank
from worker.render.text import fit, number, width, write

_ROW = 22
_HEAD, _FOOT = 6, 24


@dataclass(frozen=True)
class SignedRow:
    """A bar; `hollow` where it sums up what has no row of its own."""

    name: str
    value: float
    words: str
    hollow: bool = False


def signed_rows(rows: Sequence[SignedRow], room: int, *, names: int, words: int) -> Block:
    """Draw the bars in a block of width `room`.

    Args:
        names: Pixels for names, on the left.
        words: Pixels for words, on the right.

    Raises:
        ValueError: A value is not finite.
    """
    bottom = _HEAD + _ROW * len(rows)
    block = blank(room, bottom + _FOOT)
    axis = axis_around([row.value for row in rows], names, room - words)
    draw = ImageDraw.Draw(block)
    for tick in axis.ticks(5):
        draw.line((axis.place(tick), 0, axis.place(tick), bottom), fill=HAIRLINE)
        centred(block, (axis.place(tick), bottom + 4), number(tick))
    for at, row in enumerate(rows):
        top = _HEAD + _ROW * at
        name, text = fit(row.name, TEXT_SIZE, names - 10), fit(row.words, TEXT_SIZE, words - 8)
        write(block, (names - 10 - width(name, TEXT_SIZE), top + 1), name, TEXT_SIZE, MUTED if row.hollow else INK)
        write(block, (room - width(text, TEXT_SIZE), top + 1), text, TEXT_SIZE, MUTED)
        ends = sorted((axis.place(0), axis.place(row.value)))
        colour = of_sign(row.value)
        draw.rectangle(
            (ends[0], top + 3, ends[1], top + 16), fill=PAPER if row.hollow else colour,
            outline=colour if row.hollow else HAIRLINE,
        )  # fmt: skip
    draw.line((axis.place(0), 0, axis.place(0), bottom), fill=INK)
    return block
