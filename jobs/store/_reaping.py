"""The store's housekeeping: what no request and no worker is there to do."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from sqlalchemy import Connection, case, select, update

from jobs.errors import DeadlineExceeded, RunnerCrashed
from jobs.schemas import Job, Status
from jobs.store import _idempotency, _rows
from jobs.store._attempts import PUT_BACK, attempts_made
from jobs.store._database import Database
from jobs.store._ending import end
from jobs.store._tables import jobs

RINGS_AT_ONCE = 500
DELETED_AT_ONCE = 200
LONGEST_RING_GAP = 32
"""In units of `ring_after_seconds`: a long backlog must not fill the queue with copies of what waits there."""


@dataclass(frozen=True)
class Reaped:
    """What a round of the reaper found.

    Attributes:
        ring: Queued jobs for which the bell is due; report those that were rung with `rung`.
        failed: How many jobs failed because their last attempt was deserted.
        expired: How many jobs passed their deadline in the queue.
        unreferenced: Digests that no row needs any more, to be given to `discard`.
        put_back: How many leases expired of jobs that may be attempted again.
        deleted: How many finished jobs outlived their retention.
    """

    ring: list[Job] = field(default_factory=list)
    failed: int = 0
    expired: int = 0
    unreferenced: list[str] = field(default_factory=list)
    put_back: int = 0
    deleted: int = 0


class Reaping:
    """The part of `JobStore` that the reaper uses; several may use it at once."""

    _database: Database
    _clock: Callable[[], float]

    def reap(self, *, max_attempts: int, ring_after_seconds: float, retention_seconds: float) -> Reaped:
        """Put deserted jobs back or end them, end overdue ones, delete old ones, and name those to ring for.

        A queued job is due for the bell `ring_after_seconds` after it rang last, then after twice that, and so on.
        """
        now = self._clock()
        with self._database.write() as connection:
            put_back, failed = _judge_deserted(connection, now=now, max_attempts=max_attempts)
            expired = _expire_overdue(connection, now=now)
            _set_retention(connection, retention_seconds)
            old = _too_old(connection, now=now)
            unreferenced = _rows.delete_jobs(connection, old) if old else []
            _idempotency.forget_old(connection, now=now)
        ring = self._due(now=now, ring_after_seconds=ring_after_seconds)
        return Reaped(ring, failed, expired, unreferenced, put_back, len(old))

    def _due(self, *, now: float, ring_after_seconds: float) -> list[Job]:
        due = jobs.c.rung_at + jobs.c.ring_gap * ring_after_seconds <= now
        query = select(*_rows.JOB_COLUMNS).where(jobs.c.status == Status.QUEUED, due).order_by(jobs.c.created_at)
        with self._database.read() as connection:
            return [_rows.job_of(row) for row in connection.execute(query.limit(RINGS_AT_ONCE))]

    def rung(self, job_ids: Collection[str]) -> None:
        """Record that the bell has rung for these jobs, so that it rings for them less and less often."""
        doubled = case((jobs.c.ring_gap < LONGEST_RING_GAP, jobs.c.ring_gap * 2), else_=jobs.c.ring_gap)
        with self._database.write(durable=False) as connection:
            queued = update(jobs).where(jobs.c.id.in_(job_ids), jobs.c.status == Status.QUEUED)
            connection.execute(queued.values(rung_at=self._clock(), ring_gap=doubled))


def _judge_deserted(connection: Connection, *, now: float, max_attempts: int) -> tuple[int, int]:
    deserted = (jobs.c.status == Status.RUNNING) & (jobs.c.lease_until < now)
    end(connection, deserted & jobs.c.cancel_requested, Status.CANCELED, now=now)
    crashed = RunnerCrashed(f"The process that computed the job died, in each of {max_attempts} attempts.").problem()
    # A released job is queued; after its last attempt it would wait there for ever.
    used_up = (deserted | (jobs.c.status == Status.QUEUED)) & (attempts_made >= max_attempts)
    failed = end(connection, used_up, Status.FAILED, now=now, problem=crashed)
    # As if the bell had last rung long ago: it rings for them in this round.
    put_back = update(jobs).where(deserted).values(**PUT_BACK, rung_at=0.0)
    return connection.execute(put_back).rowcount, len(failed)


def _expire_overdue(connection: Connection, *, now: float) -> int:
    overdue = (jobs.c.status == Status.QUEUED) & (jobs.c.deadline_at <= now)
    problem = DeadlineExceeded("The job's deadline passed while it was queued.").problem()
    return len(end(connection, overdue, Status.EXPIRED, now=now, problem=problem))


def _set_retention(connection: Connection, retention_seconds: float) -> None:
    """Jobs that no worker ended have no date of expiry yet."""
    undated = jobs.c.status.in_(_rows.FINISHED) & jobs.c.expires_at.is_(None)
    connection.execute(update(jobs).where(undated).values(expires_at=jobs.c.finished_at + retention_seconds))


def _too_old(connection: Connection, *, now: float) -> list[str]:
    old = select(jobs.c.id).where(jobs.c.status.in_(_rows.FINISHED), jobs.c.expires_at <= now)
    return list(connection.scalars(old.limit(DELETED_AT_ONCE)))
