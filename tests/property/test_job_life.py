"""The life of jobs under any sequence of what gateways, workers and reapers do, late and lost ones included.

The machine keeps no model of the store: it watches every job and checks what must hold whatever happens.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from jobs.errors import Conflict, NotFound, OutOfMemory
from jobs.schemas import ArtifactReference, Cost, Job, Progress, Status
from jobs.store import JobStore
from tests.contract.rows import LEASE_SECONDS, MAX_ATTEMPTS, RETENTION_SECONDS, Clock, a_job, a_model, digest

DEADLINE_SECONDS = 100.0
PROBLEM = OutOfMemory("too little").problem()


class JobLife(RuleBasedStateMachine):
    """Two handles to one database, as two processes have; attempts, once started, may write at any later time."""

    ids = Bundle("ids")
    attempts = Bundle("attempts")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.folder = tempfile.TemporaryDirectory()
        url = f"sqlite:///{Path(self.folder.name) / 'jobs.db'}"
        self.stores = [JobStore(url, clock=self.clock) for _ in range(2)]
        self.model, _ = self.stores[0].add_model(a_model())
        self.seen: dict[str, Job] = {}
        self.started: set[tuple[str, int]] = set()
        self.ended: dict[str, str] = {}

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        self.folder.cleanup()

    @rule(target=ids)
    def add(self) -> str:
        deadline = self.clock.now + DEADLINE_SECONDS
        job = self.stores[0].add(a_job(self.model, created_at=self.clock.now, deadline_at=deadline))
        self.seen[job.id] = job
        return job.id

    @rule(target=attempts, job_id=ids, side=st.integers(0, 1))
    def claim(self, job_id: str, side: int):
        before = self.seen.get(job_id)
        claimed = self.stores[side].claim(
            job_id, worker=f"w{side}", lease_seconds=LEASE_SECONDS, max_attempts=MAX_ATTEMPTS
        )
        if claimed is None:
            return multiple()
        assert before is not None
        assert claimed.attempt == before.attempt + 1
        assert before.status is Status.QUEUED or before.lease_until < self.clock.now
        assert not before.cancel_requested
        assert (job_id, claimed.attempt) not in self.started
        self.started.add((job_id, claimed.attempt))
        return job_id, claimed.attempt

    @rule(attempt=attempts, side=st.integers(0, 1))
    def beat(self, attempt: tuple[str, int], side: int):
        alive = self.is_running(attempt)
        beat = self.stores[side].heartbeat(*attempt, lease_seconds=LEASE_SECONDS, progress=Progress(fraction=0.5))
        assert beat.alive == alive

    @rule(attempt=attempts)
    def succeed(self, attempt: tuple[str, int]):
        job_id, number = attempt
        result = ArtifactReference(name="result.json", sha256=digest(f"{attempt}"), size_bytes=1, media_type="x/y")
        self.end(attempt, "succeeded", lambda: self.stores[0].succeed(
            job_id, number, artifacts=[result], timings={}, cost=Cost(forwards=number), device="cpu",
            retention_seconds=RETENTION_SECONDS,
        ))  # fmt: skip

    @rule(attempt=attempts)
    def fail(self, attempt: tuple[str, int]):
        self.end(attempt, "failed", lambda: self.stores[1].fail(*attempt, PROBLEM, retention_seconds=RETENTION_SECONDS))

    @rule(attempt=attempts)
    def stop(self, attempt: tuple[str, int]):
        self.end(attempt, "canceled", lambda: self.stores[1].canceled(*attempt, retention_seconds=RETENTION_SECONDS))

    @rule(attempt=attempts, counts=st.booleans())
    def release(self, attempt: tuple[str, int], counts: bool):
        running = self.is_running(attempt)
        assert self.stores[0].release(*attempt, counts=counts) == running

    @rule(job_id=ids)
    def cancel(self, job_id: str):
        before = self.seen.get(job_id)
        try:
            canceled = self.stores[0].cancel(job_id, "a")
        except NotFound:
            assert before is None
        except Conflict:
            assert before is not None
            assert before.status.finished
        else:
            assert canceled.cancel_requested or canceled.status is Status.CANCELED

    @rule(job_id=consumes(ids))
    def purge(self, job_id: str):
        before = self.seen.get(job_id)
        try:
            self.stores[1].purge(job_id, "a")
        except NotFound:
            assert before is None
        except Conflict:
            assert before is not None
            assert not before.status.finished
        else:
            del self.seen[job_id]

    @rule(side=st.integers(0, 1))
    def reap(self, side: int):
        reaped = self.stores[side].reap(
            max_attempts=MAX_ATTEMPTS, ring_after_seconds=10.0, retention_seconds=RETENTION_SECONDS
        )
        assert {job.status for job in reaped.ring} <= {Status.QUEUED}
        self.stores[side].rung([job.id for job in reaped.ring])
        for job_id, before in self.seen.items():
            after = self.stores[side].job(job_id, None)
            deserted = after.status is Status.RUNNING and after.lease_until < self.clock.now
            waiting = after.status is Status.QUEUED
            assert not deserted
            assert not (
                waiting and (after.attempt - after.excused >= MAX_ATTEMPTS or after.deadline_at <= self.clock.now)
            )
            assert before.status is not Status.RUNNING or not waiting or before.lease_until < self.clock.now

    @rule(seconds=st.sampled_from([1.0, LEASE_SECONDS + 1, DEADLINE_SECONDS]))
    def wait(self, seconds: float):
        self.clock.now += seconds

    def is_running(self, attempt: tuple[str, int]) -> bool:
        job = self.seen.get(attempt[0])
        return job is not None and job.status is Status.RUNNING and job.attempt == attempt[1]

    def end(self, attempt: tuple[str, int], status: str, write: Callable[[], bool]) -> None:
        running = self.is_running(attempt)
        assert write() == running
        if running:
            assert attempt[0] not in self.ended, "a job ended twice"
            self.ended[attempt[0]] = status
            assert self.stores[0].job(attempt[0], None).status == status

    @invariant()
    def nothing_goes_back(self) -> None:
        for job_id, before in self.seen.items():
            after = self.stores[0].job(job_id, None)
            assert before.attempt <= after.attempt <= after.excused + MAX_ATTEMPTS
            if before.status.finished:
                settled = {"expires_at"}  # set once, by the reaper
                assert after.model_dump(exclude=settled) == before.model_dump(exclude=settled)
            assert after.status.finished == (after.finished_at is not None)
            assert (after.status is Status.RUNNING) == (after.lease_until is not None)
            assert (after.status is Status.SUCCEEDED) == bool(after.artifacts)
            if after.artifacts:
                assert after.artifacts[0].sha256 == digest(f"{(job_id, after.attempt)}")
            self.seen[job_id] = after


TestJobLife = JobLife.TestCase
TestJobLife.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
