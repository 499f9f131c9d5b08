"""Bars by order: positive strength upwards, negative downwards, one slot an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from jobs.order_profiles import Disentangling, SignedProfile
from worker.render.arrays import Floats
from worker.render.axes import Axis, centred, finite
from worker.render.colours import INK, PALETTE, PAPER, Colour, of_sign
from worker.render.sheet import TEXT_SIZE, Block
from worker.render.text import width

DECAY = PALETTE[2]
SPINDLE = PALETTE[3]
_HATCH = 6
_WIDEST = 110
_LEAST_RESIDUAL = 2
SIGNS = (1, -1)


@dataclass(frozen=True)
class Slots:
    """A place of equal width for every order from 1 to `orders`, in the middle between `left` and `right`."""

    left: int
    right: int
    orders: int

    def between(self, order: int, start: float, end: float) -> tuple[int, int]:
        """The pixels from the share `start` to the share `end` of an order's slot; one at least."""
        size = min(_WIDEST, (self.right - self.left) / self.orders)
        first = (self.left + self.right - size * self.orders) / 2 + size * (order - 1)
        left, right = round(first + start * size), round(first + end * size)
        return left, max(left, right - 1)


def signed(profile: SignedProfile) -> Floats:
    """`(2, n)`: positive, then negative strength.

    Raises:
        ValueError: A strength is not finite.
    """
    return finite(np.array([profile.positive, profile.negative], dtype=np.float64))


def both_ways(profiles: Sequence[Floats]) -> list[float]:
    """What an axis must hold where negative strength points down: heights of `(2, n)` profiles."""
    return [
        height for profile in profiles for side, sign in enumerate(SIGNS) for height in (sign * profile[side]).tolist()
    ]


def fitted_parts(split: Disentangling) -> Floats:
    """`(3, 2, n)`: decay, spindle, residual."""
    return np.stack([signed(split.decay), signed(split.spindle), signed(split.residual)])


def bars(block: Block, axis: Axis, slots: Slots, profile: Floats, *, start: float, end: float, pale: bool) -> None:
    """Draw what was measured, `(2, n)`, in the signs' colours; pale for what other bars will stand before."""
    draw = ImageDraw.Draw(block)
    for order, pair in enumerate(profile.T.tolist(), 1):
        for sign, size in zip(SIGNS, pair, strict=True):
            box = _box(axis, slots.between(order, start, end), 0.0, sign * size)
            if size:
                outline = of_sign(sign) if pale else None
                draw.rectangle(box, fill=of_sign(sign, pale=pale), outline=outline)


def changes(block: Block, axis: Axis, slots: Slots, difference: Floats) -> None:
    """Draw a difference of two profiles, `(2, n)`: side by side, up where there is more, down where there is less."""
    draw = ImageDraw.Draw(block)
    for order, pair in enumerate(difference.T.tolist(), 1):
        for side, (sign, size) in enumerate(zip(SIGNS, pair, strict=True)):
            place = slots.between(order, 0.1 + 0.4 * side, 0.5 + 0.4 * side)
            if size:
                draw.rectangle(_box(axis, place, 0.0, size), fill=of_sign(sign))


def stacks(block: Block, axis: Axis, slots: Slots, parts: Floats, *, start: float, end: float) -> None:
    """Draw decay, spindle on it, and where the residual leads from there: `parts` is `(3, 2, n)`."""
    for order in range(1, slots.orders + 1):
        place = slots.between(order, start, end)
        for side, sign in enumerate(SIGNS):
            decay, spindle, residual = (sign * parts[:, side, order - 1]).tolist()
            filled(block, _box(axis, place, 0.0, decay), DECAY)
            filled(block, _box(axis, place, decay, decay + spindle), SPINDLE, hatched=True)
            ends = axis.place(decay + spindle), axis.place(decay + spindle + residual)
            residual_mark(block, (place[0] + place[1]) // 2, ends)


def filled(block: Block, box: tuple[int, int, int, int], colour: Colour, *, hatched: bool = False) -> None:
    """A rectangle with a line around it; `hatched` so that no reader depends on the colour. None where it is flat."""
    left, top, right, bottom = box
    if top == bottom:
        return
    rows, columns = np.indices((bottom - top + 1, right - left + 1))
    stripes = ((rows + columns + left + top) % _HATCH < 1) & hatched
    area = np.where(stripes[..., None], INK, colour).astype(np.uint8)
    block.paste(Image.fromarray(area), (left, top))
    ImageDraw.Draw(block).rectangle(box, outline=INK)


def residual_mark(block: Block, middle: int, ends: tuple[int, int]) -> None:
    """A line from what the parts explain to what was measured, with a dot there; none where nobody would see it."""
    if abs(ends[0] - ends[1]) < _LEAST_RESIDUAL:
        return
    draw = ImageDraw.Draw(block)
    draw.line((middle, *ends[:1], middle, ends[1]), fill=INK, width=2)
    draw.ellipse((middle - 3, ends[1] - 3, middle + 3, ends[1] + 3), fill=PAPER, outline=INK)


def write_orders(block: Block, slots: Slots, top: int) -> None:
    """Write the orders below their slots, as many as there is room for."""
    left, right = slots.between(1, 0, 1)
    stride = -(-(width(str(slots.orders), TEXT_SIZE) + 5) // (right - left + 1))
    for order in range(1, slots.orders + 1, stride):
        left, right = slots.between(order, 0, 1)
        centred(block, ((left + right) // 2, top), str(order))


def _box(axis: Axis, place: tuple[int, int], start: float, end: float) -> tuple[int, int, int, int]:
    top, bottom = sorted((axis.place(start), axis.place(end)))
    return place[0], top, place[1], bottom
