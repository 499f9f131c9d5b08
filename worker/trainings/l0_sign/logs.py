"""A dataset as L0-SIGN reads it: rows of features, of which rare ones are unknown.

In sets a feature is an id. In a table it is a category of a column, or a column of numbers, whose standardised value
multiplies its embedding: 0, the mean, says nothing. A missing value is no feature of its row. A feature in fewer than
`least_support` training rows is unknown: all unknown features share one embedding, which is trained on them, so that
it is prepared for features that come only later.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from jobs.errors import InputTooLarge, InvalidInput
from jobs.schemas import FeatureColumn, FeatureEncoding
from worker.methods.l0_sign.pairs import Rows, as_sets
from worker.trainings._data import Data, Feature, Sets, Table
from worker.trainings._encoding import fitted_encoding

UNKNOWN = "(unknown)"


@dataclass(frozen=True, kw_only=True)
class Log:
    """Rows of known features.

    Attributes:
        rows: Sets of features; of a published network lists, with order and repeats. -1 is an unknown one.
        by_field: The same with one entry a field, in their order; None without fields, or where one is absent.
        features: How many are known.
        support: `(features + 1,)` training rows that hold each; the last counts unknown ones.
        fields: Names, where every feature belongs to one; else empty.
        field_of: `(features,)` index of its field; None without fields.
        vocabulary: `(features,)` int64 ids, of sets.
        encoding: Of a table; the features are `encoding.names`, in that order.
    """

    rows: Rows
    by_field: Rows | None
    features: int
    support: Tensor
    fields: tuple[str, ...] = ()
    field_of: Tensor | None = None
    vocabulary: Tensor | None = None
    encoding: FeatureEncoding | None = None
    notes: tuple[str, ...] = ()

    def names(self, features: list[int]) -> list[str]:
        """Return what features are called: `column=category`, a column of numbers, or the id as the file has it."""
        if self.vocabulary is not None:
            return [str(int(self.vocabulary[one])) if one < self.features else UNKNOWN for one in features]
        known = self.encoding.names if self.encoding is not None else ()
        return [known[one] if one < self.features else UNKNOWN for one in features]


def log_of(data: Data, train: Tensor, *, least_support: int, published: bool) -> Log:
    """Read a dataset.

    Args:
        train: `(n,)` row indices from which support, means and deviations are taken.
        published: Keep rows as they are in the file, without values.

    Raises:
        InvalidInput: A value is not finite, or no feature is known.
        InputTooLarge: A column has too many categories.
    """
    if isinstance(data, Sets):
        log = _of_sets(data, train, least_support, published=published)
    elif isinstance(data, Table):
        log = _of_table(data, train, least_support)
    else:
        raise InvalidInput("expected sets of features or a table, got pictures")
    if published:
        return replace(log, rows=Rows(offsets=log.rows.offsets, features=log.rows.features))
    return replace(log, rows=_checked_sets(log.rows))


def _of_sets(data: Sets, train: Tensor, least_support: int, *, published: bool) -> Log:
    given = Rows(offsets=data.offsets, features=data.features, values=data.values)
    support = _support(as_sets(Rows(offsets=given.offsets, features=given.features)), train, len(data.vocabulary))
    kept = (support >= least_support).nonzero()[:, 0]
    if not len(kept):
        raise InvalidInput(f"no id is in {least_support} of the rows that are learned from; lower least_support")
    place = torch.full((len(data.vocabulary),), -1)
    place[kept] = torch.arange(len(kept))
    rows = Rows(offsets=given.offsets, features=place[given.features.long()], values=given.values)
    fields, notes = _fields(data), list[str]()
    if data.fields and fields is None:
        notes.append("There is no view by field, as some ids stand in several columns.")
    if published and data.values is not None:
        notes.append("The published code ignores values; every value counts as 1.")
    return Log(
        rows=rows, by_field=rows if fields is not None else None, features=len(kept),
        support=_with_unknown(rows, support[kept], train),
        fields=data.fields if fields is not None else (), field_of=None if fields is None else fields[kept],
        vocabulary=data.vocabulary[kept], notes=tuple(notes),
    )  # fmt: skip


def _support(rows: Rows, train: Tensor, features: int) -> Tensor:
    """Count training rows with each feature; `rows` are sets."""
    return torch.bincount(rows.take(train).features, minlength=features)


def _with_unknown(rows: Rows, support: Tensor, train: Tensor) -> Tensor:
    """Append how many training rows hold an unknown feature."""
    taken = rows.take(train)
    unknown = torch.unique(taken.row_of[taken.features < 0])
    return torch.cat([support, torch.tensor([len(unknown)])])


def _fields(data: Sets) -> Tensor | None:
    """Return the column in which each id stands, `(vocabulary,)`; None without fields, or where an id changes it."""
    if not data.fields:
        return None
    column = torch.arange(len(data.features)) % len(data.fields)
    first, last = (
        torch.zeros(len(data.vocabulary), dtype=torch.int64).scatter_reduce_(
            0, data.features.long(), column, reduce, include_self=False
        )
        for reduce in ("amin", "amax")
    )
    return first if bool((first == last).all()) else None


def _of_table(table: Table, train: Tensor, least_support: int) -> Log:
    columns, features, values = list[FeatureColumn](), list[Tensor](), list[Tensor]()
    begin, notes = 0, list[str]()
    for feature in table.features:
        if feature.categories is None:
            column = fitted_encoding(replace(table, features=(feature,)), train).columns[0]
            one, value = _number(feature, column, begin)
        else:
            column, one = _category(feature, train, least_support, begin)
            value = torch.ones(len(one))
            notes += _on_rare(feature.name, column, one[train], begin, least_support)
        columns.append(column)
        features.append(one)
        values.append(value)
        begin += len(column.categories or (None,))
    rows = _in_rows(torch.stack(features, 1), torch.stack(values, 1))
    plain = all(column.categories is not None for column in columns)
    rows = Rows(offsets=rows.offsets, features=rows.features, values=None if plain else rows.values)
    known = rows.take(train).features
    return Log(
        rows=rows, by_field=rows if bool((rows.lengths == len(columns)).all()) else None, features=begin,
        support=_with_unknown(rows, torch.bincount(known[known >= 0], minlength=begin), train),
        fields=tuple(column.name for column in columns),
        field_of=torch.tensor([place for place, one in enumerate(columns) for _ in one.categories or (None,)]),
        encoding=FeatureEncoding(columns=tuple(columns)), notes=tuple(notes),
    )  # fmt: skip


_ABSENT = -2
_LARGEST = 3.4e38
"""Of float32."""
_MOST_CATEGORIES = 100_000
"""That a manifest lists."""


def _number(feature: Feature, column: FeatureColumn, begin: int) -> tuple[Tensor, Tensor]:
    """Return each row's feature, or `_ABSENT`, and its standardised value.

    Raises:
        InvalidInput: A value is beyond float32, in which rows are predicted.
    """
    if len(beyond := feature.values[feature.values.abs() > _LARGEST]):
        raise InvalidInput(
            f"the column {feature.name!r} holds {float(beyond[0]):g}, expected numbers up to {_LARGEST:g}; scale it"
        )
    values = (feature.values - column.mean) / column.std
    present = torch.where(values.isnan(), _ABSENT, begin)
    return present, values.nan_to_num(nan=0.0).float()


def _category(feature: Feature, train: Tensor, least_support: int, begin: int) -> tuple[FeatureColumn, Tensor]:
    """Return the column with its frequent categories, and each row's feature: -1 of a rare one, `_ABSENT` of none."""
    categories = feature.categories or ()
    codes = feature.values.long()
    taken = codes[train]
    support = torch.bincount(taken[taken >= 0], minlength=len(categories))
    kept = (support >= least_support).nonzero()[:, 0]
    # A column has one category at least, so that it is one of categories; but not all of a column of identifiers.
    kept = kept if len(kept) else support.argmax()[None]
    place = torch.full((len(categories) + 1,), -1)
    place[-1] = _ABSENT  # code -1 finds the last entry
    place[kept] = begin + torch.arange(len(kept))
    if len(kept) > _MOST_CATEGORIES:
        raise InputTooLarge(
            f"the column {feature.name!r} has {len(kept)} categories in {least_support} training rows or more, "
            f"expected at most {_MOST_CATEGORIES}: raise least_support, or send the rows as sets"
        )
    names = tuple(categories[one] for one in kept.tolist())
    return FeatureColumn(name=feature.name, categories=names), place[codes]


def _on_rare(name: str, column: FeatureColumn, taken: Tensor, begin: int, least_support: int) -> list[str]:
    """Return a note on a column of identifiers: `taken` are its features in the training rows."""
    known = int((taken >= begin).sum())
    if len(column.categories or ()) > 1 or known >= least_support:
        return []
    return [
        f"No category of {name!r} is in {least_support} training rows, so nearly all of them are unknown; leave the "
        "column out."
    ]


def _in_rows(features: Tensor, values: Tensor) -> Rows:
    """Lay `(rows, columns)` end to end, without what is absent."""
    present = features != _ABSENT
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), present.sum(1).cumsum(0)])
    return Rows(offsets=offsets, features=features[present], values=values[present])


def _checked_sets(rows: Rows) -> Rows:
    try:
        return as_sets(rows)
    except ValueError as error:
        raise InvalidInput(str(error)) from error
