"""A log of feature sets is uploaded, and L0-SIGN learns from it, killed in mid-search."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.service import Service, children, command_line, running, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

PARAMS = {
    "lambda1": "search", "lambda1_grid": [1e-4, 1e-3, 1e-2], "rungs": 2, "epochs": 9, "batch_size": 32,
    "learning_rate": 0.03, "patience": None, "gate_delay": 0, "gate_warmup": 0, "compare": ["fm"],
}  # fmt: skip
IN_SEARCH = 5
"""Epochs of the job: three candidates have 3 each, then the best one has 6 more."""


def log(rows: int = 400, *, labels: tuple[str, str] = ("0", "1"), longest: int = 0) -> str:
    """Rows of four ids; two of them decide together."""
    draw = random.Random(0)
    lines = []
    for _ in range(rows):
        levels = [draw.randrange(3) for _ in range(4)]
        ids = " ".join(str(10 * field + level) for field, level in enumerate(levels))
        lines.append(f"{labels[(levels[0] + levels[1]) % 2]} {ids}")
    if longest:
        lines.append(f"{labels[0]} {' '.join(map(str, range(longest)))}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("logs"), INTERPLAY_CHECKPOINT_SECONDS="0") as service:
        yield service


def upload(service: Service, text: str, **manifest: Any) -> dict[str, Any]:
    files = {"file": ("rows.txt", text), "manifest": (None, json.dumps({"format": "sets", **manifest}))}
    answer = service.client.post("/v1/datasets", files=files, headers={"Prefer": "wait=60"})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def train(service: Service, dataset: str, **params: Any) -> str:
    request = {"method": "l0-sign", "dataset": dataset, "params": {**PARAMS, **params}, "name": "log"}
    answer = service.client.post("/v1/trainings", json=request)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def saved(service: Service, job_id: str, epoch: int) -> dict[str, Any] | None:
    job = service.job(job_id)
    assert job["status"] in ("queued", "running"), f"the training was too fast: {job}"
    return job if job["resume"] and job["resume"]["epoch"] >= epoch else None


def kill_runner(service: Service) -> None:
    """Kill the youngest runner: the trainer's starts with its first training, the slot's with the worker."""
    os.kill(max(pid for pid in children(service.pid("worker")) if "spawn_main" in command_line(pid)), signal.SIGKILL)


def without_times(answer: dict[str, Any]) -> dict[str, Any]:
    rivals = [{**one, "seconds": None} for one in answer["details"]["compare"]]
    kept = ("metrics", "curves", "players", "interactions", "checks", "notes")
    return {**{name: answer[name] for name in kept}, "details": {**answer["details"], "compare": rivals}}


def test_a_search_killed_in_the_middle_ends_with_the_numbers_of_an_undisturbed_one(service: Service) -> None:
    dataset = upload(service, log())
    assert dataset["status"] == "ready", dataset
    assert dataset["inspection"]["fields"] == [f"field {place}" for place in range(4)]
    undisturbed = service.finished(train(service, dataset["id"]))
    assert (undisturbed["status"], undisturbed["attempt"]) == ("succeeded", 1), undisturbed["error"]

    killed = train(service, dataset["id"])
    wait_for(lambda: saved(service, killed, IN_SEARCH))
    kill_runner(service)
    again = service.finished(killed)

    assert (again["status"], again["attempt"]) == ("succeeded", 2), again["error"]
    expected, found = service.answer(undisturbed["id"]), service.answer(killed)
    assert without_times(found) == without_times(expected)
    assert len(found["details"]["search"]) == 2
    assert found["metrics"]["test_auc"] > 0.8
    assert [one["name"] for one in found["details"]["compare"]] == ["fm"]


def test_what_cannot_be_learned_is_refused_at_once(service: Service) -> None:
    long = upload(service, log(100, longest=10_000))
    three = upload(service, log(100) + "2 1 2\n")
    single = upload(service, log(100, labels=("1", "1")))

    for dataset, detail in ((long, "rows of at most 1000; the longest one has 10000"), (three, "not multiclass")):
        answer = service.client.post("/v1/trainings", json={"method": "l0-sign", "dataset": dataset["id"]})
        assert answer.status_code == 422, answer.text
        fault = answer.json()["errors"][0]
        assert fault["pointer"] == "/dataset"
        assert detail in fault["detail"]
    assert single["status"] == "failed"
    assert "two classes" in single["error"]["detail"]
