"""The job suite, over the embedded broker and over a real Redis server: whatever is killed, every job ends once."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator

import pytest

from tests.e2e.service import QUICK, RECOVERY_SECONDS, SLOW, Service, alive, running, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

BROKERS = ["embedded", pytest.param("redis", marks=pytest.mark.redis)]


@pytest.fixture(scope="module", params=BROKERS)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    redis = {"INTERPLAY_BROKER_URL": request.getfixturevalue("redis_url")} if request.param == "redis" else {}
    with running(tmp_path_factory.mktemp(request.param), **redis) as service:
        yield service


@pytest.fixture(scope="module")
def model(service: Service) -> str:
    return service.upload()


@pytest.fixture(scope="module")
def undisturbed(service: Service, model: str) -> dict[str, object]:
    """The answer to the slow request when nothing happens to it."""
    job = service.finished(service.explain(model, SLOW)["id"])
    assert (job["status"], job["attempt"]) == ("succeeded", 1)
    return service.answer(job["id"])


def test_a_picture_is_explained(service: Service, model: str) -> None:
    job = service.finished(service.explain(model, QUICK)["id"])

    assert job["status"] == "succeeded", job["error"]
    assert job["cost"]["forwards"] > 0
    assert {"load", "compute", "render", "store"} <= set(job["timings"])
    assert service.client.get(f"/v1/jobs/{job['id']}/artifacts/saliency.png").content.startswith(b"\x89PNG")
    assert service.answer(job["id"])["method"] == "integrated-gradients"


def test_many_jobs_end_once_each(service: Service, model: str) -> None:
    ids = [service.explain(model, QUICK, seed=seed)["id"] for seed in range(20)]

    jobs = [service.finished(job_id) for job_id in ids]

    assert [(job["status"], job["attempt"]) for job in jobs] == [("succeeded", 1)] * 20


def test_a_killed_runner_costs_one_attempt_and_nothing_else(
    service: Service, model: str, undisturbed: dict[str, object]
) -> None:
    job = service.explain(model, SLOW)
    service.working(job["id"])

    os.kill(service.runner_pid(), signal.SIGKILL)

    ended = service.finished(job["id"], RECOVERY_SECONDS)
    assert (ended["status"], ended["attempt"]) == ("succeeded", 2)
    assert service.answer(job["id"]) == undisturbed


def test_a_killed_worker_costs_one_attempt_and_nothing_else(
    service: Service, model: str, undisturbed: dict[str, object]
) -> None:
    job = service.explain(model, SLOW)
    waiting = service.explain(model, QUICK)
    service.working(job["id"])
    runner = service.runner_pid()

    service.kill("worker")

    ended = service.finished(job["id"], RECOVERY_SECONDS)
    assert (ended["status"], ended["attempt"]) == ("succeeded", 2)
    assert service.answer(job["id"]) == undisturbed
    assert service.finished(waiting["id"], RECOVERY_SECONDS)["status"] == "succeeded"
    assert not alive(runner)


def test_a_killed_gateway_loses_no_job(service: Service, model: str, undisturbed: dict[str, object]) -> None:
    running_job = service.explain(model, SLOW)
    queued = [service.explain(model, QUICK, seed=seed)["id"] for seed in range(5)]
    service.working(running_job["id"])

    service.kill("gateway")

    ended = service.finished(running_job["id"], RECOVERY_SECONDS)
    assert (ended["status"], ended["attempt"]) == ("succeeded", 1)
    assert service.answer(running_job["id"]) == undisturbed
    jobs = [service.finished(job_id, RECOVERY_SECONDS) for job_id in queued]
    assert [(job["status"], job["attempt"]) for job in jobs] == [("succeeded", 1)] * 5


def test_a_caller_waits_while_the_gateway_is_replaced(service: Service, model: str) -> None:
    """The supervisor holds the socket: between two gateways a connection is accepted late, not refused."""
    service.kill("gateway")

    assert service.client.get(f"/v1/models/{model}").json()["status"] == "ready"


def test_a_cancel_ends_a_running_job(service: Service, model: str) -> None:
    job = service.explain(model, SLOW)
    service.working(job["id"])

    began = time.monotonic()
    answer = service.client.post(f"/v1/jobs/{job['id']}:cancel")

    assert answer.status_code in (200, 202), answer.text
    assert service.finished(job["id"])["status"] == "canceled"
    # Far below the grace period of 5 s: the computation itself stopped, and its runner lives on.
    assert time.monotonic() - began < 3.0


def test_a_job_ends_at_its_deadline(service: Service, model: str) -> None:
    job = service.explain(model, {**SLOW, "deadline_seconds": 0.8})

    ended = service.finished(job["id"])

    assert ended["status"] in ("failed", "expired")
    assert ended["error"]["type"].endswith("deadline-exceeded")


def test_after_all_this_there_is_one_runner(service: Service, model: str) -> None:
    runner = service.runner_pid()

    assert service.finished(service.explain(model, QUICK)["id"])["status"] == "succeeded"

    assert wait_for(service.runner_pid) == runner
