"""A warning that stands above a picture: what is shown is not to be believed."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import ImageDraw

from worker.render.colours import INK, PALETTE
from worker.render.sheet import LINE, TEXT_SIZE, Block, blank
from worker.render.text import wrap, write

_BAR = 6
_LEFT = 14


def warned(text: str | None, width: int) -> Sequence[Block]:
    """Return the warning as a block beside a bar in vermillion; nothing where there is none."""
    if not text:
        return ()
    wrapped = wrap(text, TEXT_SIZE, width - _LEFT)
    block = blank(width, LINE * len(wrapped) + 4)
    ImageDraw.Draw(block).rectangle((0, 0, _BAR - 1, block.height - 1), fill=PALETTE[4])
    for row, line in enumerate(wrapped):
        write(block, (_LEFT, 2 + LINE * row), line, TEXT_SIZE, INK)
    return (block,)
