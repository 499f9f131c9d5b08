"""A row as a graph: its features around an oval, a line for each edge that was kept, coloured by its contribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from worker.render.colours import INK, MUTED, PAPER, Colour, of_sign
from worker.render.sheet import TEXT_SIZE, Block, blank
from worker.render.text import fit, width, write

ROOM = 760
_OVAL = 300
_CLOSEST, _WIDEST_APART, _LOW = 20, 44, 220  # pixels between names, and of a graph whose names stand wide apart
_FINER = 3  # lines are drawn so many times as large, then shrunk, which smooths them
_WIDEST = 6.0
_NODE, _RING = 4, 9
PALE_BELOW = 0.15  # of the row's largest contribution
_LINES = 24
MOST_NODES = 60


@dataclass(frozen=True)
class Edge:
    """An edge that was kept, between two places in the row, or one place and itself."""

    first: int
    second: int
    contribution: float


def row_graph(names: Sequence[str], edges: Sequence[Edge]) -> Block:
    """Draw at most the `_LINES` strongest edges between two features, and a ring for each feature alone.

    Raises:
        ValueError: A contribution is not finite.
    """
    if not all(math.isfinite(edge.contribution) for edge in edges):
        raise ValueError("expected finite numbers to draw, got NaN or infinity")
    right = -(-len(names) // 2)
    height = max(_CLOSEST * right, min(_WIDEST_APART * right, _LOW)) + 2 * _RING
    places = _places(len(names), height)
    largest = max((abs(edge.contribution) for edge in edges), default=0.0) or 1.0
    fine = blank(_FINER * ROOM, _FINER * height)
    draw = ImageDraw.Draw(fine)
    for edge in drawn_edges(edges):
        _line(draw, places[edge.first], places[edge.second], edge.contribution / largest)
    alone = {edge.first: edge.contribution / largest for edge in edges if edge.first == edge.second}
    joined = {end for edge in edges for end in (edge.first, edge.second)}
    for at, place in enumerate(places):
        _node(draw, place, alone.get(at), joined=at in joined)
    block = fine.resize((ROOM, height), Image.Resampling.LANCZOS)
    for at, name in enumerate(names):
        _name(block, name, places[at], right=at < right, colour=INK if at in joined else MUTED)
    return block


def strongest_part(names: Sequence[str], edges: Sequence[Edge]) -> tuple[list[str], list[Edge]]:
    """The features with the strongest edges, `MOST_NODES` at most and in the row's order, and the edges among them."""
    reached = dict.fromkeys(end for edge in reversed(_by_strength(edges)) for end in (edge.first, edge.second))
    shown = sorted([*reached, *(at for at in range(len(names)) if at not in reached)][:MOST_NODES])
    place = {at: new for new, at in enumerate(shown)}
    among = [edge for edge in edges if edge.first in place and edge.second in place]
    return [names[at] for at in shown], [Edge(place[e.first], place[e.second], e.contribution) for e in among]


def drawn_edges(edges: Sequence[Edge]) -> list[Edge]:
    """The strongest edges between two features, weakest first, so that the strongest lie on top."""
    between = [edge for edge in edges if edge.first != edge.second and edge.contribution != 0]
    return _by_strength(between)[-_LINES:]


def _by_strength(edges: Sequence[Edge]) -> list[Edge]:
    return sorted(edges, key=lambda edge: abs(edge.contribution))


def _places(features: int, height: int) -> list[tuple[float, float]]:
    """Go clockwise from the top: half of the features down the right side, the others up the left one."""
    right = -(-features // 2)
    sides = [(1, at, right) for at in range(right)]
    sides += [(-1, features - 1 - at, features - right) for at in range(right, features)]
    return [_place(side, at, of, height) for side, at, of in sides]


def _place(side: int, at: int, of: int, height: int) -> tuple[float, float]:
    relative = (2 * at + 1) / of - 1  # from above -1 to below 1, evenly, so that names never touch
    across = side * math.sqrt(1 - (0.97 * relative) ** 2)
    return ROOM / 2 + _OVAL / 2 * across, height / 2 + (height / 2 - _RING - 2) * relative


def _line(draw: ImageDraw.ImageDraw, start: tuple[float, float], end: tuple[float, float], relative: float) -> None:
    thickness = max(1.0, _WIDEST * abs(relative))
    corners = [_FINER * number for place in (start, end) for number in place]
    draw.line(corners, fill=_shade(relative), width=round(_FINER * thickness))


def _shade(relative: float) -> Colour:
    return of_sign(relative, pale=abs(relative) < PALE_BELOW)


def _node(draw: ImageDraw.ImageDraw, place: tuple[float, float], alone: float | None, *, joined: bool) -> None:
    if alone:
        thickness = max(1.0, _WIDEST * abs(alone) * 0.8)
        _disc(draw, place, _RING, fill=PAPER, outline=_shade(alone), thickness=thickness)
    _disc(draw, place, _NODE, fill=INK if joined else PAPER, outline=INK if joined else MUTED, thickness=1)


def _disc(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], radius: float, *, fill: Colour, outline: Colour,
    thickness: float,
) -> None:  # fmt: skip
    x, y, size = _FINER * place[0], _FINER * place[1], _FINER * radius
    draw.ellipse((x - size, y - size, x + size, y + size), fill=fill, outline=outline, width=round(_FINER * thickness))


def _name(block: Block, name: str, place: tuple[float, float], *, right: bool, colour: Colour) -> None:
    away = _RING + 5
    room = round(block.width - place[0] if right else place[0]) - away
    text = fit(name, TEXT_SIZE, room)
    left = round(place[0]) + (away if right else -away - width(text, TEXT_SIZE))
    write(block, (left, round(place[1]) - 8), text, TEXT_SIZE, colour)
