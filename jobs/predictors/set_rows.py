"""Rows of sets as JSON has them, a list of ids or of `[id, value]` → features, as L0-SIGN learned from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.errors import UnsupportedModel
from jobs.predictors.answers import Remarks
from jobs.predictors.faults import Faults, shown
from jobs.predictors.graphs import Rows, offsets_of
from jobs.predictors.tensors import Floats, Indices

UNKNOWN_NAME = "(unknown)"

_MOST_NAMED = 20
"""Unknown ids that a row's remarks name."""
_LARGEST_VALUE = 3.4e38
"""Of float32, in which networks learn."""


class SetRows:
    """Reads sets.

    Args:
        vocabulary: `(features,)` ids, rising.
        valued: Whether the model learned from values; without, it takes ids alone.

    Raises:
        UnsupportedModel: The vocabulary does not rise.
    """

    def __init__(self, vocabulary: Indices, *, valued: bool) -> None:
        if (np.diff(vocabulary) <= 0).any():
            raise UnsupportedModel("expected a vocabulary that rises")
        self._vocabulary = vocabulary
        self._valued = valued

    def names(self, features: Sequence[int]) -> list[str]:
        """Return what features are called, the last of all being the unknown one."""
        known = len(self._vocabulary)
        return [str(int(self._vocabulary[one])) if one < known else UNKNOWN_NAME for one in features]

    def find(self, name: str) -> list[int]:
        """Return the feature with this id, or none."""
        try:
            place, known = self._places(np.array([int(name)], np.int64))
        except (ValueError, OverflowError):
            return []
        found: list[int] = place[known].tolist()
        return found

    def probe(self) -> list[Any]:
        """Return a row of two ids."""
        return [int(id) for id in self._vocabulary[:2]]

    def read(self, rows: Sequence[Any]) -> tuple[Rows, list[Remarks]]:
        """Return the rows as they are given, with repeats and in their order.

        Raises:
            InvalidParameters: A row cannot be read.
        """
        faults = Faults()
        entries = [self._entries(row, place, faults) for place, row in enumerate(rows)]
        faults.refuse()
        offsets = offsets_of(np.array([len(one) for one in entries], np.int64))
        ids = np.array([id for row in entries for id, _ in row], np.int64)
        values: Floats = np.array([value for row in entries for _, value in row], np.float64)
        places, known = self._places(ids)
        features = np.where(known, places, len(self._vocabulary))
        found = Rows(offsets=offsets, features=features, values=values if self._valued else None)
        return found, _remarks(found, ids, known)

    def _entries(self, row: Any, place: int, faults: Faults) -> list[tuple[int, float]]:
        if not isinstance(row, list):
            faults.add(f"expected a list of ids, or of [id, value], got {shown(row)}", place)
            return []
        return [self._entry(entry, (place, index), faults) for index, entry in enumerate(row)]

    def _entry(self, entry: Any, at: tuple[int, int], faults: Faults) -> tuple[int, float]:
        id, value = entry if isinstance(entry, list) and len(entry) == 2 else (entry, 1)
        if not (_is_id(id) and _is_value(value)):
            faults.add(f"expected an id, a whole number below 2^63, or [id, value], got {shown(entry)}", *at)
            return 0, 0.0
        if value != 1 and not self._valued:
            faults.add(f"expected an id without a value, as this model learned from none, got {shown(entry)}", *at)
        return id, float(value)

    def _places(self, ids: Indices) -> tuple[Indices, NDArray[np.bool_]]:
        places = np.minimum(np.searchsorted(self._vocabulary, ids), len(self._vocabulary) - 1)
        return places, self._vocabulary[places] == ids


def _is_id(id: Any) -> bool:
    return type(id) is int and -(2**63) <= id < 2**63


def _is_value(value: Any) -> bool:
    return type(value) in (int, float) and bool(abs(value) <= _LARGEST_VALUE)


def _remarks(rows: Rows, ids: Indices, known: NDArray[np.bool_]) -> list[Remarks]:
    found = [
        Remarks(notes=() if length else ("The row is empty: its prediction is the bias.",)) for length in rows.lengths
    ]
    row_of = rows.row_of
    for row in np.unique(row_of[~known]).tolist():
        strange = list(dict.fromkeys(ids[(row_of == row) & ~known].tolist()))
        notes = (f"{len(strange) - _MOST_NAMED} more ids are unknown.",) if len(strange) > _MOST_NAMED else ()
        found[row] = Remarks(tuple(str(id) for id in strange[:_MOST_NAMED]), notes)
    return found
