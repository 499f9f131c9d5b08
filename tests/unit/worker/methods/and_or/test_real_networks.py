"""`and-or` through its entry point: planted interactions, digits, breast cancer, bike sharing, a deep feature map."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.datasets import load_breast_cancer
from torch import Tensor, nn
from torchvision.models import mobilenet_v2, resnet18

from benchmarks import _digits
from jobs.schemas import Explanation
from tests.networks import frozen
from worker.methods._registry import Subject
from worker.methods.and_or import AndOrParams, explain
from worker.methods.and_or import problem as sparse

MATCHING = 1e-10
"""The issue's: universal matching in float64."""
ROUNDING = 1e-9
"""Of a float64 network whose sums a GPU takes in another order."""
PLANTED = {
    ("and", (0, 2)): 2.0,
    ("and", (1, 3, 4)): -1.5,
    ("or", (2, 5)): 1.0,
    ("or", (0, 1, 6)): -0.8,
    ("main", (6,)): 1.2,
}
SHRUNK = 0.01
"""The noise band takes a little off every strength: 0.1 % of the output's change a state, some states at each atom."""


class Planted(nn.Module):
    """Answers by known ANDs and ORs of which columns are present, that is 1 and not 0."""

    def forward(self, batch: Tensor) -> Tensor:
        return sum(weight * self._holds(kind, batch[:, list(set_)]) for (kind, set_), weight in PLANTED.items())[
            :, None
        ]

    def _holds(self, kind: str, present: Tensor) -> Tensor:
        return 1 - (1 - present).prod(1) if kind == "or" else present.prod(1)


def assert_matches(found: Explanation) -> None:
    atoms, table = torch.tensor(found.kept["atoms"]), torch.tensor(found.kept["table"])
    h = sparse.predict(atoms[None], table[:1], torch.arange(len(table)))[0]
    noise = (table - h).clamp(-found.details["noise_band"], found.details["noise_band"])

    assert float((table - noise - h).abs().max()) <= MATCHING
    assert all(check.passed is not False for check in found.checks)


def of_row(model: nn.Module, row: Tensor, **params: Any) -> Explanation:
    return explain(Subject(model=model, input=row, chunk=32), AndOrParams(**params))


def trained(model: nn.Sequential, x: Tensor, y: Tensor, *, steps: int) -> nn.Module:
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    loss_of = nn.functional.mse_loss if y.is_floating_point() else nn.functional.cross_entropy
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model(x), y).backward()
        optimizer.step()
    return frozen(model, torch.float64)


def test_planted_interactions_are_found():
    found = of_row(Planted(), torch.ones(7, dtype=torch.float64), noise=0.001, tolerance=1e-6)

    assert {(one.kind, one.members): one.strength for one in found.interactions} == {
        atom: pytest.approx(weight, abs=SHRUNK) for atom, weight in PLANTED.items()
    }
    assert found.unit == "output of the network"
    assert_matches(found)


def test_a_trained_digit_classifier_is_matched():
    model = frozen(_digits.trained(epochs=5), torch.float64)
    picture = _digits.pictures()[0][600].double()

    found = explain(Subject(model=model, input=picture, mean=(0.0,), std=(1.0,), chunk=32), AndOrParams())

    assert_matches(found)
    assert len(found.interactions) < 0.1 * 2 * 512  # sparse, as the paper finds of trained networks


def test_cells_of_a_digit_classifiers_feature_map_are_matched():
    model = frozen(_digits.trained(epochs=5), torch.float64)
    picture = _digits.pictures()[0][600].double()

    found = explain(
        Subject(model=model, input=picture, mean=(0.0,), std=(1.0,), chunk=32), AndOrParams(layer="1", count=7)
    )

    assert_matches(found)
    assert found.details["layer"] == "1"
    assert (found.arrays["player_labels"] >= 0).sum() == 7


def test_a_table_of_ten_columns_is_matched():
    data = load_breast_cancer()
    x = torch.tensor((data.data - data.data.mean(0)) / data.data.std(0), dtype=torch.float32)[:, :10]
    torch.manual_seed(0)
    model = trained(
        nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 2)), x, torch.tensor(data.target), steps=80
    )
    subject = Subject(
        model=model, input=x[3].double(), names=tuple(map(str, data.feature_names[:10])), chunk=32,
        classes=("malignant", "benign"),
    )  # fmt: skip

    found = explain(subject, AndOrParams())

    assert_matches(found)
    assert found.players.names[0] == "mean radius"
    assert found.explained.label in ("malignant", "benign")


def test_a_regression_of_bike_rentals_is_matched(assets: Path):
    columns = ("season", "yr", "mnth", "hr", "weathersit", "temp", "hum", "windspeed")
    with (assets / "data" / "bike_sharing" / "hour.csv").open() as file:
        rows = list(csv.DictReader(file))[::20]
    x = torch.tensor([[float(row[name]) for name in columns] for row in rows])
    y = torch.tensor([[float(row["cnt"])] for row in rows])
    x, y = (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()
    torch.manual_seed(0)
    model = trained(nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1)), x, y, steps=150)

    found = explain(Subject(model=model, input=x[17].double(), names=columns, chunk=32), AndOrParams())

    assert_matches(found)
    assert found.unit == "output of the network"


@pytest.mark.parametrize(("build", "layer"), [(mobilenet_v2, "features.3"), (resnet18, "layer1.0")])
def test_cells_of_a_deep_feature_map_play(build, layer):
    torch.manual_seed(0)
    model = build(num_classes=5).eval().requires_grad_(False)
    subject = Subject(model=model, input=torch.randn(3, 64, 64), mean=(0.5,) * 3, std=(0.5,) * 3, chunk=32)

    found = explain(subject, AndOrParams(layer=layer, count=5))

    assert_matches(found)
    assert found.players.shape == (5,)
    assert found.cost.forwards >= 32


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("params", [{"grid_rows": 2}, {"layer": "1", "count": 5}, {"baseline": "blur", "grid_rows": 2}])
def test_a_gpu_gives_what_the_cpu_gives(params):
    model = frozen(_digits.trained(epochs=5), torch.float64)
    picture = _digits.pictures()[0][600].double()

    cpu, gpu = (
        explain(
            Subject(model=model.to(device), input=picture.to(device), mean=(0.0,), std=(1.0,), chunk=32),
            AndOrParams(**params),
        )
        for device in ("cpu", "cuda")
    )

    assert gpu.kept["table"] == pytest.approx(cpu.kept["table"], abs=ROUNDING)
    assert gpu.details["objective"] == pytest.approx(cpu.details["objective"], rel=1e-3)  # ten times the tolerance
