"""The job store's jobs, as workers use them: claim, heartbeat, and one end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobs.errors import ArtifactsUnavailable, OutOfMemory
from jobs.schemas import Cost, Job, Model, Progress, Status
from jobs.store import Beat, JobStore
from tests.contract.rows import (
    DEADLINE_SECONDS,
    LEASE_SECONDS,
    MAX_ATTEMPTS,
    NOW,
    RETENTION_SECONDS,
    Clock,
    a_job,
    an_artifact,
)

PROBLEM = OutOfMemory("too little").problem()


@pytest.fixture
def job(store: JobStore, model: Model) -> Job:
    return store.add(a_job(model))


def claim(store: JobStore, job: Job) -> Job | None:
    return store.claim(job.id, worker="w", lease_seconds=LEASE_SECONDS, max_attempts=MAX_ATTEMPTS)


def succeed(store: JobStore, job: Job, attempt: int, **arguments: Callable[[str], bool]) -> bool:
    return store.succeed(
        job.id, attempt, artifacts=[an_artifact("result")], timings={"compute": 0.5}, cost=Cost(forwards=31),
        device="cpu", retention_seconds=RETENTION_SECONDS, **arguments,
    )  # fmt: skip


def test_a_claim_starts_an_attempt(store: JobStore, job: Job):
    claimed = claim(store, job)

    assert claimed is not None
    assert claimed == store.job(job.id, None)
    assert (claimed.status, claimed.attempt, claimed.worker) == (Status.RUNNING, 1, "w")
    assert (claimed.started_at, claimed.lease_until) == (NOW, NOW + LEASE_SECONDS)


def test_a_job_is_claimed_once(store: JobStore, job: Job):
    assert claim(store, job) is not None
    assert claim(store, job) is None


def test_a_job_that_is_not_there_is_nothing_to_do(store: JobStore, model: Model):
    assert claim(store, a_job(model)) is None


def test_a_job_past_its_deadline_is_not_claimed(store: JobStore, job: Job, clock: Clock):
    clock.now = job.created_at + DEADLINE_SECONDS

    assert claim(store, job) is None


def test_a_deserted_job_is_claimed_again(store: JobStore, job: Job, clock: Clock):
    claim(store, job)
    store.heartbeat(job.id, 1, lease_seconds=LEASE_SECONDS, progress=Progress(fraction=0.5))
    clock.now += LEASE_SECONDS + 1

    claimed = claim(store, job)

    assert claimed is not None
    assert (claimed.attempt, claimed.progress) == (2, Progress())


def test_a_deserted_job_that_was_to_stop_is_not_claimed(store: JobStore, job: Job, clock: Clock):
    claim(store, job)
    store.cancel(job.id, "a")
    clock.now += LEASE_SECONDS + 1

    assert claim(store, job) is None


def test_a_job_is_claimed_no_more_often_than_allowed(store: JobStore, job: Job):
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert claim(store, job) is not None
        assert store.release(job.id, attempt)

    assert claim(store, job) is None


def test_a_heartbeat_renews_the_lease_and_records_progress(store: JobStore, job: Job, clock: Clock):
    claim(store, job)
    clock.now += 10
    progress = Progress(fraction=0.25, stage="path", done=8, total=31, eta_seconds=2.5)

    beat = store.heartbeat(job.id, 1, lease_seconds=LEASE_SECONDS, progress=progress)

    assert beat == Beat(alive=True, cancel_requested=False)
    beating = store.job(job.id, None)
    assert (beating.lease_until, beating.progress) == (clock.now + LEASE_SECONDS, progress)


def test_a_heartbeat_without_progress_keeps_the_progress(store: JobStore, job: Job):
    claim(store, job)
    store.heartbeat(job.id, 1, lease_seconds=LEASE_SECONDS, progress=Progress(fraction=0.25))
    store.heartbeat(job.id, 1, lease_seconds=LEASE_SECONDS, progress=None)

    assert store.job(job.id, None).progress == Progress(fraction=0.25)


def test_the_heartbeat_of_an_attempt_that_is_over_is_told_so(store: JobStore, job: Job):
    claim(store, job)
    store.release(job.id, 1)
    claim(store, job)

    assert store.heartbeat(job.id, 1, lease_seconds=LEASE_SECONDS, progress=None) == Beat(False, False)
    assert store.heartbeat(job.id, 2, lease_seconds=LEASE_SECONDS, progress=None) == Beat(True, False)


def test_success_is_recorded_whole(store: JobStore, job: Job):
    claim(store, job)

    assert succeed(store, job, 1)

    done = store.job(job.id, "a")
    assert (done.status, done.finished_at, done.expires_at) == (Status.SUCCEEDED, NOW, NOW + RETENTION_SECONDS)
    assert (done.timings, done.cost, done.device) == ({"compute": 0.5}, Cost(forwards=31), "cpu")
    assert done.artifacts == (an_artifact("result"),)
    assert (done.progress.fraction, done.lease_until, done.error) == (1.0, None, None)


def test_a_result_whose_files_were_deleted_is_not_recorded(store: JobStore, job: Job):
    claim(store, job)
    before = store.job(job.id, None)

    with pytest.raises(ArtifactsUnavailable):
        succeed(store, job, 1, exists=lambda sha256: False)

    assert store.job(job.id, None) == before
    assert succeed(store, job, 1, exists=lambda sha256: True)


def test_failure_is_recorded_with_its_reason(store: JobStore, job: Job):
    claim(store, job)

    assert store.fail(job.id, 1, PROBLEM, retention_seconds=RETENTION_SECONDS)

    failed = store.job(job.id, "a")
    assert (failed.status, failed.error, failed.expires_at) == (Status.FAILED, PROBLEM, NOW + RETENTION_SECONDS)


def test_a_runner_that_stopped_on_request_is_recorded(store: JobStore, job: Job):
    claim(store, job)

    assert store.canceled(job.id, 1, retention_seconds=RETENTION_SECONDS)

    assert store.job(job.id, "a").status is Status.CANCELED


def test_a_released_job_is_queued_and_keeps_its_count(store: JobStore, job: Job):
    claim(store, job)

    assert store.release(job.id, 1)

    queued = store.job(job.id, "a")
    assert (queued.status, queued.attempt, queued.worker) == (Status.QUEUED, 1, None)
    assert (queued.started_at, queued.lease_until) == (None, None)


def test_a_released_job_that_was_to_stop_is_canceled(store: JobStore, job: Job):
    claim(store, job)
    store.cancel(job.id, "a")

    assert store.release(job.id, 1)

    assert store.job(job.id, "a").status is Status.CANCELED
    assert claim(store, job) is None


def test_an_excused_attempt_does_not_count_and_its_number_is_not_given_again(store: JobStore, job: Job):
    for attempt in range(1, 2 * MAX_ATTEMPTS + 1):
        claimed = claim(store, job)
        assert claimed is not None
        assert (claimed.attempt, claimed.excused) == (attempt, attempt - 1)
        assert store.release(job.id, attempt, counts=False)

    assert not succeed(store, job, 1)


def test_a_late_runner_changes_nothing(store: JobStore, job: Job):
    claim(store, job)
    store.release(job.id, 1)
    claim(store, job)
    before = store.job(job.id, None)

    written = [
        succeed(store, job, 1),
        store.fail(job.id, 1, PROBLEM, retention_seconds=RETENTION_SECONDS),
        store.canceled(job.id, 1, retention_seconds=RETENTION_SECONDS),
        store.release(job.id, 1),
    ]

    assert written == [False] * 4
    assert store.job(job.id, None) == before


def test_an_end_is_final(store: JobStore, job: Job):
    claim(store, job)
    succeed(store, job, 1)
    before = store.job(job.id, None)

    assert not succeed(store, job, 1)
    assert not store.fail(job.id, 1, PROBLEM, retention_seconds=RETENTION_SECONDS)
    assert not store.release(job.id, 1)
    assert claim(store, job) is None
    assert store.job(job.id, None) == before
