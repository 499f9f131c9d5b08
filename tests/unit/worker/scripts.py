"""Computations for the tests of runners: what a job's method names, a runner of the tests executes."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from collections.abc import Callable

from jobs.artifacts import ArtifactStore
from jobs.datasets import Dataset, DatasetManifest, DatasetStatus
from jobs.errors import ArtifactsUnavailable, InvalidInput
from jobs.schemas import (
    Capability,
    Cost,
    Inspection,
    Job,
    JobKind,
    Manifest,
    Model,
    ModelStatus,
    ResumePoint,
    SequentialArchitecture,
    Status,
)
from jobs.settings import Settings
from jobs.trainings import TrainedModel
from worker.messages import Finished, Work
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


DATASET = Dataset(
    id="dataset_1", tenant="local", status=DatasetStatus.READY, manifest=DatasetManifest(), sha256="", size_bytes=0,
    created_at=0.0,
)  # fmt: skip


def open_scripts(settings: Settings) -> Execute:
    """What the tested runners execute: the job's method names one of the functions below."""
    ARTIFACTS.append(ArtifactStore(settings.bytes_url))
    return lambda order, report: TRAININGS.get(order.job.method or "", lambda report, order: SCRIPTS[
        order.job.method or ""](report))(report, order)  # fmt: skip


ARTIFACTS: list[ArtifactStore] = []
"""In the runner: where the tested trainings keep what they save."""


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


# ---------------------------------------------------------------- trainings


def saved_point() -> ResumePoint:
    return ResumePoint(sha256=hashlib.sha256(b"state").hexdigest(), size_bytes=5, epoch=3, saved_at=1.0)


def save(report: Report) -> None:
    ARTIFACTS[0].put(b"state")
    report.keep(saved_point())


def save_and_die(report: Report, order: Work) -> Finished:
    if order.job.resume is None:
        save(report)
        os.kill(os.getpid(), signal.SIGKILL)
    return finish(report).model_copy(update={"timings": {"epoch": float(order.job.resume.epoch)}})


def save_and_refuse(report: Report, _: Work) -> Finished:
    save(report)
    raise InvalidInput("no")


def make_a_model(report: Report, _: Work) -> Finished:
    found = Inspection(
        parameters=1, outputs=1, capabilities=(Capability.FORWARD,), seconds_forward=0.1, activation_bytes=1
    )
    sha256 = ARTIFACTS[0].put(b"weights")
    model = TrainedModel(id="model_new", manifest=MANIFEST, weights_sha256=sha256, size_bytes=7, inspection=found)
    return finish(report).model_copy(update={"models": (model,)})


TRAININGS: dict[str, Callable[[Report, Work], Finished]] = {
    function.__name__: function for function in (save_and_die, save_and_refuse, make_a_model)
}
