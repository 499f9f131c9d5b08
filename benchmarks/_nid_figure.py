"""Fig. 3 of the NID paper from our networks: bars by averaging function, the two architectures side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageDraw

from benchmarks._rows import RESULTS
from worker.render.axes import axis_around, centred, write_ticks
from worker.render.colours import INK, PALETTE, PAPER
from worker.render.order_bars import filled
from worker.render.png import encode
from worker.render.sheet import TEXT_SIZE, TITLE_SIZE, Block, blank, lines, sheet
from worker.render.text import number, width, write

ROOM, HEIGHT = 760, 320
_LEFT, _TOP, _FOOT = 48, 12, 24
_SIDES = {"MLP": (PALETTE[6], False), "MLP-M": (PALETTE[0], True)}
"""Colour, and whether hatched, so that no reader depends on the colour."""


@dataclass(frozen=True)
class Bar:
    """A mean over trials and its standard deviation."""

    average: str
    architecture: str
    value: float
    deviation: float


def draw_averages(bars: Sequence[Bar], *, of: int, trials: int) -> None:
    """Write `results/nid_averages.png`."""
    title = blank(ROOM, 28)
    write(title, (0, 0), "True interactions ranked before the first false one", TITLE_SIZE, INK)
    notes = (
        f"NID on F1 to F10, {of} true interactions in all; mean of {trials} trials, whiskers: one standard deviation.",
        "Each trial by its network with the lowest validation loss. In the paper (Fig. 3) the minimum is best.",
    )
    picture = sheet([title, _legend(), _chart(bars), lines(notes, ROOM)])
    (RESULTS / "nid_averages.png").write_bytes(encode(picture))


def _chart(bars: Sequence[Bar]) -> Block:
    block = blank(ROOM, HEIGHT)
    axis = axis_around([one.value + one.deviation for one in bars], HEIGHT - _FOOT, _TOP + 16)
    write_ticks(block, axis, _LEFT, ROOM, most=5)
    names = list(dict.fromkeys(one.average for one in bars))
    slot = (ROOM - _LEFT) / len(names)
    for one in bars:
        left = round(_LEFT + slot * (names.index(one.average) + (0.12 if one.architecture == "MLP" else 0.51)))
        colour, hatched = _SIDES[one.architecture]
        right = left + round(0.37 * slot)
        filled(block, (left, axis.place(one.value), right, axis.place(0)), colour, hatched=hatched)
        ends = [axis.place(one.value + side * one.deviation) for side in (-1, 1)]
        _whisker(block, (left + right) // 2, ends)
        _write_above(block, ((left + right) // 2, ends[1] - 18), number(one.value))
    for place, name in enumerate(names):
        centred(block, (round(_LEFT + slot * (place + 0.5)), HEIGHT - _FOOT + 5), name)
    return block


def _write_above(block: Block, place: tuple[int, int], text: str) -> None:
    half = width(text, TEXT_SIZE) // 2 + 2
    ImageDraw.Draw(block).rectangle((place[0] - half, place[1] + 1, place[0] + half, place[1] + 15), fill=PAPER)
    centred(block, place, text, INK)


def _whisker(block: Block, middle: int, ends: Sequence[int]) -> None:
    draw = ImageDraw.Draw(block)
    draw.line((middle, ends[0], middle, ends[1]), fill=INK, width=2)
    for end in ends:
        draw.line((middle - 5, end, middle + 5, end), fill=INK, width=2)


def _legend() -> Block:
    block, left = blank(ROOM, 20), _LEFT
    for name, (colour, hatched) in _SIDES.items():
        filled(block, (left, 2, left + 24, 16), colour, hatched=hatched)
        write(block, (left + 32, 1), name, TEXT_SIZE, INK)
        left += 130
    return block
