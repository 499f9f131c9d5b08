"""cutoff.png: how the loss of an additive model falls as interactions are added, down to that of whole networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import ImageDraw

from worker.render.axes import Axis, axis_around, centred, write_ticks
from worker.render.colours import INK, MUTED, PALETTE, Colour
from worker.render.png import encode
from worker.render.sheet import TEXT_SIZE, TITLE_SIZE, Block, blank, lines, sheet
from worker.render.text import count, fit, number, width, write

ROOM = 680
_HEIGHT = 280
_LEFT, _RIGHT = 64, 150
_TOP, _BOTTOM = 30, 44
_VALIDATION, _TEST = PALETTE[6], PALETTE[4]


def cutoff_chart(cutoff: Mapping[str, Any]) -> bytes:
    """Draw `details.cutoff` of a result as PNG bytes."""
    title = blank(ROOM, TITLE_SIZE + 8)
    write(title, (0, 0), fit(_title(cutoff), TITLE_SIZE, ROOM), TITLE_SIZE, INK)
    return encode(sheet([title, _chart(cutoff), lines(_notes(cutoff), ROOM)]))


def _title(cutoff: Mapping[str, Any]) -> str:
    if not cutoff["reached"]:
        return f"Not enough with {count(len(cutoff['validation_loss']) - 1, 'interaction')} at most"
    return f"{count(cutoff['interactions'], 'interaction')} {'is' if cutoff['interactions'] == 1 else 'are'} enough"


def _chart(cutoff: Mapping[str, Any]) -> Block:
    block = blank(ROOM, _HEIGHT)
    write(block, (0, 0), "loss", TEXT_SIZE, INK)
    lines_of = [
        ("validation", cutoff["validation_loss"], cutoff["whole_validation_loss"], _VALIDATION),
        ("test", cutoff["test_loss"], cutoff["whole_test_loss"], _TEST),
    ]
    everything = [value for _, values, whole, _ in lines_of for value in (*values, whole) if value is not None]
    down = axis_around(everything, _HEIGHT - _BOTTOM, _TOP)
    models = len(cutoff["validation_loss"])
    across = Axis(-0.3, max(models - 1, 1) + 0.3, _LEFT, ROOM - _RIGHT)
    write_ticks(block, down, _LEFT, ROOM - _RIGHT, most=5)
    for model in range(models):
        centred(block, (across.place(model), _HEIGHT - _BOTTOM + 5), str(model))
    centred(block, ((_LEFT + ROOM - _RIGHT) // 2, _HEIGHT - 20), "interactions added")
    _mark(block, across.place(cutoff["interactions"]))
    taken: list[int] = []
    for part, values, whole, colour in lines_of:
        _curve(block, values, down, across, colour)
        _dashes(block, down.place(whole), colour)
        _name(block, f"{part} {number(whole)}", down.place(whole), colour, taken)
    return block


def _mark(block: Block, column: int) -> None:
    draw = ImageDraw.Draw(block)
    for row in range(_TOP, _HEIGHT - _BOTTOM, 6):
        draw.line((column, row, column, row + 2), fill=MUTED)
    centred(block, (column, _TOP - 20), "chosen")


def _curve(block: Block, values: Sequence[float | None], down: Axis, across: Axis, colour: Colour) -> None:
    draw = ImageDraw.Draw(block)
    places = [(across.place(at), down.place(value)) for at, value in enumerate(values) if value is not None]
    if len(places) > 1:
        draw.line(places, fill=colour, width=2)
    for x, y in places:
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour)


def _dashes(block: Block, row: int, colour: Colour) -> None:
    draw = ImageDraw.Draw(block)
    for column in range(_LEFT, ROOM - _RIGHT, 10):
        draw.line((column, row, column + 5, row), fill=colour)


def _name(block: Block, text: str, row: int, colour: Colour, taken: list[int]) -> None:
    while near := [other for other in taken if abs(row - other) < 18]:
        row = min(near) - 18
    taken.append(row)
    left = ROOM - _RIGHT + 8
    ImageDraw.Draw(block).line((left, row, left + 10, row), fill=colour, width=3)
    write(block, (left + 14, row - 8), fit(text, TEXT_SIZE, min(_RIGHT - 22, width(text, TEXT_SIZE))), TEXT_SIZE, MUTED)


def _notes(cutoff: Mapping[str, Any]) -> list[str]:
    notes = [
        "Points: the additive model with so many interactions. Broken lines: networks that see all columns at once."
    ]
    chosen = ", ".join(" × ".join(names) for names in cutoff["added"][cutoff["interactions"]]) or "no interaction"
    why = "" if cutoff["reached"] else ", for the lowest loss on validation rows"
    notes.append(f"Chosen{why}: {chosen}.")
    return notes
