"""A table is uploaded, a network trained on it, its process killed in the middle, and the result explained."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.service import Service, children, command_line, running, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

ARCHITECTURE = {
    "family": "sequential",
    "layers": [{"type": "linear", "outputs": 8}, {"type": "silu"}, {"type": "linear", "outputs": 2}],
}
EPOCHS = 150
CLASSIFIER = {"method": "classifier", "params": {"keep_checkpoints": [5]}}
MODULATION = {
    "method": "order-modulation",
    "params": {
        "terms": [{"kind": "suppress", "r1": 0.5, "r2": 1.0, "weight": 0.2}], "epochs": 80, "learning_rate": 0.01,
        "measured_inputs": 5, "epsilons": [0.1, 0.4],
    },
}  # fmt: skip

SEARCH = {
    "method": "nid",
    "params": {
        "hidden": [16, 8], "trials": 2, "l1": [1e-4, 1e-3], "epochs": 60, "patience": 60, "batch_size": 40,
        "cutoff": 1, "compare": [],
    },
}  # fmt: skip


def csv() -> str:
    draw = random.Random(0)
    rows = [(draw.gauss(50, 10), draw.choice(["north", "south"])) for _ in range(300)]
    return "age,side,label\n" + "".join(
        f"{age:.3f},{side},{'yes' if (age > 50) == (side == 'north') else 'no'}\n" for age, side in rows
    )


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("trainings"), INTERPLAY_CHECKPOINT_SECONDS="0") as service:
        yield service


@pytest.fixture(scope="module")
def dataset(service: Service) -> str:
    files = {"file": ("rows.csv", csv()), "manifest": (None, json.dumps({"target": "label"}))}
    answer = service.client.post("/v1/datasets", files=files, headers={"Prefer": "wait=60"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["status"] == "ready", answer.text
    assert answer.json()["inspection"]["task"] == "binary"
    return str(answer.json()["id"])


def train(service: Service, dataset: str, chosen: dict[str, Any] = CLASSIFIER) -> str:
    request = {
        "method": chosen["method"], "dataset": dataset, "architecture": ARCHITECTURE, "name": "sides",
        "params": {"epochs": EPOCHS, "patience": None, "batch_size": 32, **chosen["params"]},
    }  # fmt: skip
    answer = service.client.post("/v1/trainings", json=request)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def saved(service: Service, job_id: str, epoch: int) -> dict[str, object] | None:
    job = service.job(job_id)
    assert job["status"] in ("queued", "running"), f"the training was too fast: {job}"
    return job if job["resume"] and job["resume"]["epoch"] >= epoch else None


def runner_of_trainer(service: Service) -> int:
    """The youngest runner: the trainer's starts with its first training, the slot's with the worker."""
    return max(pid for pid in children(service.pid("worker")) if "spawn_main" in command_line(pid))


def test_a_killed_training_ends_with_the_numbers_of_an_undisturbed_one(service: Service, dataset: str) -> None:
    undisturbed = service.finished(train(service, dataset))
    assert (undisturbed["status"], undisturbed["attempt"]) == ("succeeded", 1), undisturbed["error"]

    killed = train(service, dataset)
    first = wait_for(lambda: saved(service, killed, 5))
    os.kill(runner_of_trainer(service), signal.SIGKILL)
    wait_for(lambda: saved(service, killed, first["resume"]["epoch"] + 20))
    service.kill("worker")
    again = service.finished(killed)

    assert again["status"] == "succeeded", again["error"]
    assert again["attempt"] == 3
    assert again["resume"] is None
    expected, found = service.answer(undisturbed["id"]), service.answer(killed)
    assert found["metrics"] == expected["metrics"]
    assert found["curves"] == expected["curves"]
    assert found["metrics"]["validation_accuracy"] > 0.9
    one, other = (service.client.get(f"/v1/models/{answer['model']}").json() for answer in (expected, found))
    assert one["weights_sha256"] == other["weights_sha256"]
    assert one["id"] != other["id"]
    explain_raw_values(service, found["model"], checkpoint=found["models"][0]["id"])


def explain_raw_values(service: Service, model: str, *, checkpoint: str) -> None:
    """The new model is explained with a row as it is in the file; standardising and encoding are the service's."""
    manifest = service.client.get(f"/v1/models/{model}").json()["manifest"]
    assert manifest["input"]["names"] == ["age", "side=north", "side=south"]
    assert service.client.get(f"/v1/models/{checkpoint}").json()["manifest"]["name"] == "sides epoch 5"
    body = {"model": model, "method": "integrated-gradients", "input": {"features": [71.5, "north"]}}
    job = service.finished(service.client.post("/v1/explanations", json=body).json()["id"])
    assert job["status"] == "succeeded", job["error"]
    answer = service.answer(job["id"])
    assert answer["explained"]["label"] == "yes"
    wrong = service.client.post("/v1/explanations", json={**body, "input": {"features": [71.5, "east"]}})
    assert wrong.json()["errors"][0]["pointer"] == "/input/features/1"


def undisturbed_and_killed(service: Service, begin: Callable[[], str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answers of two trainings that `begin` begins alike; the second's runner is killed after five epochs."""
    undisturbed = service.finished(begin())
    assert (undisturbed["status"], undisturbed["attempt"]) == ("succeeded", 1), undisturbed["error"]

    killed = begin()
    wait_for(lambda: saved(service, killed, 5))
    os.kill(runner_of_trainer(service), signal.SIGKILL)
    again = service.finished(killed)

    assert (again["status"], again["attempt"]) == ("succeeded", 2), again["error"]
    return service.answer(undisturbed["id"]), service.answer(killed)


def test_a_modulation_killed_in_mid_training_ends_with_the_numbers_of_an_undisturbed_one(
    service: Service, dataset: str
) -> None:
    expected, found = undisturbed_and_killed(service, lambda: train(service, dataset, MODULATION))

    for part in ("metrics", "curves", "modulation"):
        assert found[part] == expected[part]
    assert found["modulation"]["after"]["accuracy"]["value"] > 0.9
    assert {"training.png", "bottleneck.png", "robustness.png"} <= set(found["artifacts"])
    one, other = (service.client.get(f"/v1/models/{answer['model']}").json() for answer in (expected, found))
    assert one["weights_sha256"] == other["weights_sha256"]


def test_a_search_killed_in_mid_ensemble_ends_with_the_numbers_of_an_undisturbed_one(
    service: Service, dataset: str
) -> None:
    def begun() -> str:
        answer = service.client.post("/v1/trainings", json={**SEARCH, "dataset": dataset})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    expected, found = undisturbed_and_killed(service, begun)

    for part in ("metrics", "curves", "interactions"):
        assert found[part] == expected[part]
    strongest = next(one for one in found["interactions"] if one["kind"] == "pair")
    assert [found["players"]["names"][member] for member in strongest["members"]] == ["age", "side"]


def test_terms_that_cannot_be_are_refused_at_once(service: Service, dataset: str) -> None:
    body = {"method": "order-modulation", "dataset": dataset, "architecture": ARCHITECTURE}
    for params, pointer in (
        ({}, "/params/terms"),
        ({"preset": "mid-order"}, "/params/terms/0/r2"),  # 0.3 and 0.7 of two columns are both one
        ({"terms": [{"kind": "suppress", "r1": 0.6, "r2": 0.2}]}, "/params/terms/0/r1"),
        ({"terms": [{"kind": "suppress", "r1": 0.6, "r2": 1.2}]}, "/params/terms/0/r2"),
    ):
        answer = service.client.post("/v1/trainings", json={**body, "params": params})
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["pointer"] == pointer
