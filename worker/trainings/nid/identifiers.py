"""Columns that only tell rows apart: networks can learn them by heart, and learn nothing about other rows."""

from __future__ import annotations

import torch

from worker.trainings._data import Feature, Table

_SHARE = 0.9
"""Of the rows with a value: a text that has so many different ones names rows rather than kinds of rows."""


def identifiers(table: Table) -> tuple[str, ...]:
    """Return the names of columns that number or name the rows."""
    return tuple(feature.name for feature in table.features if _is_identifier(feature))


def _is_identifier(feature: Feature) -> bool:
    if feature.categories is not None:
        present = int((feature.values >= 0).sum())
        return len(feature.categories) > max(2.0, _SHARE * present)
    values = feature.values.double()
    if len(values) < 3 or not bool(values.isfinite().all()):
        return False
    steps = values.sort().values.diff()
    return bool((steps == 1).all()) and bool((values == torch.floor(values)).all())
