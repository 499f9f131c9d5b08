"""Where scattered pixels are dense, and the line around it: what makes a set of single pixels a shape to the eye."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from worker.render.arrays import Floats, Masks

# Neighbours are counted so far out on either side: enough to reach the next member at the set's typical distance,
REACH = 1.3
# and, so that the line around a large set is smooth, at least this share of the set's extent,
SMOOTH = 1 / 14
# but at most this share of the picture's longer side.
WIDEST = 1 / 36
# A place is dense from this share of the set's densest place on.
DENSE = 0.22


def density(mask: Masks) -> Floats:
    """Share of member pixels around every pixel: two box windows on each other, near a Gaussian: `(height, width)`."""
    radius = max(1, round(min(_reach(mask), WIDEST * max(mask.shape))))
    values = mask.astype(np.float32)
    for _ in range(2):
        values = _box(_box(values, radius).T, radius).T
    return values


def _reach(mask: Masks) -> float:
    places = np.argwhere(mask)
    if len(places) < 2:
        return 1.0
    # A line of length s, evenly covered, has the standard deviation s / sqrt(12).
    height, width = np.maximum(places.std(axis=0) * math.sqrt(12), 1.0)
    extent = math.sqrt(height * width)
    return max(REACH * extent / math.sqrt(len(places)), SMOOTH * extent)


def dense_area(values: Floats, mask: Masks, factor: int) -> Masks:
    """The dense places at `factor` times the size, with smooth borders; never empty for a set that has members."""
    height, width = values.shape
    fine = Image.fromarray(values).resize((width * factor, height * factor), Image.Resampling.BILINEAR)
    return np.asarray(np.asarray(fine) > DENSE * peak(values, mask))


def peak(values: Floats, mask: Masks) -> float:
    """Density of the densest member; 0 for an empty set."""
    return float(values[mask].max(initial=0.0))


def edge(area: Masks, *, thickness: int = 1) -> Masks:
    """The places within `thickness` of an area's border, on either side."""
    return grown(area, thickness) & ~_shrunk(area, thickness)


def grown(area: Masks, steps: int) -> Masks:
    """Add the four neighbours of every place, `steps` times; what lies outside the picture is empty."""
    for _ in range(steps):
        padded = np.pad(area, 1)
        area = area | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return area


def _shrunk(area: Masks, steps: int) -> Masks:
    return ~grown(~area, steps)


def _box(values: Floats, radius: int) -> Floats:
    """Mean over `2 * radius + 1` rows; rows outside count as empty."""
    sums = np.cumsum(np.pad(values, ((radius + 1, radius), (0, 0))), axis=0, dtype=np.float64)
    return ((sums[2 * radius + 1 :] - sums[: -2 * radius - 1]) / (2 * radius + 1)).astype(np.float32)
