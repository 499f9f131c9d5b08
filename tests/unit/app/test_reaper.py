"""The reaper's rounds, over the real embedded store, artifacts and queue."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app import reaper as module
from app.reaper import Reaper
from jobs.artifacts import ArtifactStore
from jobs.errors import QueueUnavailable, StoreUnavailable
from jobs.queue import Queue
from jobs.schemas import Job, Model, Status
from jobs.settings import Settings
from jobs.store import JobStore
from tests.contract.rows import MAX_ATTEMPTS, Clock, a_job, a_model, an_input, digest

PATIENCE_SECONDS = 10.0


class Bell:
    """Stands for the queue: remembers for what it rang, and fails as often as it is told to."""

    def __init__(self) -> None:
        self.rung: list[str] = []
        self.fails_after: int | None = None

    def ring(self, job: Job) -> None:
        if self.fails_after is not None and len(self.rung) >= self.fails_after:
            raise QueueUnavailable("gone")
        self.rung.append(job.id)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", reaper_interval_seconds=0.05, max_attempts=MAX_ATTEMPTS)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(settings: Settings, clock: Clock) -> Iterator[JobStore]:
    store = JobStore(settings.store_url, clock=clock)
    yield store
    store.close()


@pytest.fixture
def artifacts(settings: Settings) -> ArtifactStore:
    return ArtifactStore(settings.bytes_url)


@pytest.fixture
def model(store: JobStore) -> Model:
    return store.add_model(a_model())[0]


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
def reaper(store: JobStore, artifacts: ArtifactStore, bell: Bell, settings: Settings) -> Reaper:
    return Reaper(store, artifacts, bell, settings)  # type: ignore[arg-type]


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


def test_a_round_rings_for_those_that_wait_unheard(reaper: Reaper, store: JobStore, model: Model, bell: Bell, clock):
    jobs = [store.add(a_job(model)) for _ in range(3)]
    clock.now += 1

    reaper.round()
    reaper.round()

    assert bell.rung == [job.id for job in jobs]


def test_a_broker_that_fails_in_mid_round_is_rung_again_for_the_rest(
    reaper: Reaper, store: JobStore, model: Model, bell: Bell, clock: Clock
):
    jobs = [store.add(a_job(model)) for _ in range(3)]
    clock.now += 1
    bell.fails_after = 1

    with pytest.raises(QueueUnavailable):
        reaper.round()
    bell.fails_after = None
    reaper.round()

    assert bell.rung == [job.id for job in jobs]


def test_a_round_deletes_what_nothing_needs(
    reaper: Reaper, store: JobStore, artifacts: ArtifactStore, model: Model, clock: Clock, settings: Settings
):
    artifacts.put(b"cat")
    artifacts.put(b"dog")
    store.cancel(store.add(a_job(model, input=an_input("cat"))).id, "a")
    kept = store.add(a_job(model, input=an_input("dog"), deadline_at=clock.now + 1e9))
    reaper.round()
    clock.now += settings.retention_hours * 3600 + 1

    assert reaper.round().deleted == 1

    assert not artifacts.exists(digest("cat"))
    assert artifacts.exists(digest("dog"))
    assert store.job(kept.id, None).status is Status.QUEUED


def test_bytes_that_never_got_a_row_are_swept(
    reaper: Reaper, store: JobStore, artifacts: ArtifactStore, model: Model, monkeypatch: pytest.MonkeyPatch
):
    artifacts.put(b"orphan")
    artifacts.put(b"cat")
    store.add(a_job(model, input=an_input("cat")))
    monkeypatch.setattr(module, "SWEEP_SECONDS", -60.0)

    reaper.round()

    assert not artifacts.exists(digest("orphan"))
    assert artifacts.exists(digest("cat"))


def test_the_first_round_sweeps_and_the_next_does_not(reaper: Reaper, artifacts: ArtifactStore, settings: Settings):
    def leave_orphan() -> None:
        artifacts.put(b"orphan")
        for path in (settings.data_dir / "artifacts").rglob(digest("orphan")):
            os.utime(path, (time.time() - 2 * module.SWEEP_SECONDS,) * 2)

    leave_orphan()
    reaper.round()
    swept = not artifacts.exists(digest("orphan"))
    leave_orphan()
    reaper.round()

    assert swept
    assert artifacts.exists(digest("orphan"))


def test_the_thread_outlives_failures(reaper: Reaper, store: JobStore, monkeypatch: pytest.MonkeyPatch, model: Model):
    reap, failures = store.reap, iter([StoreUnavailable("away"), ZeroDivisionError("unforeseen")])
    rounds: list[int] = []

    def fail_at_first(**arguments: object) -> object:
        if (failure := next(failures, None)) is not None:
            raise failure
        rounds.append(1)
        return reap(**arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "reap", fail_at_first)
    reaper.start()
    wait_until(lambda: len(rounds) >= 2)
    reaper.stop()

    assert len(rounds) >= 2


def test_the_thread_rings_the_real_bell(store: JobStore, artifacts: ArtifactStore, settings: Settings, model: Model):
    queue = Queue(settings)
    store.add(a_job(model, created_at=0.0))
    reaper = Reaper(store, artifacts, queue, settings)

    reaper.start()
    wait_until(lambda: store.reap(max_attempts=3, ring_after_seconds=0.1, retention_seconds=1).ring == [])
    reaper.stop()

    with queue._celery.connection_for_read() as connection:
        assert connection.SimpleQueue("interactive").qsize() == 1
    queue.close()
