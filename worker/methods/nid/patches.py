"""The fields of a picture: square patches, all channels of a pixel together."""

from __future__ import annotations

from torch import Tensor, nn

from jobs.schemas import Players

MOST_PATCHES = 1024


def smallest_side(height: int, width: int) -> int:
    """Return the side in pixels of the smallest patches of which there are at most `MOST_PATCHES`."""
    return next(
        side for side in range(1, max(height, width) + 1) if _count(height, side) * _count(width, side) <= MOST_PATCHES
    )


def patches(first: Tensor, shape: tuple[int, ...], side: int) -> tuple[Tensor, Players]:
    """Join the numbers of a patch: as independent ones, by the root of the sum of squares.

    Args:
        first: `(units, channels · height · width)`.
        shape: `(channels, height, width)`.
        side: In pixels; patches at the right and lower border may be smaller.

    Returns:
        `(units, patches)`, at least 0, and the patches, row by row.
    """
    channels, height, width = shape
    rows, columns = _count(height, side), _count(width, side)
    squares = first.square().reshape(-1, channels, height, width).sum(1)
    # Zeros beyond the border, so that all patches are whole and a reshape cuts them.
    whole = nn.functional.pad(squares, (0, columns * side - width, 0, rows * side - height))
    joined = whole.reshape(-1, rows, side, columns, side).sum((2, 4)).sqrt().flatten(1)
    noun = "pixel" if side == 1 else "patch"
    names = tuple(f"{noun} {row + 1}, {column + 1}" for row in range(rows) for column in range(columns))
    return joined, Players(kind="patch", shape=(rows, columns), names=names)


def _count(length: int, side: int) -> int:
    return -(-length // side)
