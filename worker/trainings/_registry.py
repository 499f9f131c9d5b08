"""The registry of training methods: what a training module declares, what it is given, and what it gives back.

A training is one module or package here: a docstring with its source, a `Params` model with described defaults, one
`@register_training`ed entry point, pure functions on tensors below it. `jobs/catalog.json` is generated from this
registry too, so that the gateway checks a request without importing any of it.

A training survives the death of its process by `checkpoints`: it saves what it needs to go on, and begins by asking
for the latest. Whatever it draws at random in an epoch must follow from the seed and the epoch's number (or from what
it saved), so that a resumed run ends with the same numbers as an undisturbed one.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from jobs.datasets import DatasetKind, Task
from jobs.schemas import Architecture, Manifest
from jobs.trainings import Start, TrainingResult
from worker.methods._registry import Params
from worker.trainings._data import Data


class TrainingReport(Protocol):
    """`report(stage, done, total, metrics)`: progress; raises when the job was canceled, so call it in every batch."""

    def __call__(self, stage: str, done: int, total: int, metrics: Mapping[str, float] | None = None) -> None: ...


@dataclass(frozen=True, kw_only=True)
class SavePoint:
    """A state to go on from.

    Attributes:
        epoch: Epochs that are done.
        tensors: Weights, optimizer state and whatever else is large; on the CPU.
        values: The rest: curves so far, best epoch, counters. JSON, floats exactly.
    """

    epoch: int
    tensors: Mapping[str, Tensor]
    values: Mapping[str, JsonValue]


class Checkpoints(Protocol):
    """Where a training keeps what it would need after the death of its process."""

    def latest(self) -> SavePoint | None:
        """Return what the last attempt, or the job that this one repeats, saved last; None at a first start."""

    def due(self) -> bool:
        """Tell whether the last save is so long ago that it is time for another."""

    def save(self, point: SavePoint) -> None:
        """Keep `point`; it replaces the one before. Costs a copy of the tensors and a write to disk."""


class NoCheckpoints:
    """Keeps nothing: for a training that is called without a service."""

    def latest(self) -> SavePoint | None:
        return None

    def due(self) -> bool:
        return False

    def save(self, point: SavePoint) -> None:
        del point


def _silent(stage: str, done: int, total: int, metrics: Mapping[str, float] | None = None) -> None:
    del stage, done, total, metrics


@dataclass(frozen=True, kw_only=True)
class TrainingTask:
    """What a training is given.

    Attributes:
        data: Of one of the kinds that the method declares.
        start: The model to go on from, on `device`, in eval mode, parameters frozen (train a deep copy); None unless
            one was named.
        manifest: Of `start`.
        architecture: To be trained from random weights; None unless one was given.
        name: Of the new model.
        seed: Of every random draw.
        chunk: Samples that may go forward and backward at once under the memory budget, as far as it is known.
    """

    data: Data
    start: nn.Module | None = None
    manifest: Manifest | None = None
    architecture: Architecture | None = None
    name: str = "model"
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    chunk: int = 32
    report: TrainingReport = _silent
    checkpoints: Checkpoints = field(default_factory=NoCheckpoints)


@dataclass(frozen=True, kw_only=True)
class NewModel:
    """A model that a training made: its weights, and the manifest with which they are loaded like an upload.

    Attributes:
        state: As `worker.models.load` takes it for `manifest`, on the CPU.
        epoch: At which epoch's end it was like this; None where that has no meaning.
    """

    state: Mapping[str, Tensor]
    manifest: Manifest
    epoch: int | None = None


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a training gives back.

    Attributes:
        models: The result last, checkpoints of it that shall be models too before it; may be empty.
    """

    result: TrainingResult
    models: tuple[NewModel, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TrainingMethod:
    """A registered training method."""

    id: str
    title: str
    summary: str
    source: str
    params: type[Params]
    train: Callable[[TrainingTask, Any], Trained]
    datasets: tuple[DatasetKind, ...]
    tasks: tuple[Task, ...]
    starts: tuple[Start, ...]
    least_rows: int
    most_inputs: int | None
    longest_row: int | None


P = TypeVar("P", bound=Params)

_trainings: dict[str, TrainingMethod] = {}


def register_training(
    id: str,
    *,
    title: str,
    summary: str,
    source: str,
    params: type[P],
    datasets: tuple[DatasetKind, ...],
    tasks: tuple[Task, ...] = ("regression", "binary", "multiclass"),
    starts: tuple[Start, ...] = ("model", "architecture"),
    least_rows: int = 2,
    most_inputs: int | None = None,
    longest_row: int | None = None,
) -> Callable[[Callable[[TrainingTask, P], Trained]], Callable[[TrainingTask, P], Trained]]:
    """Register the decorated function as the entry point of training method `id`.

    Args:
        datasets: Kinds of datasets that it takes.
        tasks: What it can learn.
        starts: What it may start from; `none` where the method makes its own network.
        least_rows: A dataset with fewer rows is refused at once.
        most_inputs: A table of more inputs, every category counted, is refused at once; None: there is no limit.
        longest_row: A dataset with a set of more ids, or of more columns, is refused at once; None: there is no limit.

    Raises:
        ValueError: The id is taken.
    """

    def add(train: Callable[[TrainingTask, P], Trained]) -> Callable[[TrainingTask, P], Trained]:
        if id in _trainings:
            raise ValueError(f"expected a new training id, got {id!r}, which is registered already")
        _trainings[id] = TrainingMethod(
            id=id, title=title, summary=summary, source=source, params=params, train=train, datasets=datasets,
            tasks=tasks, starts=starts, least_rows=least_rows, most_inputs=most_inputs,
            longest_row=longest_row,
        )  # fmt: skip
        return train

    return add


def trainings() -> Mapping[str, TrainingMethod]:
    """Import every public module of `worker.trainings` and return what they registered, by id."""
    import worker.trainings as package

    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_"):
            importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(_trainings.items()))
