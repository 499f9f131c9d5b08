"""Spatial priors: the regions of a picture, as labels, that keep sets of pixels together.

Every function returns `(height, width)` int32 labels from 0; a pixel below 0 belongs to no region.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import quickshift as skimage_quickshift
from skimage.segmentation import slic as skimage_slic

Labels: TypeAlias = NDArray[np.int32]
Pixels: TypeAlias = NDArray[np.floating[Any]]
Box = tuple[int, int, int, int]


def quickshift(pixels: Pixels, *, kernel: float, max_distance: float, ratio: float) -> Labels:
    """Segment by climbing to the nearest mode of the density over colour and place.

    Args:
        pixels: `(height, width, 3)` in [0, 1].
        kernel: Width of the density's kernel, in pixels; larger gives fewer regions.
        max_distance: Longest step between two pixels of one region, in the joint space.
        ratio: Weight of colour against place, in [0, 1].
    """
    # A fixed seed: quickshift breaks ties by noise, and the same picture must give the same regions.
    labels = skimage_quickshift(  # type: ignore[no-untyped-call]
        pixels, kernel_size=kernel, max_dist=max_distance, ratio=ratio, convert2lab=True, rng=0
    )  # fmt: skip
    return consecutive(labels)


def slic(pixels: Pixels, *, segments: int) -> Labels:
    """Segment by k-means over colour and place into about `segments` compact regions."""
    return consecutive(skimage_slic(pixels, n_segments=segments, start_label=0, channel_axis=-1))


def grid(height: int, width: int, *, cells: int) -> Labels:
    """Cut into `cells` by `cells` rectangles, as equal as whole pixels allow; fewer where pixels are fewer."""
    rows = np.arange(height) * min(cells, height) // height
    columns = np.arange(width) * min(cells, width) // width
    return consecutive(rows[:, None] * cells + columns)


def whole(height: int, width: int) -> Labels:
    """Take the whole picture as one region."""
    return np.zeros((height, width), dtype=np.int32)


def boxes(regions: Sequence[Box], *, height: int, width: int) -> Labels:
    """Paint boxes (left, top, right, bottom; right and bottom exclusive), later over earlier; no region elsewhere.

    Raises:
        ValueError: A box is empty or reaches out of the picture.
    """
    labels = np.full((height, width), -1, dtype=np.int32)
    for number, (left, top, right, bottom) in enumerate(regions):
        if not (0 <= left < right <= width and 0 <= top < bottom <= height):
            raise ValueError(
                f"expected 0 <= left < right <= {width} and 0 <= top < bottom <= {height}, "
                f"got {[left, top, right, bottom]}"
            )
        labels[top:bottom, left:right] = number
    return consecutive(labels)


def label_map(regions: Sequence[Sequence[int]], *, height: int, width: int) -> Labels:
    """Take labels as the caller gives them, one a pixel; below 0 belongs to no region.

    Raises:
        ValueError: Another shape than the picture's.
    """
    lengths = {len(row) for row in regions}
    if len(regions) != height or lengths != {width}:
        raise ValueError(f"expected {height} rows of {width} labels, got {len(regions)} rows of {sorted(lengths)}")
    return consecutive(np.asarray(regions))


def painted(masks: NDArray[np.bool_], *, height: int, width: int) -> Labels:
    """Paint masks onto one map, small over large; what no mask covers is one more region.

    Args:
        masks: `(n, height, width)`.
    """
    labels = np.zeros((height, width), dtype=np.int32)
    areas = masks.sum(axis=(1, 2))
    for number, index in enumerate(np.argsort(-areas, kind="stable"), start=1):
        labels[masks[index]] = number
    return consecutive(labels)


def consecutive(labels: NDArray[np.integer[Any]]) -> Labels:
    """Renumber the labels from 0 in their order; what is below 0 becomes -1."""
    names = np.unique(labels[labels >= 0])
    renamed = np.searchsorted(names, labels)
    return np.where(labels >= 0, renamed, -1).astype(np.int32)
