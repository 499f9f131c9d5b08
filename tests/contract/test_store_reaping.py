"""The job store's housekeeping."""

from __future__ import annotations

import pytest

from jobs.errors import NotFound
from jobs.schemas import Job, Model, Status
from jobs.store import IdempotencyKey, JobStore, Reaped
from tests.contract.conftest import OpenStore
from tests.contract.rows import (
    DEADLINE_SECONDS,
    LEASE_SECONDS,
    MAX_ATTEMPTS,
    RETENTION_SECONDS,
    RING_AFTER_SECONDS,
    Clock,
    a_job,
    an_input,
    digest,
)


@pytest.fixture
def job(store: JobStore, model: Model) -> Job:
    return store.add(a_job(model))


def claim(store: JobStore, job: Job) -> Job | None:
    return store.claim(job.id, worker="w", lease_seconds=LEASE_SECONDS, max_attempts=MAX_ATTEMPTS)


def reap(store: JobStore) -> Reaped:
    return store.reap(
        max_attempts=MAX_ATTEMPTS, ring_after_seconds=RING_AFTER_SECONDS, retention_seconds=RETENTION_SECONDS
    )


def test_a_quiet_store_gives_nothing_to_do(store: JobStore, job: Job):
    assert reap(store) == Reaped()
    assert store.job(job.id, None) == job


def test_a_beating_job_is_left_alone(store: JobStore, job: Job, clock: Clock):
    claim(store, job)
    for _ in range(5):
        clock.now += LEASE_SECONDS - 1
        store.heartbeat(job.id, 1, lease_seconds=LEASE_SECONDS, progress=None)

    assert reap(store) == Reaped()


def test_a_deserted_job_is_put_back_and_rung_for_at_once(store: JobStore, job: Job, clock: Clock):
    claim(store, job)
    clock.now += LEASE_SECONDS + 1

    reaped = reap(store)

    assert [due.id for due in reaped.ring] == [job.id]
    assert reaped.put_back == 1
    assert (store.job(job.id, None).status, store.job(job.id, None).attempt) == (Status.QUEUED, 1)


def test_a_job_deserted_in_its_last_attempt_fails(store: JobStore, job: Job, clock: Clock):
    for _ in range(MAX_ATTEMPTS):
        assert claim(store, job) is not None
        clock.now += LEASE_SECONDS + 1

    reaped = reap(store)

    failed = store.job(job.id, None)
    assert (reaped.failed, reaped.ring) == (1, [])
    assert failed.status is Status.FAILED
    assert failed.error is not None
    assert failed.error.code == "runner-crashed"
    assert failed.expires_at == clock.now + RETENTION_SECONDS


def test_a_job_released_in_its_last_attempt_fails(store: JobStore, job: Job):
    for attempt in range(1, MAX_ATTEMPTS + 1):
        claim(store, job)
        store.release(job.id, attempt)

    assert reap(store).failed == 1
    assert store.job(job.id, None).status is Status.FAILED


def test_a_deserted_job_that_was_to_stop_is_canceled(store: JobStore, job: Job, clock: Clock):
    claim(store, job)
    store.cancel(job.id, "a")
    clock.now += LEASE_SECONDS + 1

    reaped = reap(store)

    assert (reaped.failed, reaped.put_back, reaped.ring) == (0, 0, [])
    assert store.job(job.id, None).status is Status.CANCELED


def test_a_job_that_waited_past_its_deadline_expires(store: JobStore, job: Job, clock: Clock):
    clock.now = job.created_at + DEADLINE_SECONDS

    reaped = reap(store)

    expired = store.job(job.id, None)
    assert (reaped.expired, reaped.ring) == (1, [])
    assert expired.status is Status.EXPIRED
    assert expired.error is not None
    assert expired.error.code == "deadline-exceeded"


def test_a_deserted_job_past_its_deadline_expires(store: JobStore, job: Job, clock: Clock):
    claim(store, job)
    clock.now = job.created_at + DEADLINE_SECONDS

    assert reap(store).expired == 1


def test_an_unheard_bell_rings_less_and_less_often(store: JobStore, job: Job, clock: Clock):
    clock.now = job.created_at
    rung: list[float] = []
    while clock.now < job.created_at + 800:
        if due := reap(store).ring:
            store.rung([job.id for job in due])
            rung.append(clock.now - job.created_at)
        clock.now += 5

    assert rung == [10, 30, 70, 150, 310, 630]


def test_a_bell_that_was_not_rung_stays_due(store: JobStore, job: Job, clock: Clock):
    clock.now = job.created_at + RING_AFTER_SECONDS

    assert reap(store).ring == reap(store).ring == [job]


def test_the_longest_gap_between_bells_is_bounded(store: JobStore, model: Model, clock: Clock):
    job = store.add(a_job(model, deadline_at=clock.now + 1e9))
    for _ in range(40):
        store.rung([job.id])
    clock.now += 32 * RING_AFTER_SECONDS

    assert [due.id for due in reap(store).ring] == [job.id]


def test_what_outlived_its_retention_is_deleted(store: JobStore, model: Model, clock: Clock):
    key = IdempotencyKey("a", "key", "x")
    job = store.add(a_job(model, input=an_input("cat"), tags=("x",)), idempotency=key)
    store.cancel(job.id, "a")
    reap(store)
    clock.now += RETENTION_SECONDS

    reaped = reap(store)

    assert (reaped.deleted, reaped.unreferenced) == (1, [digest("cat")])
    with pytest.raises(NotFound):
        store.job(job.id, None)
    assert store.jobs("a", tag="x", limit=1).items == []


def test_a_canceled_job_gets_a_date_of_expiry(store: JobStore, job: Job, clock: Clock):
    store.cancel(job.id, "a")
    clock.now += 7

    reap(store)

    assert store.job(job.id, None).expires_at == clock.now - 7 + RETENTION_SECONDS


def test_two_reapers_judge_each_job_once(open_store: OpenStore, model: Model, clock: Clock):
    first, second = open_store(), open_store()
    jobs = [first.add(a_job(model)) for _ in range(5)]
    for job in jobs:
        claim(first, job)
    clock.now += LEASE_SECONDS + 1

    assert reap(first).put_back == 5
    assert reap(second).put_back == 0
