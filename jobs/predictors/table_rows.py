"""Rows of a table as JSON has them → features and values, as L0-SIGN learned from them.

A number is the feature of its column, and its standardised value multiplies the embedding; a category is a feature; a
missing value is none. See `worker.trainings.l0_sign.logs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from jobs.predictors.answers import Remarks
from jobs.predictors.cells import MISSING, UNKNOWN, cells_of, codes, numbers
from jobs.predictors.faults import Faults
from jobs.predictors.graphs import Rows, offsets_of
from jobs.predictors.set_rows import UNKNOWN_NAME
from jobs.predictors.tensors import Floats, Indices
from jobs.schemas import FeatureColumn, FeatureEncoding

_ABSENT = -1


class TableRows:
    """Reads rows of a table."""

    def __init__(self, encoding: FeatureEncoding) -> None:
        self._columns = encoding.columns
        self._names = encoding.names
        self._features = len(self._names)
        widths = [len(column.categories or (None,)) for column in self._columns]
        self._begins = [end - width for end, width in zip(accumulate(widths), widths, strict=True)]
        self._numeric = any(column.categories is None for column in self._columns)
        self.field_of: Indices = np.repeat(np.arange(len(widths)), widths)
        self._by_name: dict[str, list[int]] = {}
        for place, name in enumerate(self._names):
            self._by_name.setdefault(name, []).append(place)

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self._columns)

    def names(self, features: Sequence[int]) -> list[str]:
        """Return what features are called, the last of all being the unknown one."""
        return [self._names[one] if one < self._features else UNKNOWN_NAME for one in features]

    def find(self, name: str) -> list[int]:
        """Return the features of this name: `column=category`, the name of a column of numbers, or a category's."""
        if name in self._by_name:
            return self._by_name[name]
        return [
            begin + column.categories.index(name)
            for column, begin in zip(self._columns, self._begins, strict=True)
            if column.categories is not None and name in column.categories
        ]

    def probe(self) -> dict[str, Any]:
        """Return a row of means and first categories."""
        return {column.name: column.categories[0] if column.categories else column.mean for column in self._columns}

    def read(self, rows: Sequence[Any]) -> tuple[Rows, list[Remarks]]:
        """Return the rows.

        Raises:
            InvalidParameters: A row cannot be read.
        """
        faults, unknown = Faults(), [list[str]() for _ in rows]
        cells = cells_of(rows, self.fields, ignored=(), faults=faults)
        features, values = np.empty((len(rows), len(cells)), np.int64), np.ones((len(rows), len(cells)))
        for place, (column, mine) in enumerate(zip(self._columns, cells, strict=True)):
            features[:, place], values[:, place] = self._column(column, self._begins[place], mine, faults)
            for row in np.flatnonzero(features[:, place] == self._features):
                unknown[row].append(f"{column.name}={mine[row]}")
        present = features != _ABSENT
        found = Rows(
            offsets=offsets_of(present.sum(1)), features=features[present],
            values=values[present] if self._numeric else None,
        )  # fmt: skip
        return found, [Remarks(tuple(one), _notes(bool(any))) for one, any in zip(unknown, present.any(1), strict=True)]

    def _column(
        self, column: FeatureColumn, begin: int, cells: Sequence[Any], faults: Faults
    ) -> tuple[Indices, Floats]:
        """Return every row's feature, or `_ABSENT`, and its value."""
        if column.categories is None:
            values = (numbers(cells, column.name, faults) - column.mean) / column.std
            return np.where(np.isnan(values), _ABSENT, begin), np.nan_to_num(values, nan=0.0)
        found = codes(cells, column.categories, column.name, faults)
        features = np.where(found == UNKNOWN, self._features, begin + found)
        return np.where(found == MISSING, _ABSENT, features), np.ones(len(cells))


def _notes(any: bool) -> tuple[str, ...]:
    return () if any else ("All cells are missing: the prediction is the bias.",)
