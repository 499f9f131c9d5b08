"""The job store under several threads and processes, and with a database that fails."""

from __future__ import annotations

import multiprocessing
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pytest

from jobs.artifacts import ArtifactStore
from jobs.errors import Conflict, NotFound, StoreUnavailable
from jobs.schemas import InputReference, Job, Model
from jobs.store import IdempotencyKey, JobStore
from tests.contract.conftest import OpenStore
from tests.contract.rows import LEASE_SECONDS, MAX_ATTEMPTS, NOW, a_job, a_model

PROCESSES = 3
THREADS = 8


def claim_all(url: str, job_ids: list[str], worker: str) -> list[str]:
    store = JobStore(url, clock=lambda: NOW)
    claims = {"worker": worker, "lease_seconds": LEASE_SECONDS, "max_attempts": MAX_ATTEMPTS}
    return [job_id for job_id in job_ids if store.claim(job_id, **claims)]


def add_with_key(url: str, model: Model, key: IdempotencyKey) -> str:
    return JobStore(url, clock=lambda: NOW).add(a_job(model), idempotency=key).id


def at_once(count: int, ask: Callable[[int], Any]) -> list[Future[Any]]:
    """Let `count` threads call `ask` with their number at the same moment."""
    barrier = Barrier(count)

    def wait_and_ask(number: int) -> Any:
        barrier.wait()
        return ask(number)

    with ThreadPoolExecutor(count) as threads:
        return [threads.submit(wait_and_ask, number) for number in range(count)]


def claim(store: JobStore, job_id: str, number: int) -> Job | None:
    return store.claim(job_id, worker=f"w{number}", lease_seconds=LEASE_SECONDS, max_attempts=MAX_ATTEMPTS)


def add_or_delete(store: JobStore, model: Model, number: int) -> object:
    return store.delete_model(model.id, "a") if number else store.add(a_job(model))


def use_and_purge(store: JobStore, artifacts: ArtifactStore, model: Model, data: bytes) -> None:
    sha256 = artifacts.put(data)
    job = store.add(a_job(model, input=InputReference(kind="image", sha256=sha256, size_bytes=len(data))))
    if not artifacts.exists(sha256):
        artifacts.put(data)
    time.sleep(0.001)
    assert artifacts.exists(sha256)
    store.cancel(job.id, model.tenant)
    store.purge(job.id, model.tenant)


def add_many(store: JobStore, model: Model) -> None:
    for _ in range(1000):
        store.add(a_job(model, tags=("x",)))


@pytest.fixture
def processes():
    with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


def test_each_job_goes_to_one_of_several_processes(store: JobStore, model: Model, store_url: str, processes):
    job_ids = [store.add(a_job(model)).id for _ in range(150)]

    claims = [processes.submit(claim_all, store_url, job_ids, f"w{n}") for n in range(PROCESSES)]

    counted = Counter(job_id for claim in claims for job_id in claim.result())
    assert counted == Counter(job_ids)


def test_a_key_used_by_several_processes_makes_one_job(store: JobStore, model: Model, store_url: str, processes):
    for number in range(5):
        key = IdempotencyKey("a", f"key {number}", "fingerprint")
        adding = [processes.submit(add_with_key, store_url, model, key) for _ in range(PROCESSES)]

        assert {adding.result() for adding in adding} == {store.replay(key)}
    assert store.queued_count("a") == 5


def test_a_new_database_is_made_by_whoever_comes_first(store_url: str):
    stores = [made.result() for made in at_once(THREADS, lambda _: JobStore(store_url))]

    for store in stores:
        store.ping()
        store.close()


def test_each_job_goes_to_one_of_several_threads(store: JobStore, model: Model):
    for _ in range(20):
        job = store.add(a_job(model))
        claims = at_once(THREADS, partial(claim, store, job.id))

        assert sum(claim.result() is not None for claim in claims) == 1


def test_equal_models_added_at_once_are_one(store: JobStore):
    first = a_model()

    added = at_once(THREADS, lambda _: store.add_model(a_model(sha256=first.sha256, manifest=first.manifest)))

    assert sum(new.result()[1] for new in added) == 1
    assert len({model.result()[0].id for model in added}) == 1


def test_a_model_is_not_deleted_under_a_job(store: JobStore):
    """Whichever comes first, no queued job is left without its model."""
    for _ in range(20):
        model = store.add_model(a_model())[0]
        added, deleted = at_once(2, partial(add_or_delete, store, model))

        outcomes = (type(added.exception()), type(deleted.exception()))
        assert outcomes in [(type(None), Conflict), (NotFound, type(None))]


def test_bytes_of_a_committed_row_are_never_lost(store: JobStore, model: Model, tmp_path: Path):
    """The protocol of `jobs.artifacts`, with a reaper that deletes whenever it may."""
    artifacts = ArtifactStore((tmp_path / "artifacts").as_uri())
    sha256 = artifacts.put(b"shared")
    stop = Event()

    def discard_often() -> None:
        while not stop.is_set():
            store.discard([sha256], artifacts.delete)

    with ThreadPoolExecutor(1) as threads:
        discarding = threads.submit(discard_often)
        try:
            for _ in range(100):
                use_and_purge(store, artifacts, model, b"shared")
        finally:
            stop.set()
        discarding.result()


def test_readers_do_not_wait_for_a_writer(open_store: OpenStore, model: Model, tmp_path: Path):
    store = open_store()
    job = store.add(a_job(model))
    writer = sqlite3.connect(tmp_path / "data" / "jobs.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM jobs")

    assert store.job(job.id, "a") == job
    writer.close()


def test_a_lock_held_for_too_long_is_reported(open_store: OpenStore, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("jobs.store._database.BUSY_SECONDS", 0.05)
    store = open_store()
    writer = sqlite3.connect(tmp_path / "data" / "jobs.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreUnavailable, match="locked"):
        store.add_model(a_model())

    writer.execute("ROLLBACK")
    assert store.add_model(a_model())[1]
    writer.close()


def test_a_full_disk_is_reported_and_leaves_nothing_half_written(open_store: OpenStore, model: Model):
    store = open_store()
    with store._database.read() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")  # of this connection, which the pool lends next

    with pytest.raises(StoreUnavailable, match="full"):
        add_many(store, model)

    listed = store.jobs("a", limit=1000).items
    assert len(listed) == store.queued_count("a") == len(store.jobs("a", tag="x", limit=1000).items)


def test_a_broken_database_is_reported(store: JobStore, tmp_path: Path):
    store.close()
    for file in (tmp_path / "data").iterdir():
        file.unlink()
    (tmp_path / "data" / "jobs.db").write_bytes(b"not a database" * 1000)

    with pytest.raises(StoreUnavailable):
        store.ping()


def test_the_folder_of_the_database_is_private(store: JobStore, tmp_path: Path):
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
