"""From attributions to colours: one number a pixel, one scale for all of them, one bar that tells how to read it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from worker.render import colours
from worker.render.arrays import Floats, Picture
from worker.render.colours import HAIRLINE, INK
from worker.render.sheet import TEXT_SIZE, Block, blank
from worker.render.text import number, width, write

# A handful of pixels often dwarfs the rest: what lies above this percentile shares the last colour; the bar says so.
CAP_PERCENTILE = 99.5
# No cap where it would hide little: a largest value up to this many times the cap is shown in full.
CAP_TOLERANCE = 1.5
TICKS = 5


@dataclass(frozen=True)
class Scale:
    """How numbers become colours.

    Attributes:
        signed: Numbers run from -`cap` to `cap` (else from 0), zero is the colour map's middle.
        cap: The largest magnitude with a colour of its own; 0 where every number is 0.
        largest: The largest magnitude there is; above `cap`, colours saturate.
    """

    signed: bool
    cap: float
    largest: float

    @property
    def saturates(self) -> bool:
        return self.largest > self.cap

    def position(self, values: Floats) -> Floats:
        """Place numbers in [0, 1] along the colour map."""
        relative = (values / (self.cap or 1.0)).clip(-1, 1)
        return (relative + 1) / 2 if self.signed else relative.clip(0, 1)

    def colour(self, values: Floats) -> Picture:
        """`(…,)` numbers → `(…, 3)` colours."""
        return colours.look_up(self.position(values), self.colour_map())

    def colour_map(self) -> Picture:
        return colours.diverging() if self.signed else colours.sequential()

    def opacity(self, values: Floats) -> Floats:
        """How much of the photograph the map hides: nothing where it is 0, most of it from half the cap on."""
        return 0.95 * (2 * self._magnitude(values)).clip(0, 1) ** 0.75

    def colour_over(self, values: Floats) -> Picture:
        """As `colour`, without the pale or dark part around zero, which `opacity` stands for on a photograph."""
        magnitude = 0.35 + 0.65 * self._magnitude(values)
        side = np.where(values < 0, -1, 1) if self.signed else 1
        return self.colour(side * magnitude * (self.cap or 1.0))

    def _magnitude(self, values: Floats) -> Floats:
        return np.clip(np.abs(values) / (self.cap or 1.0), 0, 1)


def per_pixel(attribution: Floats) -> Floats:
    """Sum `(channels, height, width)` over the channels, keeping signs."""
    return np.asarray(np.sum(attribution, axis=0, dtype=np.float64))


def scale_of(values: Floats) -> Scale:
    """Choose the scale on which all of `values` can be read.

    Raises:
        ValueError: A value is not finite.
    """
    if not np.isfinite(values).all():
        raise ValueError("expected finite attributions, got NaN or infinity")
    magnitudes = np.abs(values[values != 0])
    if magnitudes.size == 0:
        return Scale(signed=False, cap=0.0, largest=0.0)
    largest, cap = float(magnitudes.max()), float(np.percentile(magnitudes, CAP_PERCENTILE))
    return Scale(signed=bool(values.min() < 0), cap=largest if largest <= CAP_TOLERANCE * cap else cap, largest=largest)


def colour_bar(scale: Scale, room: int, *, over: Picture | None = None) -> Block:
    """The scale's colours with numbers below; `over` a grey where the map itself is translucent."""
    block = blank(room, 36)
    draw = ImageDraw.Draw(block)
    values = np.linspace(-scale.cap if scale.signed else 0.0, scale.cap, room - 2)
    gradient = scale.colour(values) if over is None else blend(over, scale, values)
    block.paste(_stripe(gradient), (1, 1))
    draw.rectangle((0, 0, room - 1, 15), outline=HAIRLINE)
    for tick in range(TICKS if scale.cap else 1):
        text = _tick(scale, tick)
        place = tick * (room - 1) // (TICKS - 1)
        draw.line((place, 15, place, 18), INK)
        left = min(max(place - width(text, TEXT_SIZE) // 2, 0), room - width(text, TEXT_SIZE))
        write(block, (left, 20), text, TEXT_SIZE, INK)
    return block


def blend(grey: Picture, scale: Scale, values: Floats) -> Picture:
    """Lay the colours of `values` over `grey` (`(…, 3)`, or one colour for all)."""
    opacity = scale.opacity(values)[..., None]
    return np.rint(opacity * scale.colour_over(values) + (1 - opacity) * grey).astype(np.uint8)


def _stripe(gradient: Picture) -> Block:
    return Image.fromarray(np.repeat(gradient[None], 14, axis=0))


def _tick(scale: Scale, tick: int) -> str:
    lowest = -scale.cap if scale.signed else 0.0
    text = number(lowest + (scale.cap - lowest) * tick / (TICKS - 1))
    if scale.saturates and tick == TICKS - 1:
        return f"≥ {text}"
    return f"≤ {text}" if scale.saturates and scale.signed and tick == 0 else text
