"""What pairs of features, or of fields, do over all training rows, strongest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jobs.errors import UnsupportedModel
from jobs.predictors.answers import By, Overall, Page
from jobs.predictors.graphs import summed
from jobs.predictors.pair_table import PairTable
from jobs.predictors.set_rows import SetRows
from jobs.predictors.table_rows import TableRows
from jobs.predictors.tensors import Floats, Indices

_MOST_LISTED = 12


@dataclass(frozen=True)
class Fields:
    """Groups of features.

    Attributes:
        of: `(features,)` the field of each.
    """

    names: tuple[str, ...]
    of: Indices


@dataclass(frozen=True)
class _FieldPairs:
    """Pairs of fields, by weight; means over the rows in which a pair of their features is.

    Attributes:
        low, high: `(pairs,)` fields.
        open: Share of the pairs of features, by row, whose gate is not 0.
    """

    low: Indices
    high: Indices
    contribution: Floats
    size: Floats
    support: Floats
    open: Floats


class Overview:
    """Pages through a table of pairs.

    Raises:
        UnsupportedModel: A feature's field is none of the fields.
    """

    def __init__(self, table: PairTable, reader: SetRows | TableRows, fields: Fields | None) -> None:
        if fields is not None and not ((fields.of >= 0) & (fields.of < len(fields.names))).all():
            raise UnsupportedModel(f"expected field_of below {len(fields.names)}")
        self._table = table
        self._reader = reader
        self._fields = fields

    def page(self, *, feature: str | None, by: By, begin: int, limit: int) -> Page:
        """Return a page.

        Args:
            feature: Only what it takes part in; of fields, a field's name.

        Raises:
            ValueError: There is no such feature or field, or there are several; or the model has no fields.
        """
        if by == "field":
            return self._page_of_fields(feature, begin, limit)
        places = self._table.places(None if feature is None else self._one(feature))
        return Page([self._pair(place) for place in places[begin : begin + limit].tolist()], len(places))

    def fields_of(self, features: Sequence[int]) -> tuple[str | None, ...] | None:
        """Return the features' fields, None of the unknown one's; None if there are no fields."""
        if self._fields is None:
            return None
        names, of = self._fields.names, self._fields.of
        return tuple(names[of[one]] if one < len(of) else None for one in features)

    def _one(self, name: str) -> int:
        found = self._reader.find(name)
        if len(found) > 1:
            raise ValueError(f"several features are called {name!r}: {self._listed(found)}; name the column too")
        if not found:
            raise ValueError(
                f"no feature of the model is called {name!r}; among others there are {self._listed([*range(3)])}"
            )
        return found[0]

    def _listed(self, features: list[int]) -> str:
        return ", ".join(self._reader.names(features[:_MOST_LISTED]))

    def _pair(self, place: int) -> Overall:
        table = self._table
        low, high = (int(one[0]) for one in table.features_of(table.keys[place : place + 1]))
        features = [low] if low == high else [low, high]
        contribution = float(table.contribution[place])
        return Overall(
            features=tuple(self._reader.names(features)), fields=self.fields_of(features),
            contribution=(contribution,), size=(abs(contribution),), support=int(table.support[place]),
            gate=float(table.gates[place]), kept_in=None if table.kept is None else int(table.kept[place]),
            spread=None if table.spread is None else float(table.spread[place]),
        )  # fmt: skip

    def _page_of_fields(self, name: str | None, begin: int, limit: int) -> Page:
        if self._fields is None:
            raise ValueError("the model has no fields, as its ids belong to none; ask by=feature")
        pairs, places = self._by_field, np.arange(len(self._by_field.low))
        if name is not None:
            if name not in self._fields.names:
                have = ", ".join(self._fields.names[:_MOST_LISTED])
                raise ValueError(f"no field of the model is called {name!r}; there are {have}")
            field = self._fields.names.index(name)
            places = places[(pairs.low == field) | (pairs.high == field)]
        items = [self._field_pair(pairs, place, self._fields.names) for place in places[begin : begin + limit].tolist()]
        return Page(items, len(places))

    def _field_pair(self, pairs: _FieldPairs, place: int, names: tuple[str, ...]) -> Overall:
        low, high = names[pairs.low[place]], names[pairs.high[place]]
        return Overall(
            features=(), fields=(low,) if low == high else (low, high),
            contribution=(float(pairs.contribution[place]),), size=(float(pairs.size[place]),),
            support=int(pairs.support[place]), gate=float(pairs.open[place]), kept_in=None, spread=None,
        )  # fmt: skip

    @cached_property
    def _by_field(self) -> _FieldPairs:
        """Add pairs of features up by field, those with the unknown feature left out."""
        assert self._fields is not None  # noqa: S101  # only asked where there are fields
        table, of = self._table, self._fields.of
        low, high = table.features_of(table.keys)
        known = high < len(of)
        one, other = of[low[known]], of[high[known]]
        count = len(self._fields.names)
        keys, place = np.unique(np.minimum(one, other) * count + np.maximum(one, other), return_inverse=True)
        support = table.support[known].astype(np.float64)
        each = table.contribution[known]
        rows = summed(place, support, len(keys))
        contribution, size, open = (
            summed(place, support * values, len(keys)) / rows for values in (each, np.abs(each), table.gates[known] > 0)
        )
        order = np.argsort(-size * rows, kind="stable")
        return _FieldPairs(
            low=keys[order] // count, high=keys[order] % count, contribution=contribution[order], size=size[order],
            support=rows[order], open=open[order],
        )  # fmt: skip
