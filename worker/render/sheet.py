"""A picture as a sheet of paper: blocks of one width under each other, with a heading that says what was explained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from jobs.schemas import Explained, Explanation
from worker.render.arrays import Picture
from worker.render.colours import HAIRLINE, INK, MUTED, PAPER
from worker.render.text import fit, number, wrap, write

MARGIN = 20
GAP = 12
TITLE_SIZE = 18
TEXT_SIZE = 13
LINE = 18
NARROWEST = 480
DISPLAY_SIDE = 480

Block = Image.Image


def enlargement(height: int, width: int) -> int:
    """The smallest whole factor at which the longer side is at least `DISPLAY_SIDE` pixels."""
    return -(-DISPLAY_SIDE // max(height, width))


def enlarge(pixels: Picture, factor: int) -> Picture:
    """Make every pixel a square of `factor` by `factor`, so that a reader sees what the model sees."""
    return pixels.repeat(factor, axis=1).repeat(factor, axis=0)  # this order is ten times as fast as the other


def sheet(blocks: Sequence[Block]) -> Picture:
    """Put blocks under each other on paper: `(height, width, 3)`."""
    width = max(NARROWEST, *(block.width for block in blocks)) + 2 * MARGIN
    height = sum(block.height for block in blocks) + GAP * (len(blocks) - 1) + 2 * MARGIN
    paper = Image.new("RGB", (width, height), PAPER)
    top = MARGIN
    for block in blocks:
        paper.paste(block, ((width - block.width) // 2, top))
        top += block.height + GAP
    return np.asarray(paper)


def inner_width(picture_width: int) -> int:
    """Width of headings and legends that go with a picture."""
    return max(NARROWEST, picture_width)


def blank(width: int, height: int) -> Block:
    """Paper with nothing on it."""
    return Image.new("RGB", (width, height), PAPER)


def framed(picture: Picture) -> Block:
    """A picture with a hairline around it."""
    block = Image.fromarray(np.pad(picture, ((1, 1), (1, 1), (0, 0))))
    ImageDraw.Draw(block).rectangle((0, 0, block.width - 1, block.height - 1), outline=HAIRLINE)
    return block


def heading(title: str, explanation: Explanation, width: int) -> Block:
    """Two lines: what the picture shows; method, class and value."""
    block = blank(width, 46)
    write(block, (0, 0), fit(title, TITLE_SIZE, width), TITLE_SIZE, INK)
    write(block, (0, 27), fit(subtitle(explanation), TEXT_SIZE, width), TEXT_SIZE, MUTED)
    return block


def lines(texts: Sequence[str], width: int) -> Block:
    """Muted text; every string begins a line of its own."""
    wrapped = [line for text in texts for line in wrap(text, TEXT_SIZE, width)]
    block = blank(width, LINE * len(wrapped))
    for row, line in enumerate(wrapped):
        write(block, (0, LINE * row), fit(line, TEXT_SIZE, width), TEXT_SIZE, MUTED)
    return block


def subtitle(explanation: Explanation) -> str:
    """`h-sets (paper) · class 281 “tabby” · logit 12.3 · probability 0.97`."""
    explained = explanation.explained
    method = explanation.method + (f" ({explanation.preset})" if explanation.preset else "")
    parts = [method, class_name(explained)]
    if explained.value is not None:
        what = "logit" if explained.against is None else "logit difference"
        parts.append(f"{what} {number(explained.value)}")
    if explained.probability is not None:
        parts.append(f"probability {number(explained.probability)}")
    return " · ".join(parts)


def class_name(explained: Explained) -> str:
    """`class 281 “tabby”`, and what it is compared with."""
    if explained.index is None:
        return "all outputs"
    name = _named(explained.index, explained.label)
    return name if explained.against is None else f"{name} minus {_named(explained.against, explained.against_label)}"


def _named(index: int, label: str | None) -> str:
    return f"class {index}" if label is None or label == str(index) else f"class {index} “{label}”"
