"""comparison.png: which pairs several methods rank first, a small table of pairs for each, columns in one order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import ImageDraw

from worker.render.arrays import Floats
from worker.render.colours import HAIRLINE, INK, MUTED, PAPER, STEPS, Colour, ink_on, sequential
from worker.render.heatmap import arrangement, cross, true_pairs, write_upwards
from worker.render.png import encode
from worker.render.sheet import TEXT_SIZE, TITLE_SIZE, Block, blank, lines, sheet
from worker.render.text import fit_both_ends, width, write

ROOM = 840
_ACROSS = 2
_PANEL = 408
_NAME_AT_MOST = 110
_CAPTION = 26
_CELL_AT_MOST = 40
_RANK_FROM = 24  # pixels of a cell from which a rank fits in it


def comparison(methods: Mapping[str, Floats], names: Sequence[str], known: Sequence[Sequence[int]]) -> bytes:
    """Draw ranks of pairs as PNG bytes.

    Args:
        methods: Symmetric strengths by name, `(columns, columns)`, NaN where not computed; the first one's order holds.
        known: Interactions that are known; crosses mark their pairs.
    """
    ranks = {name: _ranks(strengths) for name, strengths in methods.items()}
    order = arrangement(next(iter(methods.values())))
    most = len(names) * (len(names) - 1) // 2
    labels = [fit_both_ends(names[column], TEXT_SIZE, _NAME_AT_MOST) for column in order]
    panels = [_panel(name, of[np.ix_(order, order)], labels, _marked(order, known), most) for name, of in ranks.items()]
    title = blank(ROOM, TITLE_SIZE + 8)
    write(title, (0, 0), "Which pairs several methods rank first", TITLE_SIZE, INK)
    return encode(sheet([title, *_rows(panels), _legend(most), lines(_notes(order, names, known), ROOM)]))


def _ranks(strengths: Floats) -> Floats:
    """Return the rank of each pair from 1, alike for equal strengths; NaN on the diagonal and where unknown."""
    rows, columns = np.triu_indices(len(strengths), 1)
    values = strengths[rows, columns]
    known = np.sort(values[~np.isnan(values)])
    ranks = 1.0 + len(known) - np.searchsorted(known, values, side="right")
    square = np.full(strengths.shape, np.nan)
    square[rows, columns] = square[columns, rows] = np.where(np.isnan(values), np.nan, ranks)
    return square


def _marked(order: Sequence[int], known: Sequence[Sequence[int]]) -> set[tuple[int, int]]:
    true = true_pairs(known)
    return {
        (row, column)
        for row, first in enumerate(order)
        for column, second in enumerate(order)
        if frozenset((first, second)) in true
    }


def _rows(panels: Sequence[Block]) -> list[Block]:
    rows = []
    for start in range(0, len(panels), _ACROSS):
        part = panels[start : start + _ACROSS]
        row = blank(ROOM, max(panel.height for panel in part))
        for place, panel in enumerate(part):
            row.paste(panel, (place * (ROOM - _PANEL), 0))
        rows.append(row)
    return rows


def _panel(name: str, ranks: Floats, labels: Sequence[str], marked: set[tuple[int, int]], most: int) -> Block:
    named = (_PANEL - _NAME_AT_MOST - 10) // len(labels) >= TEXT_SIZE
    left = max(width(label, TEXT_SIZE) for label in labels) + 10 if named else 0
    cell = min(_CELL_AT_MOST, (_PANEL - left - 1) // len(labels))
    top = _CAPTION + left
    block = blank(_PANEL, top + cell * len(labels) + 1)
    write(block, (left, 0), name, TEXT_SIZE, INK)
    for place, label in enumerate(labels if named else ()):
        middle = cell * place + cell // 2
        write(block, (left - 8 - width(label, TEXT_SIZE), top + middle - 8), label, TEXT_SIZE, INK)
        write_upwards(block, (left + middle - 8, top - 8), label)
    for row, column in np.ndindex(ranks.shape):
        corner = (left + cell * column, top + cell * row)
        _cell(block, corner, cell, float(ranks[row, column]), most, known=(row, column) in marked)
        if row != column and np.isnan(ranks[row, column]):
            _nothing(block, corner, cell)
    return block


def _cell(block: Block, corner: tuple[int, int], size: int, rank: float, most: int, *, known: bool) -> None:
    draw = ImageDraw.Draw(block)
    box = (*corner, corner[0] + size, corner[1] + size)
    colour = PAPER if np.isnan(rank) else _colour(rank, most)
    draw.rectangle(box, fill=colour, outline=HAIRLINE if size > 12 else None)
    middle = (corner[0] + size // 2, corner[1] + size // 2)
    if known:
        cross(draw, (middle[0], middle[1] - (8 if size >= _RANK_FROM + 8 else 0)), min(4, size // 3), ink_on(colour))
    if size >= _RANK_FROM and not np.isnan(rank) and not (known and size < _RANK_FROM + 8):
        text = str(int(rank))
        place = (middle[0] - width(text, TEXT_SIZE) // 2 + 1, middle[1] - (3 if known else 8))
        write(block, place, text, TEXT_SIZE, ink_on(colour))


def _nothing(block: Block, corner: tuple[int, int], size: int) -> None:
    x, y = corner[0] + size // 2, corner[1] + size // 2
    ImageDraw.Draw(block).line((x - size // 5, y, x + size // 5, y), fill=MUTED)


def _colour(rank: float, most: int) -> Colour:
    """Colour of a rank: equal steps for equal factors, as the first few matter most; the first is lightest."""
    share = np.log(rank) / np.log(max(most, 2))
    red, green, blue = sequential()[round((STEPS - 1) * (1 - share))].tolist()
    return red, green, blue


def _legend(most: int) -> Block:
    block = blank(ROOM, 22)
    shown = [rank for rank in (1, 2, 3, 5, 10, 20, 50, 100, 200, 500) if rank < most] + [most]
    write(block, (0, 3), "rank", TEXT_SIZE, MUTED)
    for place, rank in enumerate(shown):
        left = 44 + place * 62
        ImageDraw.Draw(block).rectangle((left, 2, left + 18, 20), fill=_colour(rank, most), outline=HAIRLINE)
        write(block, (left + 24, 3), str(rank), TEXT_SIZE, MUTED)
    return block


def _notes(order: Sequence[int], names: Sequence[str], known: Sequence[Sequence[int]]) -> list[str]:
    notes = ["Ranks, as the methods' strengths have different units. Columns stand as in heatmap.png. –: not computed."]
    if known:
        notes.append("× marks pairs that are known to interact.")
    if len(order) < len(names):
        notes.append(f"{len(order)} of {len(names)} columns are shown; ranks are among the pairs of all of them.")
    return notes
