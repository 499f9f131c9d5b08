"""A column's cells → the inputs of an additive model, as `worker.trainings.nid.encoding` made them for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.predictors.cells import MISSING, UNKNOWN, codes, numbers
from jobs.predictors.faults import Faults
from jobs.predictors.tensors import Floats
from jobs.row_models import AdditiveColumn


@dataclass(frozen=True)
class Encoded:
    """Inputs of one column.

    Attributes:
        inputs: `(rows, width)`.
        unknown: `(rows,)` bool: the category is not among those that the training rows had.
        unprepared: `(rows,)` bool: the value is missing, which none was in the training rows.
    """

    inputs: Floats
    unknown: NDArray[np.bool_]
    unprepared: NDArray[np.bool_]


def encoded(column: AdditiveColumn, cells: Sequence[Any], faults: Faults) -> Encoded:
    """Encode one column.

    Raises:
        InvalidParameters: A cell is of another type.
    """
    return _number(column, cells, faults) if column.categories is None else _category(column, cells, faults)


def _number(column: AdditiveColumn, cells: Sequence[Any], faults: Faults) -> Encoded:
    values = numbers(cells, column.name, faults)
    absent = np.isnan(values)
    standardised = np.where(absent, 0.0, (values - column.mean) / column.std)
    with np.errstate(over="ignore"):  # what is infinite then is refused with its prediction
        standardised = standardised.astype(np.float32).astype(np.float64)  # as the networks learned from
    inputs = np.stack([standardised, absent.astype(np.float64)][: column.width], axis=1)
    return Encoded(inputs, np.zeros_like(absent), absent & (not column.missing))


def _category(column: AdditiveColumn, cells: Sequence[Any], faults: Faults) -> Encoded:
    categories = column.categories or ()
    found = codes(cells, categories, column.name, faults)
    unknown, absent = found == UNKNOWN, found == MISSING
    place = found.copy()
    # What has no input of its own is 0 everywhere: it goes beyond the last, which is cut off.
    place[unknown] = len(categories) if column.other else column.width
    place[absent] = len(categories) + column.other if column.missing else column.width
    inputs = np.eye(column.width + 1)[place][:, : column.width]
    return Encoded(inputs, unknown, absent & (not column.missing))
