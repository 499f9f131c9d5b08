"""A search for interactions that is killed and begun again ends with the numbers of an undisturbed one."""

from pathlib import Path

import numpy as np
import pytest
import torch

from worker.methods.nid.course import Course
from worker.methods.nid.descent import Recipe, Rows
from worker.methods.nid.networks import additive, mlp
from worker.methods.nid.training import finish, train
from worker.save_points import read_point, write_point
from worker.trainings import nid
from worker.trainings._data import Feature, Labels, Table
from worker.trainings._registry import SavePoint, TrainingTask
from worker.trainings.nid.params import NidParams

PARAMS = NidParams(
    hidden=(16, 8), trials=2, l1=(1e-4, 1e-2), epochs=6, patience=2, batch_size=30, cutoff=2, compare=()
)  # fmt: skip


class Killed(BaseException):
    """The process is gone."""


class Checkpoints:
    """Saves after every epoch, as files are saved, and dies after one."""

    def __init__(self, folder: Path, *, dies_after: int | None = None) -> None:
        self._path, self._dies_after = folder / "point.safetensors", dies_after
        self.epochs: list[int] = []

    def latest(self) -> SavePoint | None:
        return read_point(self._path) if self._path.exists() else None

    def due(self) -> bool:
        return True

    def save(self, point: SavePoint) -> None:
        self._path.write_bytes(write_point(point))
        self.epochs.append(point.epoch)
        if point.epoch == self._dies_after:
            raise Killed


def table() -> Table:
    x = np.random.default_rng(0).uniform(-1, 1, (150, 3))
    features = tuple(Feature(name=name, values=torch.from_numpy(x[:, k].copy())) for k, name in enumerate("abc"))
    y = torch.from_numpy(3 * x[:, 0] * x[:, 1] + x[:, 2])
    return Table(features=features, labels=Labels(task="regression", values=y), rows=len(y))


def searched(checkpoints: Checkpoints, told: list[tuple[str, int]] | None = None):
    def report(stage, done, total, metrics=None):
        if told is not None:
            told.append((stage, done))

    task = TrainingTask(data=table(), checkpoints=checkpoints, report=report)
    return nid.train(task, PARAMS).result.model_dump()


def test_a_search_killed_in_either_stage_ends_like_an_undisturbed_one(tmp_path: Path):
    whole = Checkpoints(tmp_path)
    expected = searched(whole)
    first, last = whole.epochs[0], whole.epochs[-1]
    assert (first, last > 8) == (1, True), "the second stage has begun"

    for epochs in (2, 5, last - 1):
        folder = tmp_path / str(epochs)
        folder.mkdir()
        with pytest.raises(Killed):
            searched(Checkpoints(folder, dies_after=epochs))
        told: list[tuple[str, int]] = []
        again = Checkpoints(folder)

        assert searched(again, told) == expected
        assert again.epochs == list(range(epochs + 1, last + 1)), "no epoch is done twice"
        assert told[0] == (("train", epochs) if epochs <= 6 else ("cutoff", epochs - 6))


@pytest.mark.parametrize("parts", ["MLP-M", "additive"])
def test_a_course_goes_on_from_its_tensors_to_the_last_bit(parts: str):
    x = torch.randn(120, 4, generator=torch.Generator().manual_seed(1))
    rows = Rows(x, x[:, :1] * x[:, 1:2])
    design = (
        mlp(4, 1, members=3, mains=True, hidden=(8, 6))
        if parts == "MLP-M"
        else additive(4, 1, [[], [(0, 1)], [(0, 1), (1, 2)]], hidden=(8, 6))
    )
    rates = torch.tensor([0.0, 10.0, 1e-3])  # the second leaves first
    recipe = Recipe(task="regression", l1=rates, batch=25, epochs=9, patience=2)
    whole = train(design, rows, rows, recipe, seeds=(1, 2, 3))

    course = Course.fresh(design, (1, 2, 3))
    laid_down: list[dict[str, torch.Tensor]] = []
    finish(course, rows, rows, recipe, keep=lambda: laid_down.append(course.tensors()))

    for tensors in laid_down:
        found = finish(Course.restored(design, tensors), rows, rows, recipe)
        assert found.history == whole.history
        assert torch.equal(found.parameters.deep, whole.parameters.deep)
        assert torch.equal(found.parameters.mains, whole.parameters.mains)
        assert torch.equal(found.epochs, whole.epochs)
