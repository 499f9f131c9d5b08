"""A training's save points in the artifact store: tensors and JSON in one safetensors file, never a pickle."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save

from jobs.errors import NotFound
from jobs.schemas import ResumePoint
from worker.files import Files
from worker.trainings._registry import SavePoint


class StoredCheckpoints:
    """The `Checkpoints` of one attempt at a training.

    Args:
        resume: Where the job's row says that it can be taken up.
        keep: Tells the parent of a new point, which then puts it into the row; until then the old one counts.
        seconds: Between two saves, at least.
    """

    def __init__(
        self,
        files: Files,
        resume: ResumePoint | None,
        keep: Callable[[ResumePoint], None],
        *,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files = files
        self._resume = resume
        self._keep = keep
        self._seconds = seconds
        self._clock = clock
        self._saved_at = clock()

    def latest(self) -> SavePoint | None:
        """Return the job's save point; None where it has none, or its bytes are gone."""
        if self._resume is None:
            return None
        try:
            with self._files.open(self._resume.sha256) as path:
                return read_point(path)
        except NotFound:
            return None

    def due(self) -> bool:
        """Tell whether the last save was `seconds` ago."""
        return self._clock() - self._saved_at >= self._seconds

    def save(self, point: SavePoint) -> None:
        """Store the point, durably and under its digest, and then tell the parent."""
        data = write_point(point)
        sha256 = self._files.artifacts.put(data)
        self._keep(ResumePoint(sha256=sha256, size_bytes=len(data), epoch=point.epoch, saved_at=time.time()))
        self._saved_at = self._clock()


def write_point(point: SavePoint) -> bytes:
    """Return a save point as a safetensors file; JSON keeps its floats exactly, and the order of names."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in point.tensors.items()}
    document = json.dumps({"epoch": point.epoch, "values": point.values})
    data: bytes = save(tensors, {"point": document})
    return data


def read_point(path: Path) -> SavePoint:
    """Return what `write_point` wrote, in memory of its own."""
    with safe_open(path, framework="pt") as file:
        document = json.loads(file.metadata()["point"])
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118  # no mapping
    return SavePoint(epoch=document["epoch"], tensors=tensors, values=document["values"])
