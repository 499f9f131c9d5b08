"""A log of feature sets is uploaded, and L0-SIGN learns from it, killed in mid-search."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.client import Client, Refused
from tests.e2e.service import Service, children, command_line, running, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

PARAMS = {
    "lambda1": "search", "lambda1_grid": [1e-4, 1e-3], "rungs": 2, "halving": 2, "epochs": 8, "batch_size": 32,
    "learning_rate": 0.05, "patience": None, "gate_delay": 0, "gate_warmup": 0, "compare": ["fm"],
}  # fmt: skip
IN_SEARCH = 6
"""Epochs of the job: two candidates have 4 each, then the better one has 4 more."""


def log(rows: int = 300, *, labels: tuple[str, str] = ("0", "1"), longest: int = 0) -> str:
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


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(service.url) as client:
        yield client


def upload(client: Client, folder: Path, text: str) -> dict[str, Any]:
    (folder / "log.txt").write_text(text)
    return client.upload_dataset(folder / "log.txt", {"format": "sets"})


def train(client: Client, dataset: str) -> str:
    return str(client.train(dataset, method="l0-sign", name="log", params=PARAMS)["id"])


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


def test_a_search_killed_in_the_middle_ends_with_the_numbers_of_an_undisturbed_one(
    service: Service, client: Client, tmp_path: Path
) -> None:
    dataset = upload(client, tmp_path, log())
    assert dataset["inspection"]["fields"] == [f"field {place}" for place in range(4)]
    undisturbed = service.finished(train(client, dataset["id"]))
    assert (undisturbed["status"], undisturbed["attempt"]) == ("succeeded", 1), undisturbed["error"]

    killed = train(client, dataset["id"])
    wait_for(lambda: saved(service, killed, IN_SEARCH))
    kill_runner(service)
    again = service.finished(killed)

    assert (again["status"], again["attempt"]) == ("succeeded", 2), again["error"]
    expected, found = service.answer(undisturbed["id"]), service.answer(killed)
    assert without_times(found) == without_times(expected)
    assert len(found["details"]["search"]) == 2
    assert found["metrics"]["test_auc"] > 0.8
    assert [one["name"] for one in found["details"]["compare"]] == ["fm"]
    one, other = (client.explain_rows(answer["model"], [[0, 11, 22, 30]])["rows"][0] for answer in (expected, found))
    assert one == other
    assert one["bias"] + sum(edge["contribution"] for edge in one["edges"]) + one["remainder"] == pytest.approx(
        one["margin"]
    )


def test_what_cannot_be_learned_is_refused_at_once(client: Client, tmp_path: Path) -> None:
    long = upload(client, tmp_path, log(100, longest=10_000))
    three = upload(client, tmp_path, log(100) + "2 1 2\n")

    for dataset, detail in ((long, "rows of at most 1000; the longest one has 10000"), (three, "not multiclass")):
        with pytest.raises(Refused, match=f"/dataset: .*{detail}"):
            train(client, dataset["id"])
    with pytest.raises(Refused, match="two classes"):
        upload(client, tmp_path, log(100, labels=("1", "1")))
