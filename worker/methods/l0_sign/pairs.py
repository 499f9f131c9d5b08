"""Rows of features as graphs: every pair of a row, and every different pair of a batch once.

Rows of any length lie end to end, and so do their pairs: no padding, no adjacency matrix. Look-ups by one list of
indices are written `index_select`, which takes a quarter of the time of `[…]`. What a network says of a
pair depends on the two features and the product of their values alone, so it is asked once for each `Distinct` pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LONGEST = 1000
"""Features a row: half a million pairs, some 50 MB. Ten thousand features would be fifty million pairs."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A batch of rows.

    Attributes:
        offsets: `(rows + 1,)` int64; row r holds the entries from offsets[r] to offsets[r + 1], none perhaps.
        features: `(entries,)` integers, indices of features; -1 is one that the vocabulary does not know.
        values: `(entries,)`; None where every value is 1.
    """

    offsets: Tensor
    features: Tensor
    values: Tensor | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Tensor:
        """Entries of each row, `(rows,)`."""
        return self.offsets.diff()

    @property
    def row_of(self) -> Tensor:
        """The row of each entry, `(entries,)`."""
        return torch.repeat_interleave(self.lengths)

    def take(self, rows: Tensor) -> Rows:
        """Return the given rows, `(n,)` int64, in that order."""
        lengths = self.lengths[rows]
        offsets = _offsets(lengths)
        entries = torch.repeat_interleave(self.offsets[rows] - offsets[:-1], lengths)
        entries += torch.arange(len(entries), device=entries.device)
        values = None if self.values is None else self.values.index_select(0, entries)
        return Rows(offsets=offsets, features=self.features.index_select(0, entries), values=values)


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Every pair of every row once, each feature with itself included: n(n + 1)/2 of a row of n.

    Attributes:
        row: `(pairs,)` rows.
        first: `(pairs,)` entries.
        second: `(pairs,)` entries, never before `first`.
        apart: `(pairs,)` bool: two different entries.
    """

    row: Tensor
    first: Tensor
    second: Tensor
    apart: Tensor


@dataclass(frozen=True, kw_only=True)
class Distinct:
    """What differs among the pairs of a batch.

    Attributes:
        low: `(distinct,)` features.
        high: `(distinct,)` features, `low` or above.
        product: `(distinct,)` products of the two values; None where all are 1.
        of_pair: `(pairs,)` indices into the others.
    """

    low: Tensor
    high: Tensor
    product: Tensor | None
    of_pair: Tensor


def as_sets(rows: Rows) -> Rows:
    """Return the rows as the sets they stand for: features rising, each once; values of one feature are added up.

    Without values a repeated feature counts once, and so do all unknown features of a row together.

    Raises:
        ValueError: A value is not finite.
    """
    if rows.values is not None and not rows.values.isfinite().all():
        raise ValueError(f"expected finite values, got {float(rows.values[~rows.values.isfinite()][0])}")
    features = rows.features.long() + 1
    width = int(features.max()) + 1 if len(features) else 1
    keys, place = torch.unique(rows.row_of * width + features, return_inverse=True)
    lengths = torch.bincount(keys // width, minlength=len(rows))
    values = None if rows.values is None else rows.values.new_zeros(len(keys)).index_add_(0, place, rows.values)
    return Rows(offsets=_offsets(lengths), features=keys % width - 1, values=values)


def pairs_of(rows: Rows) -> Pairs:
    """List the pairs row by row.

    Raises:
        ValueError: A row has more than `LONGEST` entries.
    """
    if len(rows) and int(rows.lengths.max()) > LONGEST:
        raise ValueError(f"expected at most {LONGEST} features a row, got {int(rows.lengths.max())}")
    entry = torch.arange(len(rows.features), device=rows.features.device)
    row_of = rows.row_of
    partners = rows.offsets[1:].index_select(0, row_of) - entry  # of each entry: itself and those behind it
    first = torch.repeat_interleave(entry, partners)
    second = torch.arange(len(first), device=entry.device) + (entry - _offsets(partners)[:-1]).index_select(0, first)
    return Pairs(row=row_of.index_select(0, first), first=first, second=second, apart=first != second)


def pair_keys(rows: Rows, pairs: Pairs, *, features: int) -> Tensor:
    """Return a number for each pair of features, `(pairs,)` int64: low · (features + 1) + high.

    Args:
        features: How many the vocabulary knows; the unknown one becomes index `features`.
    """
    known = torch.where(rows.features < 0, features, rows.features.long())
    first, second = known.index_select(0, pairs.first), known.index_select(0, pairs.second)
    return torch.minimum(first, second) * (features + 1) + torch.maximum(first, second)


def features_of(keys: Tensor, *, features: int) -> tuple[Tensor, Tensor]:
    """Return the two features, lower one first, that each key of `pair_keys` stands for."""
    return keys // (features + 1), keys % (features + 1)


def distinct_pairs(rows: Rows, pairs: Pairs, *, features: int) -> Distinct:
    """Find the different pairs; two pairs are the same if they have the same features and products of values."""
    keys, of_pair = torch.unique(pair_keys(rows, pairs, features=features), return_inverse=True)
    product = None
    if rows.values is not None and len(keys):
        products, product_of = torch.unique(rows.values[pairs.first] * rows.values[pairs.second], return_inverse=True)
        both, of_pair = torch.unique(of_pair * len(products) + product_of, return_inverse=True)
        keys, product = keys[both // len(products)], products[both % len(products)]
    low, high = features_of(keys, features=features)
    return Distinct(low=low, high=high, product=product, of_pair=of_pair)


def times_of(pairs: Pairs, distinct: Distinct) -> Tensor:
    """Count how often each distinct pair is (i, j) or (j, i), once if i = j: `(distinct,)` int64."""
    return torch.zeros_like(distinct.low).index_add_(0, distinct.of_pair, 1 + pairs.apart.long())


def _offsets(lengths: Tensor) -> Tensor:
    return torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
