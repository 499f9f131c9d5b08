"""Logs with known pairs, and save points in memory."""

from __future__ import annotations

import torch

from worker.trainings._data import Feature, Labels, Sets, Table
from worker.trainings._registry import SavePoint

FIELDS, LEVELS, ROWS = 4, 3, 600
FEATURES = FIELDS * LEVELS
FIRST_ID = 100


def planted(rows: int = ROWS) -> Sets:
    """One feature a field; the label is 1 just if the first two fields agree in parity: no feature tells alone."""
    levels = torch.randint(LEVELS, (rows, FIELDS), generator=torch.Generator().manual_seed(0))
    labels = ((levels[:, 0] + levels[:, 1]) % 2).long()
    features = (levels + LEVELS * torch.arange(FIELDS)).int().flatten()
    names = tuple("abcd"[:FIELDS])
    return sets(labels, features=features, offsets=torch.arange(rows + 1) * FIELDS, fields=names)


def sets(labels: torch.Tensor, classes: tuple[str, ...] = ("no", "yes"), **changes: object) -> Sets:
    """Rows of one feature each, unless changed."""
    rows = len(labels)
    held = Labels(task="binary" if classes else "regression", values=labels, classes=classes)
    defaults = {
        "offsets": torch.arange(rows + 1), "features": torch.zeros(rows, dtype=torch.int32), "values": None,
        "vocabulary": torch.arange(FEATURES) + FIRST_ID,
    }  # fmt: skip
    return Sets(**{**defaults, **changes}, labels=held)  # type: ignore[arg-type]


def table(labels: torch.Tensor, *features: Feature) -> Table:
    classes = () if labels.is_floating_point() else ("no", "yes")
    held = Labels(task="binary" if classes else "regression", values=labels, classes=classes)
    return Table(features=features, labels=held, rows=len(labels))


def number(name: str, values: list[float]) -> Feature:
    return Feature(name=name, values=torch.tensor(values, dtype=torch.float64))


def text(name: str, codes: list[int], categories: tuple[str, ...]) -> Feature:
    return Feature(name=name, values=torch.tensor(codes, dtype=torch.int32), categories=categories)


class Killed(Exception):
    """The process is gone."""


class Kept:
    """Save points in memory, after every epoch; optionally dies instead of the given save."""

    def __init__(self, point: SavePoint | None = None, *, dies_at: int | None = None) -> None:
        self.points: list[SavePoint] = []
        self._point = point
        self._dies_at = dies_at

    def latest(self) -> SavePoint | None:
        return self.points[-1] if self.points else self._point

    def due(self) -> bool:
        return True

    def save(self, point: SavePoint) -> None:
        if self._dies_at is not None and len(self.points) >= self._dies_at:
            raise Killed
        self.points.append(point)
