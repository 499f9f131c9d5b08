"""The store's jobs as the gateway sees them: added, read, listed, canceled, purged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    case,
    func,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError

from jobs.errors import Conflict, NotFound
from jobs.schemas import Job, JobKind, Status
from jobs.store import _idempotency, _rows
from jobs.store._database import Database
from jobs.store._ending import end
from jobs.store._idempotency import IdempotencyKey
from jobs.store._paging import Page, fetch_page
from jobs.store._references import unreferenced
from jobs.store._tables import datasets, job_tags, jobs, models

# Built once: a status read is the service's most frequent query, and building it takes a third of its time.
_JOB = select(*_rows.JOB_COLUMNS).where(jobs.c.id == bindparam("job_id"))
_JOB_OF_TENANT = _JOB.where(jobs.c.tenant == bindparam("tenant"))


class Jobs:
    """The part of `JobStore` that the gateway's requests use."""

    _database: Database
    _clock: Callable[[], float]

    def add(self, job: Job, *, idempotency: IdempotencyKey | None = None) -> Job:
        """Add a job, in one transaction with its idempotency key.

        Returns:
            The job; or the one that the key made before, as it is now, and nothing was added.

        Raises:
            NotFound: The tenant does not have the job's model, dataset or a checkpoint.
            IdempotencyMismatch: The key was used with another request.
            Conflict: The id is taken.
        """
        try:
            with self._database.write() as connection:
                if idempotency is not None:
                    _idempotency.record(connection, idempotency, job.id, now=self._clock())
                _require_models(connection, job)
                _require_dataset(connection, job)
                _rows.insert_job(connection, job)
        except IntegrityError as error:
            earlier = self.replay(idempotency) if idempotency is not None else None
            if earlier is None:
                raise Conflict(f"There is a job {job.id!r} already.") from error
            return self.job(earlier, job.tenant)
        return job

    def replay(self, idempotency: IdempotencyKey) -> str | None:
        """Return the id of the job, model or dataset that the key made in the last 24 hours.

        Raises:
            IdempotencyMismatch: The key was used with another request.
        """
        with self._database.read() as connection:
            return _idempotency.recorded(connection, idempotency, now=self._clock())

    def remember(self, idempotency: IdempotencyKey, job: Job) -> Job:
        """Record that the key led to a job that was there already; return the job that it leads to.

        Raises:
            IdempotencyMismatch: The key was used with another request.
        """
        try:
            with self._database.write() as connection:
                _idempotency.record(connection, idempotency, job.id, now=self._clock())
        except IntegrityError:
            earlier = self.replay(idempotency)
            return job if earlier is None else self.job(earlier, job.tenant)
        return job

    def find_equal(self, tenant: str, content_key: str) -> Job | None:
        """Return a job of the same content: one that succeeded, or else one that is queued or running."""
        usable = or_(
            (jobs.c.status == Status.SUCCEEDED) & or_(jobs.c.expires_at.is_(None), jobs.c.expires_at > self._clock()),
            jobs.c.status.in_(_rows.UNFINISHED) & ~jobs.c.cancel_requested,
        )
        equal = (jobs.c.tenant == tenant, jobs.c.content_key == content_key, usable)
        succeeded_first = case((jobs.c.status == Status.SUCCEEDED, 0), (jobs.c.status == Status.RUNNING, 1), else_=2)
        query = select(*_rows.JOB_COLUMNS).where(*equal).order_by(succeeded_first, jobs.c.created_at.desc())
        with self._database.read() as connection:
            row = connection.execute(query.limit(1)).one_or_none()
        return None if row is None else _rows.job_of(row)

    def queued_count(self, tenant: str) -> int:
        """Return how many of the tenant's jobs are queued."""
        return self._count((jobs.c.tenant == tenant, jobs.c.status == Status.QUEUED))

    def queue_position(self, job: Job) -> int:
        """Return how many jobs of the same priority, of all tenants, were queued before this one.

        Trainings wait for trainers and the others for slots, so neither counts for the other.
        """
        earlier = tuple_(jobs.c.created_at, jobs.c.id) < (job.created_at, job.id)
        trains = jobs.c.kind == JobKind.TRAINING
        same_wait = trains if job.kind is JobKind.TRAINING else ~trains
        return self._count((jobs.c.status == Status.QUEUED, jobs.c.priority == job.priority, same_wait, earlier))

    def _count(self, conditions: Iterable[ColumnElement[bool]]) -> int:
        with self._database.read() as connection:
            return connection.scalars(select(func.count()).select_from(jobs).where(*conditions)).one()

    def job(self, job_id: str, tenant: str | None) -> Job:
        """Return the tenant's job; `tenant=None` is the worker's own read, of any tenant.

        Raises:
            NotFound: There is none, or it is another tenant's.
        """
        with self._database.read() as connection:
            return _rows.job_of(_job_row(connection, job_id, tenant))

    def jobs(
        self,
        tenant: str,
        *,
        status: Status | None = None,
        method: str | None = None,
        model: str | None = None,
        dataset: str | None = None,
        tag: str | None = None,
        limit: int,
        cursor: str | None = None,
    ) -> Page[Job]:
        """Return a page of the tenant's jobs that match all the filters given, newest first.

        Raises:
            InvalidParameters: The cursor is not one of ours.
        """
        given = {jobs.c.status: status, jobs.c.method: method, jobs.c.model_id: model, jobs.c.dataset_id: dataset}
        filters = [column == value for column, value in given.items() if value is not None]
        tagged = true() if tag is None else jobs.c.id.in_(select(job_tags.c.job_id).where(job_tags.c.tag == tag))
        query = select(*_rows.JOB_COLUMNS).where(jobs.c.tenant == tenant, tagged, *filters)
        with self._database.read() as connection:
            rows, next_cursor = fetch_page(connection, query, jobs, limit=limit, cursor=cursor)
        return Page([_rows.job_of(row) for row in rows], next_cursor)

    def cancel(self, job_id: str, tenant: str) -> Job:
        """Cancel a queued job at once, or ask the runner of a running one to stop; asking twice is harmless.

        Raises:
            NotFound: There is no such job of this tenant.
            Conflict: The job is finished.
        """
        mine = _rows.is_job(job_id, tenant)
        running = update(jobs).where(mine, jobs.c.status == Status.RUNNING).values(cancel_requested=True)
        with self._database.write() as connection:
            queued = mine & (jobs.c.status == Status.QUEUED)
            if end(connection, queued, Status.CANCELED, now=self._clock()):
                return _rows.job_of(_job_row(connection, job_id, tenant))
            row = connection.execute(running.returning(*_rows.JOB_COLUMNS)).one_or_none()
            if row is None:
                job = _rows.job_of(_job_row(connection, job_id, tenant))
                raise Conflict(f"The job {job_id} is {job.status.value} already and cannot be canceled.")
            return _rows.job_of(row)

    def purge(self, job_id: str, tenant: str) -> list[str]:
        """Delete a finished job; return the digests that no row needs any more, to be given to `discard`.

        Raises:
            NotFound: There is no such job of this tenant.
            Conflict: The job is not finished.
        """
        with self._database.write() as connection:
            status = Status(_job_row(connection, job_id, tenant, lock=True).status)
            if not status.finished:
                raise Conflict(f"The job {job_id} is {status.value}; cancel it first, or wait for it.")
            return _rows.delete_jobs(connection, [job_id])

    def discard(self, sha256s: Iterable[str], delete: Callable[[str], None]) -> None:
        """Call `delete` with each of the digests that no row needs, while no row can come to need it.

        `jobs.artifacts` describes the protocol that this is half of.
        """
        candidates = iter(sha256s)
        # In small portions, and only where it is worth it: writers wait while bytes are deleted.
        while portion := list(islice(candidates, _DISCARDED_AT_ONCE)):
            with self._database.read() as connection:
                portion = unreferenced(connection, portion)
            if portion:
                self._discard(portion, delete)

    def _discard(self, sha256s: Sequence[str], delete: Callable[[str], None]) -> None:
        with self._database.write() as connection:
            for sha256 in unreferenced(connection, sha256s):
                delete(sha256)


_DISCARDED_AT_ONCE = 32


def _require_models(connection: Connection, job: Job) -> None:
    needed = {*((job.model_id,) if job.model_id else ()), *job.checkpoint_ids}
    # The lock (a no-op in SQLite, which has one writer) keeps the models until this transaction ends.
    mine = select(models.c.id).where(models.c.id.in_(needed), models.c.tenant == job.tenant)
    if missing := needed - set(connection.scalars(mine.with_for_update(read=True))):
        raise NotFound(f"There is no model {min(missing)!r}.")


def _require_dataset(connection: Connection, job: Job) -> None:
    if job.dataset_id is None:
        return
    mine = select(datasets.c.id).where(datasets.c.id == job.dataset_id, datasets.c.tenant == job.tenant)
    if connection.execute(mine.with_for_update(read=True)).first() is None:
        raise NotFound(f"There is no dataset {job.dataset_id!r}.")


def _job_row(connection: Connection, job_id: str, tenant: str | None, *, lock: bool = False) -> Row[Any]:
    query: Select[Any] = _JOB if tenant is None else _JOB_OF_TENANT
    parameters = {"job_id": job_id} if tenant is None else {"job_id": job_id, "tenant": tenant}
    row = connection.execute(query.with_for_update() if lock else query, parameters).one_or_none()
    if row is None:
        raise NotFound(f"There is no job {job_id!r}.")
    return row
