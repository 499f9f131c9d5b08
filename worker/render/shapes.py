"""shapes.png: what columns, and pairs of columns, add to the answer of the additive model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from worker.render.arrays import Floats
from worker.render.axes import Axis, axis_around, centred, write_ticks
from worker.render.colours import HAIRLINE, INK, MUTED, PALETTE, Colour
from worker.render.png import encode
from worker.render.scales import Scale, colour_bar, scale_of
from worker.render.sheet import TEXT_SIZE, TITLE_SIZE, Block, blank, lines, sheet
from worker.render.text import fit, number, width, write

MOST_MAINS = 9
MOST_PAIRS = 6
MOST_LEVELS = 12
ROOM = 760
_COLUMNS = 3
_PANEL = ROOM // _COLUMNS
_HEIGHT = 180
_LEFT, _GAP, _TOP, _BOTTOM = 58, 10, 22, 38
_SIDE = 150
_COLOURS = (PALETTE[6], PALETTE[4], PALETTE[2], PALETTE[5], PALETTE[0])


def shapes_chart(shapes: Mapping[str, Any]) -> bytes:
    """Draw the document shapes.json as PNG bytes; of several outputs, up to five curves, and the widest surface."""
    title = blank(ROOM, TITLE_SIZE + 8)
    write(title, (0, 0), "What columns, and pairs of them, add to the answer", TITLE_SIZE, INK)
    mains = sorted(shapes["mains"], key=_reach, reverse=True)[:MOST_MAINS]
    blocks = [title, *_rows([_main(one, _shared_axis(mains)) for one in mains])]
    pairs = shapes["pairs"][:MOST_PAIRS]
    if pairs:
        scale = scale_of(np.concatenate([_widest(one).reshape(-1) for one in pairs]))
        by_name = {one["name"]: one for one in shapes["mains"]}
        blocks += [*_rows([_pair(one, by_name, scale) for one in pairs]), colour_bar(scale, ROOM)]
    return encode(sheet([*blocks, lines(_notes(shapes, mains, pairs), ROOM)]))


def _reach(main: Mapping[str, Any]) -> float:
    values = np.array(main["values"])
    return float(values.max() - values.min())


def _shared_axis(mains: Sequence[Mapping[str, Any]]) -> Axis:
    return axis_around(
        [value for one in mains for output in one["values"][: len(_COLOURS)] for value in output],
        _HEIGHT - _BOTTOM, _TOP + 4,
    )  # fmt: skip


def _rows(panels: Sequence[Block]) -> list[Block]:
    rows = []
    for start in range(0, len(panels), _COLUMNS):
        part = panels[start : start + _COLUMNS]
        row = blank(ROOM, max(panel.height for panel in part))
        for column, panel in enumerate(part):
            row.paste(panel, (column * _PANEL, 0))
        rows.append(row)
    return rows


def _main(main: Mapping[str, Any], down: Axis) -> Block:
    block = blank(_PANEL, _HEIGHT)
    write(block, (0, 0), fit(main["name"], TEXT_SIZE, _PANEL - _GAP), TEXT_SIZE, INK)
    write_ticks(block, down, _LEFT, _PANEL - _GAP, most=4)
    if main["numeric"]:
        _curves(block, main, down)
    else:
        _levels(block, main, down)
    return block


def _curves(block: Block, main: Mapping[str, Any], down: Axis) -> None:
    at = main["at"]
    across = Axis(at[0], at[-1] if at[-1] > at[0] else at[0] + 1, _LEFT, _PANEL - _GAP)
    draw = ImageDraw.Draw(block)
    for values, colour in zip(main["values"], _COLOURS, strict=False):
        places = [(across.place(x), down.place(y)) for x, y in zip(at, values, strict=True)]
        if len(places) > 1:
            draw.line(places, fill=colour, width=2)
    for value in at:
        draw.line((across.place(value), _HEIGHT - _BOTTOM + 2, across.place(value), _HEIGHT - _BOTTOM + 6), fill=MUTED)
    _ends(block, number(at[0]), number(at[-1]), _LEFT, _PANEL - _GAP, _HEIGHT - _BOTTOM + 10)


def _levels(block: Block, main: Mapping[str, Any], down: Axis) -> None:
    frequent = np.argsort(-np.array(main["weights"]), kind="stable")[:MOST_LEVELS].tolist()
    slot = (_PANEL - _GAP - _LEFT) / len(frequent)
    for place, level in enumerate(sorted(frequent)):
        left = round(_LEFT + place * slot)
        for values, colour in zip(main["values"], _COLOURS, strict=False):
            _dash(block, left, round(left + slot - 3), down.place(values[level]), colour)
        text = fit(str(main["at"][level]), TEXT_SIZE, max(10, round(slot) - 2))
        write(block, (left, _HEIGHT - _BOTTOM + 10), text, TEXT_SIZE, MUTED)


def _dash(block: Block, left: int, right: int, row: int, colour: Colour) -> None:
    ImageDraw.Draw(block).rectangle((left, row - 2, right, row + 1), fill=colour)


def _ends(block: Block, first: str, last: str, left: int, right: int, top: int) -> None:
    write(block, (left, top), first, TEXT_SIZE, MUTED)
    write(block, (right - width(last, TEXT_SIZE), top), last, TEXT_SIZE, MUTED)


def _widest(pair: Mapping[str, Any]) -> Floats:
    """Return the surface of the output that it moves most: `(first, second)`."""
    surfaces = np.array(pair["values"])
    return np.asarray(surfaces[np.ptp(surfaces, axis=(1, 2)).argmax()], dtype=np.float64)


def _pair(pair: Mapping[str, Any], mains: Mapping[str, Mapping[str, Any]], scale: Scale) -> Block:
    block = blank(_PANEL, _SIDE + _TOP + _BOTTOM)
    first, second = (mains[name] for name in pair["names"])
    write(block, (0, 0), fit(" × ".join(pair["names"]), TEXT_SIZE, _PANEL - _GAP), TEXT_SIZE, INK)
    down, across = _evenly(first, _SIDE), _evenly(second, _PANEL - _GAP - _LEFT)
    picture = scale.colour(_widest(pair)[np.ix_(down[::-1], across)])
    block.paste(Image.fromarray(picture), (_LEFT, _TOP))
    ImageDraw.Draw(block).rectangle((_LEFT, _TOP, _PANEL - _GAP - 1, _TOP + _SIDE - 1), outline=HAIRLINE)
    _ends(block, *_range(second), _LEFT, _PANEL - _GAP, _TOP + _SIDE + 4)
    low, high = _range(first)
    for text, row in ((high, _TOP), (low, _TOP + _SIDE - 16)):
        text = fit(text, TEXT_SIZE, _LEFT - 6)
        write(block, (_LEFT - 6 - width(text, TEXT_SIZE), row), text, TEXT_SIZE, MUTED)
    centred(block, ((_LEFT + _PANEL - _GAP) // 2, _TOP + _SIDE + 20), f"up: {pair['names'][0]}")
    return block


def _evenly(main: Mapping[str, Any], pixels: int) -> list[int]:
    """Return which point of the grid is drawn at each pixel, numbers to scale, levels equally wide."""
    if not main["numeric"]:
        return [pixel * len(main["at"]) // pixels for pixel in range(pixels)]
    at = np.array(main["at"])
    wanted = np.linspace(at[0], at[-1], pixels)
    return np.abs(at[None] - wanted[:, None]).argmin(1).tolist()  # type: ignore[no-any-return]


def _range(main: Mapping[str, Any]) -> tuple[str, str]:
    first, last = main["at"][0], main["at"][-1]
    return (number(first), number(last)) if main["numeric"] else (str(first), str(last))


def _notes(shapes: Mapping[str, Any], mains: Sequence[Any], pairs: Sequence[Any]) -> list[str]:
    notes = [f"In {shapes['unit']}, around the mean over training rows. Small strokes: where training rows are."]
    if len(mains) < len(shapes["mains"]):
        notes.append(f"The {len(mains)} columns with the widest range, of {len(shapes['mains'])}.")
    if len(pairs) < len(shapes["pairs"]):
        notes.append(f"The first {len(pairs)} pairs, of {len(shapes['pairs'])}.")
    if shapes["larger"]:
        sets = ", ".join(" × ".join(names) for names in shapes["larger"])
        notes.append(f"Part of the model, but not drawn, as more than two columns act together: {sets}.")
    if len(shapes["outputs"]) > 1:
        named = ", ".join(shapes["outputs"][: len(_COLOURS)])
        notes.append(f"A curve a class, in the order blue, red, green, purple, orange: {named}.")
    return notes
