"""Columns of a table become fields: groups of a network's inputs that stand for one column.

A number is standardised by the training rows; where some lack it, they get the mean and a second input that says so. A
category is a 1 among as many inputs as there are levels: the frequent categories, all others together, and missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jobs.errors import InputTooLarge, InvalidInput
from worker.trainings._data import Feature, Table
from worker.trainings.nid.moments import moments

MOST_INPUTS = 1024
OTHER, MISSING = "(other)", "(missing)"


@dataclass(frozen=True)
class Field:
    """One column as inputs.

    Attributes:
        mean, std: Of a numeric column.
        codes: Of a categorical one: the table's codes that have a level of their own.
        levels: Names of the inputs but the first of a number: categories, `(other)`, `(missing)`.
    """

    feature: Feature
    mean: float = 0.0
    std: float = 1.0
    codes: tuple[int, ...] = ()
    levels: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.feature.name

    @property
    def numeric(self) -> bool:
        return self.feature.categories is None

    @property
    def width(self) -> int:
        """How many inputs stand for it."""
        return len(self.levels) + self.numeric

    def encode(self, rows: Tensor) -> Tensor:
        """Return the inputs of `rows`, `(len(rows), width)`."""
        values = self.feature.values[rows]
        if not self.numeric:
            return torch.nn.functional.one_hot(self._levels_of(values), len(self.levels) + 1)[:, :-1].float()
        columns = [self.standardised(values.double())]
        if self.levels:
            columns.append(values.isnan().float())
        return torch.stack(columns, dim=1)

    def standardised(self, values: Tensor) -> Tensor:
        """Return numbers as networks take them; the mean where missing."""
        return ((values - self.mean) / self.std).nan_to_num(nan=0.0).float()

    def _levels_of(self, codes: Tensor) -> Tensor:
        """Return every row's level; one beyond the last where training rows had none such."""
        nowhere = len(self.levels)
        other = self.levels.index(OTHER) if OTHER in self.levels[len(self.codes) :] else nowhere
        missing = self.levels.index(MISSING) if MISSING in self.levels[len(self.codes) :] else nowhere
        place = torch.full((len(self.feature.categories or ()) + 1,), other)
        place[-1] = missing  # code -1 finds the last entry
        place[list(self.codes)] = torch.arange(len(self.codes))
        return place[codes.long()]


@dataclass(frozen=True)
class Fields:
    """All columns that vary, side by side.

    Attributes:
        dropped: Names of columns that are the same in all training rows.
        joined: Names of columns with categories that share one input.
    """

    fields: tuple[Field, ...]
    dropped: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.fields)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)

    @property
    def joined(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields if OTHER in field.levels[len(field.codes) :])

    @property
    def inputs(self) -> int:
        return sum(field.width for field in self.fields)

    @property
    def slices(self) -> tuple[slice, ...]:
        """Where each field's inputs are."""
        ends = torch.tensor([field.width for field in self.fields]).cumsum(0).tolist()
        return tuple(slice(end - field.width, end) for field, end in zip(self.fields, ends, strict=True))

    def encode(self, rows: Tensor) -> Tensor:
        """Return the inputs of `rows`: `(len(rows), inputs)` float32."""
        return torch.cat([field.encode(rows) for field in self.fields], dim=1)

    def columns_of(self, members: Sequence[int]) -> list[int]:
        """Return the inputs of some fields."""
        return [column for member in members for column in range(*self.slices[member].indices(self.inputs))]


def fitted_fields(table: Table, train: Tensor, *, most_categories: int) -> Fields:
    """Make the fields of a table, by its training rows.

    Raises:
        InvalidInput: Fewer than two columns vary.
        InputTooLarge: There would be too many inputs.
    """
    made = [(feature, _field(feature, train, most_categories)) for feature in table.features]
    fields = Fields(
        tuple(field for _, field in made if field is not None),
        tuple(feature.name for feature, field in made if field is None),
    )
    if len(fields) < 2:
        same = f"; the same in all: {', '.join(fields.dropped[:20])}" if fields.dropped else ""
        raise InvalidInput(
            f"expected two columns or more that vary over the rows that are learned from, got {len(fields)}{same}"
        )
    if fields.inputs > MOST_INPUTS:
        raise InputTooLarge(
            f"the columns make {fields.inputs} inputs, more than {MOST_INPUTS}; leave columns out, or lower "
            "most_categories"
        )
    return fields


def _field(feature: Feature, train: Tensor, most_categories: int) -> Field | None:
    values = feature.values[train]
    return _number(feature, values.double()) if feature.categories is None else _category(
        feature, values.long(), most_categories
    )  # fmt: skip


def _number(feature: Feature, values: Tensor) -> Field | None:
    missing = bool(values.isnan().any())
    values = values[~values.isnan()]
    mean, std = moments(values) if len(values) else (0.0, 0.0)
    if std == 0 and not (missing and len(values)):
        return None
    return Field(feature, mean=mean, std=std or 1.0, levels=(MISSING,) if missing else ())


def _category(feature: Feature, codes: Tensor, most: int) -> Field | None:
    counts = torch.bincount(codes[codes >= 0], minlength=len(feature.categories or ()))
    order = torch.argsort(counts, descending=True, stable=True)
    present = order[counts[order] > 0].tolist()
    kept = sorted(present[:most])
    rest = ([OTHER] if len(present) > most else []) + ([MISSING] if bool((codes < 0).any()) else [])
    levels = (*((feature.categories or ())[code] for code in kept), *rest)
    return Field(feature, codes=tuple(kept), levels=levels) if len(levels) > 1 else None
