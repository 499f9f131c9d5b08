"""heatmap.png: the strength of every pair of columns, columns that act together side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from worker.render.arrays import Floats
from worker.render.colours import HAIRLINE, INK, ink_on
from worker.render.png import encode
from worker.render.scales import Scale, colour_bar
from worker.render.seriation import clustered
from worker.render.sheet import TEXT_SIZE, TITLE_SIZE, Block, blank, lines, sheet
from worker.render.text import fit_both_ends, number, width, write
from worker.render.warning import warned

MOST_COLUMNS = 40
_CELL_AT_MOST = 44
_GRID = 640
_NAME_AT_MOST = 150
_NUMBERS_FROM = 34  # pixels of a cell from which a number fits in it


def heatmap(
    strengths: Floats, names: Sequence[str], unit: str, known: Sequence[Sequence[int]], *, what: str = "columns",
    warning: str | None = None,
) -> bytes:  # fmt: skip
    """Draw pairs as PNG bytes.

    Args:
        strengths: `(columns, columns)`, symmetric, at least 0.
        known: Interactions that are known; crosses mark their pairs.
        what: Whose pairs they are, for people.
        warning: Why not to believe them; stands first.
    """
    order = arrangement(strengths)
    scale = Scale(signed=False, cap=float(strengths.max()), largest=float(strengths.max()))
    true = true_pairs(known)
    grid = _grid(strengths, order, names, scale, true)
    room = max(480, grid.width)
    title = blank(room, TITLE_SIZE + 8)
    write(title, (0, 0), f"Which pairs of {what} act together", TITLE_SIZE, INK)
    notes = [f"Strength: {unit}"]
    if true:
        notes.append("× marks pairs that are known to interact.")
    if len(order) < len(names):
        notes.append(f"The {len(order)} {what} with the strongest pairs, of {len(names)}; all pairs are in values.npz.")
    return encode(sheet([title, *warned(warning, room), grid, colour_bar(scale, room), lines(notes, room)]))


def arrangement(strengths: Floats) -> list[int]:
    """Return the columns with the strongest pairs, `MOST_COLUMNS` at most, those that act together side by side."""
    shown = sorted(np.argsort(-strengths.max(axis=1), kind="stable")[:MOST_COLUMNS].tolist())
    return [shown[place] for place in clustered(strengths[np.ix_(shown, shown)])]


def true_pairs(known: Sequence[Sequence[int]]) -> set[frozenset[int]]:
    """Return every pair inside a known interaction."""
    return {frozenset((a, b)) for members in known for a in members for b in members if a != b}


def _grid(strengths: Floats, order: list[int], names: Sequence[str], scale: Scale, true: set[frozenset[int]]) -> Block:
    cell = min(_CELL_AT_MOST, _GRID // len(order))
    labels = [fit_both_ends(names[column], TEXT_SIZE, _NAME_AT_MOST) for column in order]
    left = max(width(label, TEXT_SIZE) for label in labels) + 10
    block = blank(left + cell * len(order) + 1, left + cell * len(order) + 1)
    for place, label in enumerate(labels):
        middle = left + cell * place + cell // 2
        if cell >= TEXT_SIZE:
            write(block, (left - 8 - width(label, TEXT_SIZE), middle - 8), label, TEXT_SIZE, INK)
            write_upwards(block, (middle - 8, left - 8), label)
    values = strengths[np.ix_(order, order)]
    colours = scale.colour(values).tolist()
    draw = ImageDraw.Draw(block)
    for row, first in enumerate(order):
        for column, second in enumerate(order):
            corner = (left + cell * column, left + cell * row)
            value = None if first == second else float(values[row, column])
            known = frozenset((first, second)) in true
            _cell(block, draw, corner, cell, value, tuple(colours[row][column]), known=known)
    return block


def write_upwards(block: Block, bottom: tuple[int, int], text: str) -> None:
    """Write text from `bottom` upwards, turned to the left; `bottom` is its lower left corner, column and row."""
    line = blank(width(text, TEXT_SIZE) + 2, TEXT_SIZE + 5)
    write(line, (0, 0), text, TEXT_SIZE, INK)
    turned = line.transpose(Image.Transpose.ROTATE_90)
    block.paste(turned, (bottom[0], bottom[1] - turned.height))


def _cell(
    block: Block, draw: ImageDraw.ImageDraw, corner: tuple[int, int], size: int, value: float | None,
    colour: tuple[int, int, int], *, known: bool,
) -> None:  # fmt: skip
    box = (*corner, corner[0] + size, corner[1] + size)
    if value is None:
        draw.rectangle(box, outline=HAIRLINE)
        return
    draw.rectangle(box, fill=colour, outline=HAIRLINE if size > 12 else None)
    ink = ink_on(colour)
    middle = (corner[0] + size // 2, corner[1] + size // 2)
    if size >= _NUMBERS_FROM:
        text = number(round(value, 2))
        write(
            block, (middle[0] - width(text, TEXT_SIZE) // 2 + 1, middle[1] - (1 if known else 8)), text, TEXT_SIZE, ink
        )
    if known:
        cross(draw, (middle[0], middle[1] - (9 if size >= _NUMBERS_FROM else 0)), min(5, size // 3), ink)


def cross(draw: ImageDraw.ImageDraw, middle: tuple[int, int], arm: int, ink: tuple[int, int, int]) -> None:
    """Mark a cell around `middle` with a cross."""
    x, y = middle
    draw.line((x - arm, y - arm, x + arm, y + arm), fill=ink, width=2)
    draw.line((x - arm, y + arm, x + arm, y - arm), fill=ink, width=2)
