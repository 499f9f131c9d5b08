"""Save points: what is written comes back exactly, and nothing of it is ever a pickle."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from jobs.artifacts import ArtifactStore
from jobs.schemas import ResumePoint
from worker.files import Files
from worker.save_points import StoredCheckpoints, read_point, write_point
from worker.trainings._registry import SavePoint

POINT = SavePoint(
    epoch=3,
    tensors={"a": torch.tensor([0.1, 2.0]), "step": torch.tensor(7), "view": torch.eye(3)[:, 1]},
    values={"z": 1, "history": {"loss": [0.1 + 0.2, 1e-300], "a": []}, "none": None},
)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(ArtifactStore((tmp_path / "bytes").as_uri()))


def same(one: SavePoint, other: SavePoint) -> bool:
    tensors = one.tensors.keys() == other.tensors.keys() and all(
        torch.equal(one.tensors[key], other.tensors[key]) for key in one.tensors
    )
    return tensors and (one.epoch, one.values, [*one.values]) == (other.epoch, other.values, [*other.values])


def test_a_point_comes_back_exactly(tmp_path: Path):
    (tmp_path / "point").write_bytes(write_point(POINT))

    assert same(read_point(tmp_path / "point"), POINT)


def test_a_point_is_stored_before_its_parent_hears_of_it(files: Files):
    told: list[tuple[ResumePoint, bool]] = []

    def keep(point: ResumePoint) -> None:
        told.append((point, files.artifacts.exists(point.sha256)))

    StoredCheckpoints(files, None, keep, seconds=30).save(POINT)

    ((point, there),) = told
    assert there
    assert (point.epoch, point.size_bytes) == (3, len(files.artifacts.get(point.sha256)))
    latest = StoredCheckpoints(files, point, keep, seconds=30).latest()
    assert latest is not None
    assert same(latest, POINT)


def test_without_a_point_or_its_bytes_a_training_begins_anew(files: Files):
    gone = ResumePoint(sha256="0" * 64, size_bytes=1, epoch=1, saved_at=0.0)

    assert StoredCheckpoints(files, None, lambda point: None, seconds=1).latest() is None
    assert StoredCheckpoints(files, gone, lambda point: None, seconds=1).latest() is None


def test_a_save_is_due_after_some_seconds(files: Files):
    now = 0.0
    checkpoints = StoredCheckpoints(files, None, lambda point: None, seconds=30, clock=lambda: now)
    assert not checkpoints.due()
    now = 30.0
    assert checkpoints.due()
    checkpoints.save(POINT)
    assert not checkpoints.due()
