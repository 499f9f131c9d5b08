"""disturbances.png: what noise in the weights, or a step of the input, changes, order by order.

The paper's Figures 3 and 8: what emerges is shaped like a spindle, and grows with the disturbance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import ImageDraw

from jobs.order_profiles import Disturbed
from jobs.schemas import Explanation
from worker.render.arrays import Floats
from worker.render.axes import Axis
from worker.render.colours import INK
from worker.render.order_bars import SIGNS, SPINDLE, Slots, bars, both_ways, signed
from worker.render.png import encode
from worker.render.sheet import Block, heading, lines, sheet
from worker.render.small_multiples import ROOM, Draw, columns_for, row, titles
from worker.render.text import number

MOST_PANELS = 18
_HEIGHT = 150
_RADIUS = 3
_NAMES: Mapping[str, str] = {"weight-noise": "weight noise", "fgsm": "FGSM step"}


def disturbances(explanation: Explanation, disturbed: Sequence[Disturbed]) -> bytes:
    """Draw the changes, as PNG bytes.

    Raises:
        ValueError: A strength is not finite.
    """
    shown = disturbed[:MOST_PANELS]
    columns = columns_for(len(shown))
    blocks = [heading("What disturbances change", explanation, ROOM)]
    for start in range(0, len(shown), columns):
        some = shown[start : start + columns]
        blocks += [titles([_title(one) for one in some], columns), _row(some, shown, columns)]
    return encode(sheet([*blocks, lines(_notes(explanation, disturbed), ROOM)]))


def _title(one: Disturbed) -> tuple[str, str]:
    total = number(float(signed(one.change).sum()))
    return f"{_NAMES[one.kind]} {number(one.size)}", f"adds {total}; no spindle: {number(100 * one.spindle.error)} %"


def _row(some: Sequence[Disturbed], every: Sequence[Disturbed], columns: int) -> Block:
    profiles = [signed(part) for one in every for part in (one.change, one.spindle.profile)]
    caption = "Strength that the disturbance added, by order; up: positive, down: negative; dots: the best spindle"
    return row(
        [_panel(signed(one.change), signed(one.spindle.profile)) for one in some], columns,
        orders=len(every[0].change.positive), caption=caption, heights=both_ways(profiles), room=_HEIGHT,
    )  # fmt: skip


def _panel(change: Floats, spindle: Floats) -> Draw:
    def draw(block: Block, axis: Axis, slots: Slots) -> None:
        bars(block, axis, slots, change, start=0.12, end=0.88, pale=False)
        for side, sign in zip(spindle, SIGNS, strict=True):
            _dots(block, axis, slots, sign * side)

    return draw


def _dots(block: Block, axis: Axis, slots: Slots, heights: Floats) -> None:
    middles = [sum(slots.between(order, 0, 1)) // 2 for order in range(1, slots.orders + 1)]
    points = [(middle, axis.place(height)) for middle, height in zip(middles, heights.tolist(), strict=True)]
    draw = ImageDraw.Draw(block)
    draw.line(points, fill=INK)
    for column, place in points:
        draw.ellipse((column - _RADIUS, place - _RADIUS, column + _RADIUS, place + _RADIUS), fill=SPINDLE, outline=INK)


def _notes(explanation: Explanation, disturbed: Sequence[Disturbed]) -> list[str]:
    notes = [
        f"Strength: {explanation.unit}; of the interactions' differences, after the disturbance minus before it.",
        "Weight noise is relative to each weight tensor's root mean square. No spindle: the part of the "
        "change that the best spindle leaves.",
    ]
    more = len(disturbed) - MOST_PANELS
    return [*notes, f"{more} more in result.json."] if more > 0 else notes
