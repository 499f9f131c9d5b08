"""The life of jobs under any sequence of what gateways, workers and reapers do, late and lost ones included.

There is no model of the store here: every job is watched, and what must hold whatever happens is checked after each
step. (Not one of Hypothesis's state machines: those leave out whole kinds of steps in most runs and so seldom come as
far as a third attempt.)
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.errors import Conflict, NotFound, OutOfMemory
from jobs.schemas import ArtifactReference, Cost, Job, Progress, Status
from jobs.store import JobStore
from tests.contract.rows import LEASE_SECONDS, MAX_ATTEMPTS, RETENTION_SECONDS, Clock, a_job, a_model, digest

DEADLINE_SECONDS = 20 * LEASE_SECONDS
PROBLEM = OutOfMemory("too little").problem()

Attempt = tuple[str, int]
Step = tuple[Any, ...]
Item = TypeVar("Item")


class JobLife:
    """Two handles to one database, as two processes have; attempts, once started, may write at any later time."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.folder = tempfile.TemporaryDirectory()
        url = f"sqlite:///{Path(self.folder.name) / 'jobs.db'}"
        self.stores = [JobStore(url, clock=self.clock) for _ in range(2)]
        self.model, _ = self.stores[0].add_model(a_model())
        self.ids: list[str] = []
        self.started: list[Attempt] = []
        self.seen: dict[str, Job] = {}
        self.ended: set[str] = set()
        self.add()

    def close(self) -> None:
        for store in self.stores:
            store.close()
        self.folder.cleanup()

    def do(self, step: Step) -> None:
        name, *arguments = step
        if name not in ("claim", "cancel", "wait", "wait_and_reap") and not self.started:
            return
        getattr(self, name)(*arguments)
        self.check()
        if all(job.status.finished for job in self.seen.values()):
            self.add()

    def add(self) -> None:
        deadline = self.clock.now + DEADLINE_SECONDS
        job = self.stores[0].add(a_job(self.model, created_at=self.clock.now, deadline_at=deadline))
        self.ids.append(job.id)
        self.seen[job.id] = job

    def claim(self, back: int, side: int) -> None:
        job_id = _last(self.ids, back)
        before = self.seen.get(job_id)
        claimed = self.stores[side].claim(
            job_id, worker=f"w{side}", lease_seconds=LEASE_SECONDS, max_attempts=MAX_ATTEMPTS
        )
        if claimed is None:
            assert before is None or before.status is not Status.QUEUED or self.is_used_up(before)
            return
        assert before is not None
        assert before.status is Status.QUEUED or self.is_deserted(before)
        assert not before.cancel_requested
        assert not self.is_used_up(before)
        assert claimed.attempt == before.attempt + 1
        self.started.append((job_id, claimed.attempt))

    def beat(self, back: int, side: int) -> None:
        attempt = _last(self.started, back)
        alive = self.is_running(attempt)
        beat = self.stores[side].heartbeat(*attempt, lease_seconds=LEASE_SECONDS, progress=Progress(fraction=0.5))
        assert beat.alive == alive

    def end(self, back: int, side: int, status: Status) -> None:
        attempt = _last(self.started, back)
        running = self.is_running(attempt)
        assert self.write_end(side, attempt, status) == running
        if running:
            assert attempt[0] not in self.ended, "a job ended twice"
            self.ended.add(attempt[0])
            assert self.stores[0].job(attempt[0], None).status is status

    def write_end(self, side: int, attempt: Attempt, status: Status) -> bool:
        store = self.stores[side]
        result = ArtifactReference(name="result.json", sha256=digest(f"{attempt}"), size_bytes=1, media_type="x/y")
        done = {"timings": {}, "cost": Cost(), "device": "cpu", "retention_seconds": RETENTION_SECONDS}
        ends: dict[Status, Callable[[], bool]] = {
            Status.SUCCEEDED: lambda: store.succeed(*attempt, artifacts=[result], **done),
            Status.FAILED: lambda: store.fail(*attempt, PROBLEM, retention_seconds=RETENTION_SECONDS),
            Status.CANCELED: lambda: store.canceled(*attempt, retention_seconds=RETENTION_SECONDS),
        }
        return ends[status]()

    def release(self, back: int, counts: bool) -> None:
        attempt = _last(self.started, back)
        running = self.is_running(attempt)
        assert self.stores[0].release(*attempt, counts=counts) == running

    def cancel(self, back: int) -> None:
        job_id = _last(self.ids, back)
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

    def purge(self, back: int) -> None:
        job_id = _last(self.ids, back)
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

    def wait_and_reap(self, seconds: float, side: int) -> None:
        self.clock.now += seconds
        reaped = self.stores[side].reap(
            max_attempts=MAX_ATTEMPTS, ring_after_seconds=10.0, retention_seconds=RETENTION_SECONDS
        )
        self.stores[side].rung([job.id for job in reaped.ring])
        assert {job.status for job in reaped.ring} <= {Status.QUEUED}
        for job_id, before in self.seen.items():
            after = self.stores[side].job(job_id, None)
            assert not self.is_deserted(after)
            assert after.status is not Status.QUEUED or not self.is_used_up(after)
            assert before.status is not Status.RUNNING or self.is_deserted(before) or after == before

    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    def is_running(self, attempt: Attempt) -> bool:
        job = self.seen.get(attempt[0])
        return job is not None and job.status is Status.RUNNING and job.attempt == attempt[1]

    def is_deserted(self, job: Job) -> bool:
        return job.status is Status.RUNNING and job.lease_until is not None and job.lease_until < self.clock.now

    def is_used_up(self, job: Job) -> bool:
        return job.attempt - job.excused >= MAX_ATTEMPTS or job.deadline_at <= self.clock.now

    def check(self) -> None:
        for job_id, before in self.seen.items():
            after = self.stores[0].job(job_id, None)
            assert before.attempt <= after.attempt <= after.excused + MAX_ATTEMPTS
            if before.status.finished:
                dated = {"expires_at"}  # set once, by the reaper
                assert after.model_dump(exclude=dated) == before.model_dump(exclude=dated)
            assert after.status.finished == (after.finished_at is not None)
            assert (after.status is Status.RUNNING) == (after.lease_until is not None)
            assert (after.status is Status.SUCCEEDED) == bool(after.artifacts)
            if after.artifacts:
                assert after.artifacts[0].sha256 == digest(f"{(job_id, after.attempt)}")
            self.seen[job_id] = after


def _last(items: list[Item], back: int) -> Item:
    return items[max(len(items) - 1 - back, 0)]


sides = st.integers(0, 1)
"""Which of two processes acts."""

back = st.sampled_from([0, 0, 0, 1, 2])
"""Which job or attempt it acts on: 0 the newest, and so on; what is older than the newest is late."""

ends = st.sampled_from([Status.SUCCEEDED, Status.FAILED, Status.CANCELED])
claims = st.tuples(st.just("claim"), st.sampled_from([0, 0, 0, 1]), sides)
releases = st.tuples(st.just("release"), back, st.sampled_from([True, True, False]))
steps: st.SearchStrategy[Step] = st.one_of(
    claims,
    claims,
    claims,
    releases,
    releases,
    st.tuples(st.just("beat"), back, sides),
    st.tuples(st.just("end"), back, sides, ends),
    st.tuples(st.just("cancel"), st.sampled_from([0, 1, 2, 3])),
    st.tuples(st.just("purge"), back),
    st.tuples(st.just("wait"), st.sampled_from([1.0, LEASE_SECONDS + 1, LEASE_SECONDS + 1])),
    st.tuples(st.just("wait_and_reap"), st.sampled_from([LEASE_SECONDS + 1, 1.0, 1.0, DEADLINE_SECONDS]), sides),
)


@settings(max_examples=40)
@given(st.lists(steps, min_size=40, max_size=60))
def test_a_job_goes_forward_ends_once_and_stays_ended(steps: list[Step]):
    life = JobLife()
    try:
        for step in steps:
            life.do(step)
    finally:
        life.close()
