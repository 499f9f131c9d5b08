"""Colours that mean the same to every reader: two colour maps in equal steps of lightness, and a palette for sets.

The maps are drawn in OKLab, where equal distances look equally different; lightness alone carries the order, so they
survive colour blindness and a grey printer. Source: Ottosson, https://bottosson.github.io/posts/oklab. The palette is
Okabe & Ito's, https://jfly.uni-koeln.de/color.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from worker.render.arrays import Floats, Picture

Colour = tuple[int, int, int]

STEPS = 256

INK = (26, 28, 31)
MUTED = (95, 99, 104)
HAIRLINE = (196, 200, 205)
PAPER = (255, 255, 255)
BLACK = (0, 0, 0)

PALETTE = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # bluish green
    (240, 228, 66),  # yellow
    (213, 94, 0),  # vermillion
    (204, 121, 167),  # reddish purple
    (0, 114, 178),  # blue
)

_LMS_FROM_LAB = np.array(
    [
        [1, 0.3963377774, 0.2158037573],
        [1, -0.1055613458, -0.0638541728],
        [1, -0.0894841775, -1.2914855480],
    ]
)
_RGB_FROM_LMS = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


@cache
def sequential() -> Picture:
    """`(256, 3)`: from dark violet (nothing) over green to light yellow (most)."""
    position = np.linspace(0, 1, STEPS)
    return _from_lightness_chroma_hue(
        lightness=0.24 + 0.70 * position, chroma=0.13 - 0.14 * position + 0.16 * position**2, hue=300 - 193 * position
    )


@cache
def diverging() -> Picture:
    """`(256, 3)`: from blue (most negative) over near white (zero) to red-brown (most positive)."""
    side = np.linspace(-1, 1, STEPS)
    distance = np.abs(side)
    return _from_lightness_chroma_hue(
        lightness=0.97 - 0.52 * distance, chroma=0.145 * distance, hue=np.where(side < 0, 256, 45)
    )


def look_up(position: Floats, colours: Picture) -> Picture:
    """Colour every number in [0, 1] by a colour map: `(…,)` → `(…, 3)`."""
    return np.take(colours, np.rint(position * (len(colours) - 1)).astype(np.intp), axis=0)


def of_set(rank: int) -> Colour:
    """The colour of the set at `rank` (0-based); colours come round after seven, the numbers do not."""
    return PALETTE[rank % len(PALETTE)]


def of_sign(value: float, *, pale: bool = False) -> Colour:
    """Blue for what lowers the output, brown for what raises it: two colours of the diverging map, or pale ones."""
    distance = 100 if pale else 40
    red, green, blue = diverging()[distance if value < 0 else -distance].tolist()
    return red, green, blue


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever reads better on `colour` (relative luminance of WCAG 2, contrast equal at 0.179)."""
    linear = (np.array(colour) / 255) ** 2.2
    return BLACK if linear @ [0.2126, 0.7152, 0.0722] > 0.179 else PAPER


def _from_lightness_chroma_hue(lightness: Floats, chroma: Floats, hue: Floats) -> Picture:
    """OKLCh (hue in degrees) → 8-bit sRGB, cut at the gamut's border."""
    angle = np.deg2rad(hue)
    lab = np.stack([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], axis=-1)
    linear = ((lab @ _LMS_FROM_LAB.T) ** 3 @ _RGB_FROM_LMS.T).clip(0, 1)
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * curve), dtype=np.uint8)
