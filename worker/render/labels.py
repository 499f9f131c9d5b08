"""Labels beside the sets: rank and score in the set's colour, hiding few members and never each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw

from worker.render import colours
from worker.render.arrays import Integers, Masks, Picture
from worker.render.colours import Colour
from worker.render.text import number, width, write

HEIGHT = 22
TEXT_SIZE = 14
_GRID = 6  # pixels between the places that are tried
_SPACING = 4
_PADDING = 7
# Hiding pixels of weight 1 under all of a label costs as much as moving it so many pixels away.
_COST_OF_HIDING = 130.0
# Above every sum of the others: labels overlap only where the picture has no room left.
_COST_OF_COLLISION = 1e6


Place: TypeAlias = tuple[int, int]  # row and column in the enlarged picture


@dataclass(frozen=True)
class Label:
    """A label's text and its rectangle's top left corner and width, in pixels of the picture."""

    text: str
    left: int
    top: int
    width: int


def place_labels(picture: Picture, anchors: Sequence[Place], labels: Sequence[Label]) -> Picture:
    """Draw labels, each with a line to its set's anchor, in the colours of the ranks."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    for rank, (label, anchor) in enumerate(zip(labels, anchors, strict=True)):
        _draw_leader(draw, label, anchor, colours.of_set(rank))
    for rank, label in enumerate(labels):
        _draw_label(image, draw, label, colours.of_set(rank))
    return np.asarray(image)


def arrange(weight: Integers, anchors: Sequence[Place], strengths: Sequence[float], factor: int) -> list[Label]:
    """Find a place for every label `rank score`.

    Args:
        weight: `(height, width)`: how much every pixel should stay visible, 0 to 2.
        anchors: In the enlarged picture, where each label wants to be.
    """
    hidden = np.pad(weight, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)  # integral image
    labels: list[Label] = []
    for rank, (anchor, strength) in enumerate(zip(anchors, strengths, strict=True)):
        labels.append(_best_place(f"{rank + 1}  {number(strength)}", anchor, hidden, labels, factor))
    return labels


def _best_place(text: str, anchor: Place, hidden: Integers, placed: Sequence[Label], factor: int) -> Label:
    label_width = width(text, TEXT_SIZE) + 2 * _PADDING
    height_of_picture, width_of_picture = (factor * (side - 1) for side in hidden.shape)
    tops = np.arange(2, max(3, height_of_picture - HEIGHT - 2), _GRID)
    lefts = np.arange(2, max(3, width_of_picture - label_width - 2), _GRID)
    away = np.hypot(tops[:, None] + HEIGHT / 2 - anchor[0], lefts[None] + label_width / 2 - anchor[1])
    hiding = _inside(hidden, tops // factor, lefts // factor, -(-HEIGHT // factor), -(-label_width // factor))
    cost = away + _COST_OF_HIDING * hiding * factor**2 / (HEIGHT * label_width)
    for other in placed:
        cost[_collides(tops, lefts, label_width, other)] += _COST_OF_COLLISION
    row, column = np.unravel_index(cost.argmin(), cost.shape)
    return Label(text, int(lefts[column]), int(tops[row]), label_width)


def _collides(tops: Integers, lefts: Integers, label_width: int, other: Label) -> Masks:
    """Whether a label at every pair of a top and a left would touch `other`: `(tops, lefts)`."""
    above_or_below = np.abs(tops - other.top) >= HEIGHT + _SPACING
    beside = (lefts >= other.left + other.width + _SPACING) | (lefts + label_width + _SPACING <= other.left)
    return np.logical_not(above_or_below[:, None] | beside[None])


def _inside(integral: Integers, tops: Integers, lefts: Integers, height: int, width: int) -> Integers:
    """Sums over the rectangles at every pair of a top and a left: `(tops, lefts)`."""
    bottoms = np.minimum(tops + height, integral.shape[0] - 1)
    rights = np.minimum(lefts + width, integral.shape[1] - 1)
    rows = integral[bottoms] - integral[tops]
    return np.asarray(rows[:, rights] - rows[:, lefts])


def _draw_leader(draw: ImageDraw.ImageDraw, label: Label, anchor: Place, colour: tuple[int, int, int]) -> None:
    row, column = anchor
    start = (label.left + label.width // 2, label.top + HEIGHT // 2)
    for line, thickness in (((0, 0, 0), 4), (colour, 2)):
        draw.line((*start, column, row), fill=line, width=thickness)
        radius = thickness + 1
        draw.ellipse((column - radius, row - radius, column + radius, row + radius), fill=line)


def _draw_label(image: Image.Image, draw: ImageDraw.ImageDraw, label: Label, colour: Colour) -> None:
    box = (label.left, label.top, label.left + label.width - 1, label.top + HEIGHT - 1)
    draw.rounded_rectangle(box, radius=5, fill=colour, outline=(0, 0, 0))
    write(image, (label.left + _PADDING, label.top + 2), label.text, TEXT_SIZE, colours.ink_on(colour))
