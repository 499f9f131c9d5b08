"""Several trainings in one job, one after the other, with one save point: a killed job goes on where it was.

A stage is one network's training. What it saved last is kept when it ends, so that asking for it again after a kill
gives it back at once, and so that it can be taken further, as a search does with its better candidates.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import JsonValue

from worker.trainings._registry import SavePoint, TrainingTask


class Stages:
    """The stages of a job.

    Args:
        epochs: Of all stages together, at most; for progress.
    """

    def __init__(self, task: TrainingTask, *, epochs: int) -> None:
        self.task = task
        self._total = epochs
        self._planned = 0
        self._points: dict[str, SavePoint] = {}
        self._epochs: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        self._memory: dict[str, JsonValue] = {}
        if point := task.checkpoints.latest():
            self._restore(point)

    def stage(
        self, name: str, text: str, *, epochs: int, after: int = 0, seed: int | None = None,
        beside: Mapping[str, float] | None = None,
    ) -> TrainingTask:  # fmt: skip
        """Return the task of one stage; `fit` goes on with what the stage saved last, if it was begun before.

        Args:
            text: What progress says.
            epochs: That it is to have when it ends, at most.
            after: That it had when it was last asked for.
            seed: Of the stage, where it differs from the job's.
            beside: Numbers to report with the stage's own.
        """
        before = self._planned - after
        self._planned += epochs - after

        def report(stage: str, done: int, total: int, metrics: Mapping[str, float] | None = None) -> None:
            del stage, total
            self.task.report(text, before + done, self._total, {**(beside or {}), **(metrics or {})})

        seed = self.task.seed if seed is None else seed
        return replace(self.task, seed=seed, report=report, checkpoints=_Part(self, name))

    def settle(self, name: str) -> None:
        """Forget what only taking the stage further would need."""
        point = self._points[name]
        kept = {key: one for key, one in point.tensors.items() if not key.startswith("optimizer/")}
        self._points[name] = replace(point, tensors=kept)

    def drop(self, name: str) -> None:
        """Forget a stage that is not asked for again."""
        self._points.pop(name, None)

    def recall(self, key: str) -> Any:
        """Return what was remembered under `key`, also before a kill; None where nothing was."""
        return copy.deepcopy(self._memory.get(key))

    def remember(self, key: str, value: JsonValue) -> None:
        """Keep a JSON value with the next save point."""
        self._memory[key] = copy.deepcopy(value)

    def seconds(self, name: str) -> float:
        """Return how long a stage took; what a kill undid does not count."""
        return self._seconds.get(name, 0.0)

    def latest(self, name: str) -> SavePoint | None:
        """Return where a stage is."""
        return self._points.get(name)

    def note(self, name: str, point: SavePoint, seconds: float) -> None:
        """Keep where a stage is, and save the whole job when that is due."""
        self._points[name], self._epochs[name] = point, point.epoch
        self._seconds[name] = self.seconds(name) + seconds
        if self.task.checkpoints.due():
            self.task.checkpoints.save(self._whole())

    def _whole(self) -> SavePoint:
        tensors = {
            f"{name}//{key}": tensor for name, point in self._points.items() for key, tensor in point.tensors.items()
        }
        values: dict[str, Any] = {
            "points": {name: {"epoch": one.epoch, "values": one.values} for name, one in self._points.items()},
            "epochs": self._epochs, "seconds": self._seconds, "memory": self._memory,
        }  # fmt: skip
        return SavePoint(epoch=sum(self._epochs.values()), tensors=tensors, values=copy.deepcopy(values))

    def _restore(self, point: SavePoint) -> None:
        values: Any = copy.deepcopy(point.values)
        self._epochs, self._seconds, self._memory = values["epochs"], values["seconds"], values["memory"]
        for name, held in values["points"].items():
            prefix = f"{name}//"
            tensors = {key.removeprefix(prefix): one for key, one in point.tensors.items() if key.startswith(prefix)}
            self._points[name] = SavePoint(epoch=held["epoch"], tensors=tensors, values=held["values"])


class _Part:
    """The `Checkpoints` of one stage."""

    def __init__(self, stages: Stages, name: str) -> None:
        self._stages = stages
        self._name = name
        self._since = time.monotonic()

    def latest(self) -> SavePoint | None:
        return self._stages.latest(self._name)

    def due(self) -> bool:
        return self._stages.task.checkpoints.due()

    def save(self, point: SavePoint) -> None:
        now = time.monotonic()
        self._stages.note(self._name, point, now - self._since)
        self._since = now
