"""A symmetric table of pairs as coloured cells, the diagonal included: what each does alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import ImageDraw

from worker.render.arrays import Floats
from worker.render.colours import HAIRLINE, INK, MUTED, PAPER, ink_on
from worker.render.heatmap import write_upwards
from worker.render.scales import Scale
from worker.render.sheet import TEXT_SIZE, Block, blank
from worker.render.text import fit, width, write

MOST = 40
_CELL_AT_MOST = 44
_GRID = 640
_NAME_AT_MOST = 170
_WORDS_FROM = 34  # pixels of a cell from which words fit in it


def cell_size(cells: int) -> int:
    """Pixels of a cell."""
    return min(_CELL_AT_MOST, _GRID // cells)


def has_words(cells: int) -> bool:
    """Whether words fit into the cells."""
    return cell_size(cells) >= _WORDS_FROM


def pair_matrix(
    values: Floats, names: Sequence[str], scale: Scale, *, words: Sequence[Sequence[str]], absent: Floats | None = None
) -> Block:
    """Draw a cell for each pair.

    Args:
        values: `(n, n)`, symmetric, 1 ≤ n ≤ `MOST`.
        words: `(n, n)`, written into cells that are large enough.
        absent: `(n, n)`, nonzero where there is nothing: a dot on paper instead of a colour.
    """
    size = cell_size(len(names))
    labels = [fit(name, TEXT_SIZE, _NAME_AT_MOST) for name in names]
    left = max(width(label, TEXT_SIZE) for label in labels) + 10
    block = blank(left + size * len(names) + 1, left + size * len(names) + 1)
    for place, label in enumerate(labels):
        middle = left + size * place + size // 2
        write(block, (left - 8 - width(label, TEXT_SIZE), middle - 8), label, TEXT_SIZE, INK)
        write_upwards(block, (middle - 8, left - 8), label)
    for row in range(len(names)):
        for column in range(len(names)):
            corner = (left + size * column, left + size * row)
            if absent is not None and absent[row, column]:
                _nothing(block, corner, size)
            else:
                _cell(block, corner, size, float(values[row, column]), scale, words[row][column])
    return block


def whole_scale(values: Floats) -> Scale:
    """A scale on which the largest magnitude has the last colour, signed where a value is below 0."""
    largest = float(np.abs(values).max())
    return Scale(signed=bool((values < 0).any()), cap=largest, largest=largest)


def _cell(block: Block, corner: tuple[int, int], size: int, value: float, scale: Scale, words: str) -> None:
    red, green, blue = scale.colour(np.array(value)).tolist()
    box = (*corner, corner[0] + size, corner[1] + size)
    ImageDraw.Draw(block).rectangle(box, fill=(red, green, blue), outline=HAIRLINE if size > 12 else None)
    if size >= _WORDS_FROM:
        place = (corner[0] + size // 2 - width(words, TEXT_SIZE) // 2 + 1, corner[1] + size // 2 - 8)
        write(block, place, words, TEXT_SIZE, ink_on((red, green, blue)))


def _nothing(block: Block, corner: tuple[int, int], size: int) -> None:
    draw, x, y = ImageDraw.Draw(block), corner[0] + size // 2, corner[1] + size // 2
    draw.rectangle((*corner, corner[0] + size, corner[1] + size), fill=PAPER, outline=HAIRLINE if size > 12 else None)
    draw.ellipse((x - 1, y - 1, x + 1, y + 1), fill=MUTED)
