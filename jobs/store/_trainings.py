"""The store's trainings as a worker sees them: which one is next, and where a running one can be taken up again."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import case, select, update

from jobs.schemas import JobKind, ResumePoint, Status
from jobs.store._attempts import running_attempt
from jobs.store._database import Database
from jobs.store._references import refer, release, require_bytes, unreferenced
from jobs.store._tables import byte_references, jobs


class Trainings:
    """The part of `JobStore` that trainings need beyond what every job does."""

    _database: Database
    _clock: Callable[[], float]

    def next_training(self) -> str | None:
        """Return the id of the queued training to be claimed first, of whatever tenant; None when there is none."""
        queued = (jobs.c.status == Status.QUEUED) & (jobs.c.kind == JobKind.TRAINING)
        urgent_first = case((jobs.c.priority == "interactive", 0), else_=1)
        query = select(jobs.c.id).where(queued, jobs.c.deadline_at > self._clock())
        with self._database.read() as connection:
            return connection.scalars(query.order_by(urgent_first, jobs.c.created_at, jobs.c.id).limit(1)).first()

    def save_resume_point(
        self, job_id: str, attempt: int, point: ResumePoint, *, exists: Callable[[str], bool] | None = None
    ) -> list[str]:
        """Record where the next attempt goes on, in place of the point before.

        Args:
            exists: As for `succeed`.

        Returns:
            Digests that no row needs any more, to be given to `discard`: the earlier point's; or, where the attempt
            is over already and nothing was written, this one's.

        Raises:
            ArtifactsUnavailable: The bytes have been deleted since they were put; nothing was written.
        """
        with self._database.write() as connection:
            query = select(jobs.c.resume).where(running_attempt(job_id, attempt)).with_for_update()
            row = connection.execute(query).one_or_none()
            if row is None:
                # The attempt under way may have saved the very same bytes: trainings are deterministic.
                return unreferenced(connection, [point.sha256])
            saved = {"resume": point.model_dump(mode="json")}
            connection.execute(update(jobs).where(jobs.c.id == job_id).values(**saved))
            refer(connection, job_id, [point.sha256])
            require_bytes(exists, [point.sha256])
            earlier = [row.resume["sha256"]] if row.resume else []
            return release(connection, job_id, earlier, kept=[point.sha256])

    def drop_save_points(self, job_id: str) -> list[str]:
        """Let go of the bytes that a job which succeeded was saved in; return digests to be given to `discard`.

        Jobs that ended otherwise keep theirs until they are deleted: doing one again goes on from there.
        """
        with self._database.write() as connection:
            succeeded = (jobs.c.id == job_id) & (jobs.c.status == Status.SUCCEEDED)
            row = connection.execute(select(jobs.c.artifacts).where(succeeded)).one_or_none()
            if row is None:
                return []
            held = connection.scalars(select(byte_references.c.sha256).where(byte_references.c.owner_id == job_id))
            return release(connection, job_id, held.all(), kept=[artifact["sha256"] for artifact in row.artifacts])
