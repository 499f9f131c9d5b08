"""Rows of features as graphs, in NumPy: rows of any length end to end, and every pair of a row once.

As `worker.methods.l0_sign.pairs`, which has it for torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.predictors.tensors import Floats, Indices


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of features.

    Attributes:
        offsets: `(rows + 1,)`; row r holds the entries from offsets[r] to offsets[r + 1].
        features: `(entries,)`, the unknown one being the last of all.
        values: `(entries,)`; None where every value is 1.
    """

    offsets: Indices
    features: Indices
    values: Floats | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Indices:
        return np.diff(self.offsets)

    @property
    def row_of(self) -> Indices:
        """The row of each entry."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def between(self, begin: int, end: int) -> Rows:
        """Return the rows from `begin` to `end`."""
        offsets = self.offsets[begin : end + 1]
        entries = slice(int(offsets[0]), int(offsets[-1]))
        values = None if self.values is None else self.values[entries]
        return Rows(offsets=offsets - offsets[0], features=self.features[entries], values=values)


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Every pair of every row once, each feature with itself included, row by row.

    Attributes:
        first, second: `(pairs,)` entries, `second` never before `first`.
        apart: `(pairs,)` bool: two different entries.
        counts: `(rows,)` pairs of each row.
    """

    first: Indices
    second: Indices
    apart: NDArray[np.bool_]
    counts: Indices


def as_sets(rows: Rows) -> Rows:
    """Return rows whose features rise, each once; values of one feature are added up, without values it counts once."""
    width = int(rows.features.max(initial=0)) + 1
    keys, place = np.unique(rows.row_of * width + rows.features, return_inverse=True)
    lengths = np.bincount(keys // width, minlength=len(rows))
    values = None if rows.values is None else summed(place, rows.values, len(keys))
    return Rows(offsets=offsets_of(lengths), features=keys % width, values=values)


def pairs_of(rows: Rows) -> Pairs:
    """List the pairs."""
    entry = np.arange(len(rows.features))
    partners = rows.offsets[1:][rows.row_of] - entry  # of each entry: itself and those behind it
    first = np.repeat(entry, partners)
    second = np.arange(len(first)) + (entry - offsets_of(partners)[:-1])[first]
    return Pairs(first=first, second=second, apart=first != second, counts=pair_counts(rows.lengths))


def pair_counts(lengths: Indices) -> Indices:
    """Return how many pairs rows of these lengths have."""
    counts: Indices = lengths * (lengths + 1) // 2
    return counts


def portions(rows: Rows, *, most_pairs: int) -> Iterator[Rows]:
    """Split rows so that each part has about `most_pairs`, and a row at least."""
    pairs = np.cumsum(pair_counts(rows.lengths))
    begin, before = 0, 0
    while begin < len(rows):
        end = max(int(np.searchsorted(pairs, before + most_pairs, side="right")), begin + 1)
        yield rows.between(begin, end)
        begin, before = end, int(pairs[end - 1])


def offsets_of(lengths: Indices) -> Indices:
    """Return where rows of these lengths begin, and where the last one ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


def summed(place: Indices, values: Floats, count: int) -> Floats:
    """Add up the values of each place: `(count,)`."""
    return np.bincount(place, values, count).astype(np.float64, copy=False)  # of no values, numpy counts in integers
