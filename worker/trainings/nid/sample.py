"""What other methods learn from: the training rows of a search, a column a field, as plain numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.trainings.nid.encoding import Field
from worker.trainings.nid.search import Material

Floats = NDArray[np.float64]
Beat = Callable[[float], None]
"""Called with the share that is done; raises when the job was canceled."""


def silent(share: float) -> None:
    """Report nothing."""
    del share


@dataclass(frozen=True)
class Sample:
    """Rows of a table.

    Attributes:
        x: `(rows, columns)`; NaN where a number is missing, the index of a level where the column is one of categories.
        y: `(rows,)`: numbers, or class indices.
        classes: How many; 0 for numbers.
        categorical: A flag a column; empty where all are numbers.
    """

    x: Floats
    y: Floats
    classes: int = 0
    categorical: tuple[bool, ...] = ()

    @property
    def columns(self) -> int:
        return int(self.x.shape[1])

    @property
    def levels(self) -> tuple[bool, ...]:
        """Whether each column is one of categories."""
        return self.categorical or (False,) * self.columns

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Every pair of columns, as `numpy.triu_indices(columns, 1)` lists them."""
        rows, columns = np.triu_indices(self.columns, 1)
        return zip(rows.tolist(), columns.tolist(), strict=True)

    def at_most(self, rows: int, *, seed: int) -> Sample:
        """Return so many rows, drawn without replacement; all of them where there are no more."""
        if len(self.x) <= rows:
            return self
        drawn = np.sort(np.random.default_rng(seed).choice(len(self.x), rows, replace=False))
        return Sample(self.x[drawn], self.y[drawn], self.classes, self.categorical)


def sample_of(material: Material) -> Sample:
    """Return the training rows: what the networks learned from, categories joined alike."""
    fields, inputs = material.fields, material.train.x.double().numpy()
    columns = [_column(field, inputs[:, place]) for field, place in zip(fields.fields, fields.slices, strict=True)]
    labels = material.target.labels
    y = material.train.y.double().numpy()
    return Sample(
        np.stack(columns, axis=1), y[:, 0] if y.ndim > 1 else y, len(labels.classes),
        tuple(not field.numeric for field in fields.fields),
    )  # fmt: skip


def _column(field: Field, inputs: Floats) -> Floats:
    if not field.numeric:
        # A level that no training row has does not occur among training rows.
        return np.asarray(inputs.argmax(axis=1), dtype=np.float64)
    values = inputs[:, 0].copy()
    if field.levels:
        values[inputs[:, 1] > 0] = np.nan
    return values
