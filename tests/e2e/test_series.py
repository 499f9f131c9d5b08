"""Several inputs over uploaded checkpoints of one model, through the whole service, killed and canceled in between."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import nn

from tests.e2e.service import Service, running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

FEATURES, HIDDEN, INPUTS = 8, 32, 16
MANIFEST: dict[str, Any] = {
    "architecture": {
        "family": "sequential",
        "layers": [
            {"type": "linear", "inputs": FEATURES, "outputs": HIDDEN},
            {"type": "relu"},
            {"type": "linear", "inputs": HIDDEN, "outputs": 2},
        ],
    },
    "input": {"kind": "features", "shape": [FEATURES]},
}
ROWS = np.random.default_rng(0).normal(size=(INPUTS, FEATURES)).round(3).tolist()


def weights(seed: int) -> bytes:
    torch.manual_seed(seed)
    return save(nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2)).state_dict())


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("series")) as service:
        yield service


@pytest.fixture(scope="module")
def checkpoints(service: Service) -> list[str]:
    """Three models: two earlier checkpoints, and the last."""
    return [upload(service, seed) for seed in range(3)]


def upload(service: Service, seed: int) -> str:
    manifest = json.dumps({**MANIFEST, "name": f"epoch {seed}"})
    files = {"artifact": ("m", weights(seed)), "manifest": (None, manifest)}
    answer = service.client.post("/v1/models", files=files, headers={"Prefer": "wait=60"})
    assert answer.json()["status"] == "ready", answer.text
    return str(answer.json()["id"])


def follow(service: Service, checkpoints: list[str], **params: object) -> dict[str, Any]:
    *earlier, model = checkpoints
    first, *others = ({"features": row} for row in ROWS)
    body = {
        "method": "and-or", "model": model, "checkpoints": earlier, "input": first, "samples": list(others),
        "params": {"indices": [], **params},
    }  # fmt: skip
    answer = service.client.post("/v1/explanations", json=body, headers={"Cache-Control": "no-cache"})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


@pytest.fixture(scope="module")
def undisturbed(service: Service, checkpoints: list[str]) -> dict[str, Any]:
    job = service.finished(follow(service, checkpoints)["id"])
    assert (job["status"], job["attempt"]) == ("succeeded", 1), job["error"]
    return dict(service.client.get(f"/v1/jobs/{job['id']}/result").json())


def test_two_earlier_checkpoints_make_a_sequence_with_its_picture(
    undisturbed: dict[str, Any], checkpoints: list[str]
) -> None:
    names = [(one["model"], one["name"]) for one in undisturbed["sequence"]]

    assert names == [(model, f"epoch {seed}") for seed, model in enumerate(checkpoints)]
    assert sum(one["emerged"] is None for one in undisturbed["sequence"]) == 1
    assert undisturbed["provenance"]["checkpoint_ids"] == checkpoints[:2]
    assert len(undisturbed["provenance"]["sample_sha256s"]) == INPUTS - 1
    assert undisturbed["details"]["series"]["inputs"] == INPUTS
    assert undisturbed["cost"]["forwards"] >= 3 * INPUTS * 2**FEATURES
    assert "dynamics.png" in undisturbed["artifacts"]


def test_an_estimate_bounds_what_a_series_costs(
    service: Service, checkpoints: list[str], undisturbed: dict[str, Any]
) -> None:
    *earlier, model = checkpoints
    first, *others = ({"features": row} for row in ROWS)
    body = {"method": "and-or", "model": model, "checkpoints": earlier, "input": first, "samples": list(others)}

    cost = service.client.post("/v1/explanations:estimate", json=body).json()["cost"]

    assert undisturbed["cost"]["forwards"] <= cost["forwards"] <= 1.1 * undisturbed["cost"]["forwards"]


def test_a_runner_killed_in_mid_sequence_costs_one_attempt_and_nothing_else(
    service: Service, checkpoints: list[str], undisturbed: dict[str, Any]
) -> None:
    job = follow(service, checkpoints)
    service.working(job["id"])
    assert service.client.delete(f"/v1/models/{checkpoints[0]}").status_code == 409

    os.kill(service.runner_pid(), signal.SIGKILL)

    ended = service.finished(job["id"])
    assert (ended["status"], ended["attempt"]) == ("succeeded", 2)
    again = service.client.get(f"/v1/jobs/{job['id']}/result").json()
    for part in ("orders", "sequence", "similarities", "interactions"):
        assert again[part] == undisturbed[part]


def test_a_cancel_ends_a_sequence_between_tables(service: Service, checkpoints: list[str]) -> None:
    job = follow(service, checkpoints, weight_noise=[0.1, 0.2, 0.3, 0.4, 0.5])
    at_work = service.working(job["id"])
    assert at_work["progress"]["stage"] == "tables"
    assert at_work["progress"]["total"] == INPUTS * (3 + 5)

    runner = service.runner_pid()

    service.client.post(f"/v1/jobs/{job['id']}:cancel")

    assert service.finished(job["id"])["status"] == "canceled"
    assert service.runner_pid() == runner, "the computation itself stopped, and its runner lives on"


def test_tables_of_checkpoints_are_known_the_second_time(service: Service, checkpoints: list[str]) -> None:
    job = service.finished(follow(service, checkpoints)["id"])

    assert job["cost"]["forwards"] < INPUTS * 2**FEATURES


def test_interactions_by_context_order_are_averaged_over_inputs(service: Service, checkpoints: list[str]):
    first, *others = ({"features": row} for row in ROWS[:3])
    body = {"method": "multi-order", "model": checkpoints[-1], "input": first, "samples": others}

    answer = service.client.post("/v1/explanations", json=body)

    assert answer.status_code == 202, answer.text
    job = service.finished(answer.json()["id"])
    assert job["status"] == "succeeded", job["error"]
    result = service.client.get(f"/v1/jobs/{job['id']}/result").json()
    assert result["contexts"]["samples"] == 3
    assert result["contexts"]["orders"] == list(range(FEATURES - 1))
    assert all(check["passed"] is not False for check in result["checks"])
    for name in ("bottleneck.png", "pairs.png", "report.html"):
        assert service.client.get(f"/v1/jobs/{job['id']}/artifacts/{name}").status_code == 200


def test_blocks_of_more_players_than_there_are_are_refused_at_once(service: Service, checkpoints: list[str]):
    body = {
        "method": "multi-order", "model": checkpoints[-1], "input": {"features": ROWS[0]},
        "params": {"computation": "sampled", "estimator": "sub-cubes", "block": 9},
    }  # fmt: skip

    answer = service.client.post("/v1/explanations", json=body)

    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == "/params/block"
