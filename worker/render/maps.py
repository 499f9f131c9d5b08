"""saliency.png and overlay.png: the attribution of every pixel, alone and over the photograph."""

from __future__ import annotations

import numpy as np

from jobs.schemas import Explanation
from worker.render.arrays import Floats, Picture
from worker.render.png import encode
from worker.render.scales import Scale, blend, colour_bar, per_pixel, scale_of
from worker.render.sheet import enlarge, enlargement, framed, heading, inner_width, lines, sheet
from worker.render.text import number

_MID_GREY = np.full(3, 118, np.uint8)


def saliency(explanation: Explanation) -> bytes:
    """The map alone, as PNG bytes."""
    values = per_pixel(explanation.arrays["attribution"])
    scale = scale_of(values)
    picture = framed(enlarge(scale.colour(values), enlargement(*values.shape)))
    width = inner_width(picture.width)
    title = heading(_title(scale), explanation, width)
    return encode(sheet([title, picture, colour_bar(scale, width), lines(_reading(explanation, scale), width)]))


def overlay(explanation: Explanation, pixels: Floats) -> bytes:
    """The map over the photograph in grey, as PNG bytes."""
    values = per_pixel(explanation.arrays["attribution"])
    scale = scale_of(values)
    picture = framed(enlarge(blend(grey(pixels), scale, values), enlargement(*values.shape)))
    width = inner_width(picture.width)
    title = heading(f"{_title(scale)}, over the picture", explanation, width)
    bar = colour_bar(scale, width, over=_MID_GREY)
    return encode(sheet([title, picture, bar, lines(_reading(explanation, scale), width)]))


def grey(pixels: Floats) -> Picture:
    """The photograph without colour and a little flattened, `(height, width, 3)`, so that colours on it stand out."""
    luma = np.asarray(pixels, dtype=np.float64) @ [0.299, 0.587, 0.114]
    flat = np.asarray(np.rint(25 + 185 * luma.clip(0, 1)), dtype=np.uint8)
    return np.repeat(flat[..., None], 3, axis=2)


def _title(scale: Scale) -> str:
    return "What each pixel contributes" if scale.signed else "How much each pixel matters"


def _reading(explanation: Explanation, scale: Scale) -> list[str]:
    channels = explanation.arrays["attribution"].shape[0]
    parts = ["blue lowers the output, brown raises it"] if scale.signed else []
    if channels > 1:
        parts.append(f"{'signed ' if scale.signed else ''}sum over {channels} channels")
    if scale.saturates:
        parts.append(f"largest {number(scale.largest)}")
    if not scale.cap:
        parts.append("every value is 0")
    return [f"Unit: {explanation.unit}", "; ".join(parts)]
