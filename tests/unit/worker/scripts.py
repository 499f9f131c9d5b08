"""Computations for the tests of runners: what a job's method names, a runner of the tests executes."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable

from jobs.errors import ArtifactsUnavailable, InvalidInput
from jobs.schemas import Cost, Job, JobKind, Manifest, Model, ModelStatus, SequentialArchitecture, Status
from jobs.settings import Settings
from worker.messages import Finished
from worker.progress import Meter as Report
from worker.runner import Execute

PATIENCE_SECONDS = 20.0
"""Far above what any of these steps takes; only a hang reaches it."""

MANIFEST = Manifest(
    architecture=SequentialArchitecture(family="sequential", layers=({"type": "relu"},)),  # type: ignore[arg-type]
)


def job(method: str, **changes: object) -> Job:
    now = time.time()
    return Job(
        id="job_1", tenant="local", kind=JobKind.EXPLANATION, status=Status.RUNNING, method=method,
        model_id="model_1", created_at=now, deadline_at=now + 3600, attempt=1,
    ).model_copy(update=changes)  # fmt: skip


MODEL = Model(
    id="model_1", tenant="local", status=ModelStatus.READY, manifest=MANIFEST, sha256="", size_bytes=0, created_at=0.0
)


def open_scripts(settings: Settings) -> Execute:
    """What the tested runners execute: the job's method names one of the functions below."""
    return lambda order, report: SCRIPTS[order.job.method or ""](report)


def finish(report: Report) -> Finished:
    return Finished(artifacts=(), timings={"pid": os.getpid()}, cost=Cost(forwards=1), device="cpu")


def count(report: Report) -> Finished:
    for done in range(10_000):
        report("counting", done, 10_000)
        time.sleep(0.01)
    return finish(report)


def nap(report: Report) -> Finished:
    time.sleep(0.6)
    return finish(report)


def hang(report: Report) -> Finished:
    time.sleep(3600)
    return finish(report)


def kill_itself(report: Report) -> Finished:
    os.kill(os.getpid(), signal.SIGKILL)
    return finish(report)


def refuse(report: Report) -> Finished:
    raise InvalidInput("Not a picture.")


def refuse_in_words_that_cannot_be_sent(report: Report) -> Finished:
    raise InvalidInput("Not a name: \ud800.")


def fail_to_store(report: Report) -> Finished:
    raise ArtifactsUnavailable("The disk is full.")


def divide_by_zero(report: Report) -> Finished:
    raise ZeroDivisionError("secret detail")


def environment(report: Report) -> Finished:
    names = ("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "OMP_NUM_THREADS")
    timings = {name: float(os.environ[name]) for name in names} | {"torch imported": float("torch" in sys.modules)}
    return Finished(artifacts=(), timings=timings, cost=Cost(), device="cpu")


def eat_memory(report: Report) -> Finished:
    meal = bytearray(os.urandom(1 << 20) * 400)
    time.sleep(3600)
    return Finished(artifacts=(), timings={"bytes": len(meal)}, cost=Cost(), device="cpu")


SCRIPTS: dict[str, Callable[[Report], Finished]] = {
    script.__name__: script
    for script in (
        finish,
        count,
        nap,
        hang,
        kill_itself,
        refuse,
        refuse_in_words_that_cannot_be_sent,
        fail_to_store,
        divide_by_zero,
        environment,
        eat_memory,
    )
}
