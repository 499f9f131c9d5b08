"""One interaction on the picture: its members bright, all else dim, a line around the members."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from worker.render.arrays import Floats, Integers, Masks, Picture
from worker.render.colours import Colour
from worker.render.density import grown

LINE = 3
BROKEN_LINE = 2  # thinner, as neighbours have one each
_DASH = 7
_DIM_FROM, _DIM_RANGE = 70, 90  # greys between which the dim part keeps what little contrast it has
_GRID = 38  # how much lighter the border between two players is


def resized_labels(labels: Integers, side: int) -> Integers:
    """The owner of every pixel, with the longer side `side`; by the nearest pixel, as labels cannot be mixed."""
    rows, columns = (
        np.minimum(((np.arange(size) + 0.5) * length / size).astype(int), length - 1)
        for size, length in zip(_size(labels.shape, side), labels.shape, strict=True)
    )
    return np.asarray(labels[rows[:, None], columns])


def resized_picture(pixels: Floats, side: int) -> Picture:
    """`(height, width, 3)` in [0, 1] to 8 bits, with the longer side `side`; pixels that grow stay squares."""
    image = Image.fromarray((255 * np.asarray(pixels, dtype=np.float64).clip(0, 1)).round().astype(np.uint8))
    height, width = _size(pixels.shape[:2], side)
    grows = max(height, width) >= max(pixels.shape[:2])
    return np.asarray(image.resize((width, height), Image.Resampling.NEAREST if grows else Image.Resampling.BOX))


def spotlight(picture: Picture, owner: Integers, members: Sequence[int], *, colour: Colour, dashed: bool) -> Picture:
    """Draw `picture` with its members bright.

    Args:
        picture: `(height, width, 3)`; owner: `(height, width)`, the player of every pixel, -1 for none.
        dashed: Draw a broken line around every member, as for OR, where each counts alone; else one around all.
    """
    inside = np.isin(owner, members)
    drawn = np.where(inside[..., None], picture, dimmed(picture, owner))
    line = borders(np.where(inside, owner if dashed else 0, -1), BROKEN_LINE if dashed else LINE)
    drawn[grown(line, 1) & inside] = 255
    drawn[line & _dashes(owner.shape) if dashed else line] = colour
    return drawn


def dimmed(picture: Picture, owner: Integers) -> Picture:
    """The picture without colour and nearly without contrast, with the players' borders."""
    luma = picture @ np.array([0.299, 0.587, 0.114]) / 255
    grey = _DIM_FROM + _DIM_RANGE * luma + _GRID * borders(owner, 1)
    return np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=2)


def borders(owner: Integers, thickness: int) -> Masks:
    """The pixels within `thickness` of another owner's or, of a player's own, of the picture's edge."""
    padded = np.pad(owner, 1, constant_values=-1)
    near = np.zeros(owner.shape, dtype=bool)
    for row, column in ((0, 1), (2, 1), (1, 0), (1, 2)):
        neighbour = padded[row : row + owner.shape[0], column : column + owner.shape[1]]
        near |= (neighbour != owner) & (owner >= 0)
    return grown(near, thickness - 1) & (owner >= 0)


def centre(owner: Integers, player: int) -> tuple[int, int] | None:
    """The row and column of the player's pixel that is nearest to the middle of all its pixels; None without any."""
    places = np.argwhere(owner == player)
    if not len(places):
        return None
    row, column = places[np.square(places - places.mean(axis=0)).sum(axis=1).argmin()]
    return int(row), int(column)


def _size(shape: Sequence[int], side: int) -> tuple[int, int]:
    height, width = (max(1, round(length * side / max(shape))) for length in shape)
    return height, width


def _dashes(shape: tuple[int, ...]) -> Masks:
    rows, columns = np.indices(shape)
    return np.asarray((rows + columns) // _DASH % 2 == 0)
