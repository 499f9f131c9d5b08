"""Rows of a table as JSON has them: objects by column name → a list of cells for each column."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np

from jobs.predictors.faults import Faults, shown
from jobs.predictors.tensors import Floats, Indices

UNKNOWN, MISSING = -1, -2
"""Codes of a category that is not listed, and of a cell that is null."""

_LARGEST = 3.4e38
"""Of float32, in which models learn; infinity is beyond."""


def cells_of(
    rows: Sequence[Any], columns: Sequence[str], *, ignored: Collection[str], faults: Faults
) -> list[list[Any]]:
    """Return the cells of every column, row by row.

    Args:
        ignored: Columns that a row may hold, too.

    Raises:
        InvalidParameters: A row is no object, lacks a column, or has another one.
    """
    known = {*columns, *ignored}
    for place, row in enumerate(rows):
        if not isinstance(row, dict):
            faults.add(f"expected an object by column name, got {shown(row)}", place)
            continue
        for name in row.keys() - known:
            faults.add(_unknown(name, columns), place, name)
        for name in columns:
            if name not in row:
                faults.add(f"expected the column {name!r}; null stands for a missing value", place, name)
    faults.refuse()
    return [[row[name] for row in rows] for name in columns]


def numbers(cells: Sequence[Any], column: str, faults: Faults) -> Floats:
    """Return numbers, NaN where missing, `(rows,)`."""
    for place, cell in enumerate(cells):
        if cell is not None and not _is_number(cell):
            faults.add(f"expected a number or null, got {shown(cell)}", place, column)
    faults.refuse()
    return np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64)


def codes(cells: Sequence[Any], categories: Sequence[str], column: str, faults: Faults) -> Indices:
    """Return places in `categories`, `UNKNOWN` or `MISSING`, `(rows,)`."""
    place_of = {category: place for place, category in enumerate(categories)}
    found = []
    for place, cell in enumerate(cells):
        if cell is not None and not isinstance(cell, str):
            faults.add(f"expected the text of a category or null, got {shown(cell)}", place, column)
        found.append(MISSING if cell is None else place_of.get(cell, UNKNOWN) if isinstance(cell, str) else UNKNOWN)
    faults.refuse()
    return np.array(found, dtype=np.int64)


def _is_number(cell: Any) -> bool:
    return isinstance(cell, (int, float)) and not isinstance(cell, bool) and abs(cell) <= _LARGEST


def _unknown(name: str, columns: Sequence[str]) -> str:
    close = get_close_matches(name, columns, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(map(repr, columns[:8]))}"
    return f"the model has no column {shown(name)}{hint}"
