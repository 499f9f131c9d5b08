"""Where scattered pixels are dense, and the line around it: what makes a set of single pixels a shape to the eye."""

from __future__ import annotations

import numpy as np
from PIL import Image

from worker.render.arrays import Floats, Masks

# The window that counts neighbours, as a share of the picture's longer side; about 3 pixels of 32, 13 of 224.
WINDOW = 1 / 18
# A place is dense from this share of the set's densest place on.
DENSE = 0.22


def density(mask: Masks) -> Floats:
    """Share of member pixels around every pixel: two box windows on each other, near a Gaussian: `(height, width)`."""
    radius = max(1, round(max(mask.shape) * WINDOW / 2))
    values = mask.astype(np.float32)
    for _ in range(2):
        values = _box(_box(values, radius).T, radius).T
    return values


def dense_area(values: Floats, mask: Masks, factor: int) -> Masks:
    """The dense places at `factor` times the size, with smooth borders; never empty for a set that has members."""
    height, width = values.shape
    fine = Image.fromarray(values).resize((width * factor, height * factor), Image.Resampling.BILINEAR)
    peak = float(values[mask].max(initial=0.0))
    return np.asarray(np.asarray(fine) > DENSE * peak)


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
