"""Fig. 5 of the paper from our networks: SIGN's AUC over the share of edges that it has, by what the edges are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageDraw

from benchmarks._rows import RESULTS
from worker.render.axes import Axis, centred, write_ticks
from worker.render.colours import INK, PALETTE, Colour
from worker.render.png import encode
from worker.render.sheet import TEXT_SIZE, TITLE_SIZE, Block, blank, lines, sheet
from worker.render.text import width, write

ROOM, HEIGHT = 760, 340
_LEFT, _TOP, _FOOT, _RIGHT = 64, 12, 44, 190
_GROUPS: dict[str, tuple[Colour, str]] = {
    "kept": (PALETTE[6], "edges that L0-SIGN kept"),
    "reversed": (PALETTE[4], "edges that it left out"),
    "random": (PALETTE[2], "as many as kept, by lot"),
}


@dataclass(frozen=True)
class Point:
    """SIGN's AUC on one set of edges: a mean over seeds and its standard deviation."""

    group: str
    share: float
    auc: float
    deviation: float


def draw_edges(points: Sequence[Point], *, seeds: int) -> None:
    """Write `results/l0_sign_edges.png`."""
    title = blank(ROOM, 28)
    write(title, (0, 0), "SIGN on the edges that L0-SIGN kept, and on the others", TITLE_SIZE, INK)
    notes = (
        f"twitter_graph, test rows; mean of {seeds} seeds, whiskers: one standard deviation.",
        "Points of a group: a part of its pairs drawn by lot, up to all of them.",
    )
    picture = sheet([title, _chart(points), lines(notes, ROOM)])
    (RESULTS / "l0_sign_edges.png").write_bytes(encode(picture))


def _chart(points: Sequence[Point]) -> Block:
    block = blank(ROOM, HEIGHT)
    low, high = min(one.auc - one.deviation for one in points), max(one.auc + one.deviation for one in points)
    margin = 0.05 * (high - low) or 0.01
    axis = Axis(low - margin, high + margin, HEIGHT - _FOOT, _TOP)
    across = Axis(0.0, 1.0, _LEFT, ROOM - _RIGHT)
    write_ticks(block, axis, _LEFT, ROOM - _RIGHT)
    write(block, (0, 0), "AUC", TEXT_SIZE, INK)
    for tick in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        centred(block, (across.place(tick), HEIGHT - _FOOT + 6), f"{tick:.0%}")
    centred(block, ((across.start + across.end) // 2, HEIGHT - 18), "share of all edges", INK)
    taken: list[int] = []
    for group, (colour, name) in _GROUPS.items():
        if of := sorted((one for one in points if one.group == group), key=lambda one: one.share):
            _series(block, [((across.place(one.share)), one) for one in of], axis, colour)
            _name(block, name, axis.place(of[-1].auc), colour, taken)
    return block


def _series(block: Block, points: Sequence[tuple[int, Point]], axis: Axis, colour: Colour) -> None:
    draw = ImageDraw.Draw(block)
    places = [(left, axis.place(one.auc)) for left, one in points]
    if len(places) > 1:
        draw.line(places, fill=colour, width=2)
    for (left, middle), (_, one) in zip(places, points, strict=True):
        ends = [axis.place(one.auc + side * one.deviation) for side in (-1, 1)]
        draw.line((left, ends[0], left, ends[1]), fill=colour, width=2)
        draw.ellipse((left - 4, middle - 4, left + 4, middle + 4), fill=colour)


def _name(block: Block, name: str, place: int, colour: Colour, taken: list[int]) -> None:
    """Write a series' name to the right, a line away from those that stand there."""
    place = min(max(place - 8, 0), HEIGHT - _FOOT - 16)
    while any(abs(place - one) < 18 for one in taken):
        place += 18
    taken.append(place)
    left = ROOM - _RIGHT + 10
    ImageDraw.Draw(block).rectangle((left, place + 5, left + 8, place + 13), fill=colour)
    assert left + 14 + width(name, TEXT_SIZE) <= ROOM, f"{name!r} does not fit"
    write(block, (left + 14, place), name, TEXT_SIZE, INK)
