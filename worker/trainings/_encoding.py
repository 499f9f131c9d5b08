"""A table's columns → a network's inputs, as the manifest of the new model states it (`FeatureEncoding`).

Numbers are standardised with the mean and standard deviation of the training rows; a category becomes a 1 among as
many inputs as there are categories. A missing number is the mean (0 after standardising), a missing text 0 everywhere.
"""

from __future__ import annotations

import torch
from torch import Tensor

from jobs.schemas import FeatureColumn, FeatureEncoding
from worker.trainings._data import Feature, Table


def fitted_encoding(table: Table, rows: Tensor) -> FeatureEncoding:
    """Return the encoding whose means and deviations are those of `rows`, `(n,)` indices."""
    return FeatureEncoding(columns=tuple(_column(feature, rows) for feature in table.features))


def _column(feature: Feature, rows: Tensor) -> FeatureColumn:
    if feature.categories is not None:
        return FeatureColumn(name=feature.name, categories=feature.categories)
    values = feature.values[rows]
    values = values[~values.isnan()]
    if not len(values):
        return FeatureColumn(name=feature.name)
    std = float(values.std(correction=0))
    # A constant column stays 0 rather than becoming NaN; it predicts nothing either way.
    return FeatureColumn(name=feature.name, mean=float(values.mean()), std=std if std > 0 else 1.0)


def encoded(table: Table, encoding: FeatureEncoding, rows: Tensor) -> Tensor:
    """Return the inputs of `rows`: `(len(rows), inputs)` float32.

    Raises:
        ValueError: The table's columns are not those of the encoding.
    """
    if [feature.name for feature in table.features] != [column.name for column in encoding.columns]:
        raise ValueError("expected the columns of the encoding, in its order")
    pairs = zip(table.features, encoding.columns, strict=True)
    return torch.cat([_inputs(feature, column, rows) for feature, column in pairs], dim=1)


def _inputs(feature: Feature, column: FeatureColumn, rows: Tensor) -> Tensor:
    values = feature.values[rows]
    if column.categories is None:
        return ((values - column.mean) / column.std).nan_to_num(nan=0.0).float()[:, None]
    codes = _codes_in(feature, column)[values.long()]  # -1 finds the last entry, which stands for missing
    return torch.nn.functional.one_hot(codes, len(column.categories) + 1)[:, :-1].float()


def _codes_in(feature: Feature, column: FeatureColumn) -> Tensor:
    """Return the encoding's code of each of the table's categories; one beyond the last where it has none."""
    categories = column.categories or ()
    known = {category: code for code, category in enumerate(categories)}
    return torch.tensor([*(known.get(text, len(categories)) for text in feature.categories or ()), len(categories)])
