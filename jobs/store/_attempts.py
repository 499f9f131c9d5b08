"""The store's jobs as a worker sees them: one attempt, from claim to end, guarded by its number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, or_, update

from jobs.errors import Problem
from jobs.schemas import ArtifactReference, Cost, Job, Model, Progress, Status
from jobs.store import _rows
from jobs.store._database import Database
from jobs.store._ending import end
from jobs.store._references import refer, require_bytes
from jobs.store._tables import jobs

PUT_BACK = {
    "status": Status.QUEUED,
    "lease_until": None,
    "worker": None,
    "started_at": None,
    "progress": Progress().model_dump(mode="json"),
    "ring_gap": 1,
}


attempts_made = jobs.c.attempt - jobs.c.excused
"""Attempts that count; the number of an attempt that does not is not given again, for its runner might still write."""


@dataclass(frozen=True)
class Beat:
    """The answer to a heartbeat: `alive` False tells the runner that the attempt is over and nobody waits for it."""

    alive: bool
    cancel_requested: bool


class Attempts:
    """The part of `JobStore` that workers use."""

    _database: Database
    _clock: Callable[[], float]

    def claim(self, job_id: str, *, worker: str, lease_seconds: float, max_attempts: int) -> Job | None:
        """Take the job for one attempt, if it is queued or its lease has expired.

        Of several callers at once exactly one gets the job. None: there is nothing to do, because it is done, is
        being done, was canceled, passed its deadline, or was attempted `max_attempts` times.
        """
        now = self._clock()
        deserted = (jobs.c.status == Status.RUNNING) & (jobs.c.lease_until < now) & ~jobs.c.cancel_requested
        free = or_(jobs.c.status == Status.QUEUED, deserted)
        in_time = (jobs.c.deadline_at > now) & (attempts_made < max_attempts)
        taken = {
            **PUT_BACK,
            "status": Status.RUNNING,
            "attempt": jobs.c.attempt + 1,
            "worker": worker,
            "started_at": now,
            "lease_until": now + lease_seconds,
        }
        claimed = update(jobs).where(jobs.c.id == job_id, free, in_time).values(**taken)
        with self._database.write(durable=False) as connection:
            row = connection.execute(claimed.returning(*_rows.JOB_COLUMNS)).one_or_none()
        return None if row is None else _rows.job_of(row)

    def heartbeat(self, job_id: str, attempt: int, *, lease_seconds: float, progress: Progress | None = None) -> Beat:
        """Renew the lease, record progress where given, and learn whether to go on."""
        values = {} if progress is None else {"progress": progress.model_dump(mode="json")}
        renewed = update(jobs).where(running_attempt(job_id, attempt))
        renewed = renewed.values(lease_until=self._clock() + lease_seconds, **values)
        with self._database.write(durable=False) as connection:
            canceled = connection.scalars(renewed.returning(jobs.c.cancel_requested)).one_or_none()
        return Beat(alive=canceled is not None, cancel_requested=bool(canceled))

    def succeed(
        self,
        job_id: str,
        attempt: int,
        *,
        artifacts: Sequence[ArtifactReference],
        timings: Mapping[str, float],
        cost: Cost | None,
        device: str | None,
        retention_seconds: float,
        models: Sequence[Model] = (),
        exists: Callable[[str], bool] | None = None,
    ) -> bool:
        """Record the result; False: the attempt is over already, and nothing was written.

        Args:
            models: Made by a training; added with its result, or not at all.
            exists: `ArtifactStore.exists`, for whoever put the files and cannot put them again; see `jobs.artifacts`.

        Raises:
            ArtifactsUnavailable: Files have been deleted since they were put; nothing was written.
        """
        needed = [artifact.sha256 for artifact in artifacts]
        now = self._clock()
        result = {
            "artifacts": [artifact.model_dump(mode="json") for artifact in artifacts],
            "timings": dict(timings),
            "cost": None if cost is None else cost.model_dump(mode="json"),
            "device": device,
            "progress": Progress(fraction=1.0).model_dump(mode="json"),
            "resume": None,
            "expires_at": now + retention_seconds,
        }
        with self._database.write() as connection:
            ended = end(connection, running_attempt(job_id, attempt), Status.SUCCEEDED, now=now, values=result)
            if ended:
                refer(connection, job_id, needed)
                for model in models:
                    _rows.insert_model(connection, model)
                require_bytes(exists, [*needed, *(model.sha256 for model in models)])
        return bool(ended)

    def fail(self, job_id: str, attempt: int, problem: Problem, *, retention_seconds: float) -> bool:
        """Record why the computation failed; False: the attempt is over already, and nothing was written."""
        return self._end(job_id, attempt, Status.FAILED, problem, retention_seconds)

    def canceled(self, job_id: str, attempt: int, *, retention_seconds: float) -> bool:
        """Record that the runner stopped on request; False: the attempt is over already, and nothing was written."""
        return self._end(job_id, attempt, Status.CANCELED, None, retention_seconds)

    def _end(
        self, job_id: str, attempt: int, status: Status, problem: Problem | None, retention_seconds: float
    ) -> bool:
        now = self._clock()
        kept = {"expires_at": now + retention_seconds}
        with self._database.write() as connection:
            return bool(
                end(connection, running_attempt(job_id, attempt), status, now=now, problem=problem, values=kept)
            )

    def release(self, job_id: str, attempt: int, *, counts: bool = True) -> bool:
        """Put the job back, because the worker shuts down or its runner died.

        A job that was to stop is canceled instead. Ring for the other, or leave that to the reaper.
        False: the attempt is over already, and nothing was written.

        Args:
            counts: Whether the attempt is one of the few that a job has.
        """
        now = self._clock()
        running = running_attempt(job_id, attempt)
        values = {**PUT_BACK, "rung_at": now, "excused": jobs.c.excused + (0 if counts else 1)}
        with self._database.write() as connection:
            if end(connection, running & jobs.c.cancel_requested, Status.CANCELED, now=now):
                return True
            return connection.execute(update(jobs).where(running).values(**values)).rowcount > 0


def running_attempt(job_id: str, attempt: int) -> ColumnElement[bool]:
    """Match the job while this attempt at it runs."""
    return (jobs.c.id == job_id) & (jobs.c.attempt == attempt) & (jobs.c.status == Status.RUNNING)
