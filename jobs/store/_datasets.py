"""The store's datasets: added by the gateway, made ready or failed by their inspection; as models are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Row, select, update
from sqlalchemy.exc import IntegrityError

from jobs.datasets import Dataset, DatasetInspection, DatasetStatus
from jobs.errors import Conflict, NotFound
from jobs.schemas import Job
from jobs.store import _idempotency, _rows
from jobs.store._database import Database
from jobs.store._idempotency import IdempotencyKey
from jobs.store._paging import Page, fetch_page
from jobs.store._references import refer, require_bytes
from jobs.store._tables import datasets, jobs


class Datasets:
    """The part of `JobStore` that keeps datasets."""

    _database: Database
    _clock: Callable[[], float]

    def add_dataset(
        self, dataset: Dataset, *, inspection: Job | None = None, idempotency: IdempotencyKey | None = None
    ) -> tuple[Dataset, bool]:
        """Add a dataset with the job that will inspect it, in one transaction.

        Returns:
            The dataset, and True when it is new. False: the tenant has one of the same bytes and manifest, which is
            returned, and nothing was added. One whose inspection failed is replaced.

        Raises:
            IdempotencyMismatch: The key was used with another request.
        """
        try:
            with self._database.write() as connection:
                return self._add_dataset(connection, dataset, inspection, idempotency)
        except IntegrityError:
            # Another process added the same dataset, or used the same key, between our look and our insert.
            with self._database.write() as connection:
                return self._add_dataset(connection, dataset, inspection, idempotency)

    def _add_dataset(
        self, connection: Connection, dataset: Dataset, inspection: Job | None, idempotency: IdempotencyKey | None
    ) -> tuple[Dataset, bool]:
        now = self._clock()
        known = _idempotency.recorded(connection, idempotency, now=now) if idempotency else None
        equal = _equal_row(connection, dataset) if known is None else _dataset_row(connection, known, dataset.tenant)
        if equal is not None and equal.status == DatasetStatus.FAILED and known is None:
            _rows.delete_dataset(connection, equal.id)
            equal = None
        if equal is None:
            _rows.insert_dataset(connection, dataset)
            if inspection is not None:
                _rows.insert_job(connection, inspection)
        kept = dataset if equal is None else _rows.dataset_of(equal)
        if idempotency is not None and known is None:
            _idempotency.record(connection, idempotency, kept.id, now=now)
        return kept, equal is None

    def dataset(self, dataset_id: str, tenant: str) -> Dataset:
        """Return the tenant's dataset.

        Raises:
            NotFound: There is none, or it is another tenant's.
        """
        with self._database.read() as connection:
            row = _dataset_row(connection, dataset_id, tenant)
        if row is None:
            raise NotFound(f"There is no dataset {dataset_id!r}.")
        return _rows.dataset_of(row)

    def datasets(self, tenant: str, *, limit: int, cursor: str | None = None) -> Page[Dataset]:
        """Return a page of the tenant's datasets, newest first.

        Raises:
            InvalidParameters: The cursor is not one of ours.
        """
        query = select(*_rows.DATASET_COLUMNS).where(datasets.c.tenant == tenant)
        with self._database.read() as connection:
            rows, next_cursor = fetch_page(connection, query, datasets, limit=limit, cursor=cursor)
        return Page([_rows.dataset_of(row) for row in rows], next_cursor)

    def dataset_ready(
        self,
        dataset_id: str,
        *,
        data_sha256: str,
        data_bytes: int,
        inspection: DatasetInspection,
        exists: Callable[[str], bool] | None = None,
    ) -> None:
        """Record what inspection found; a dataset that is not being inspected stays as it is.

        Args:
            exists: As for `succeed`.

        Raises:
            ArtifactsUnavailable: The data have been deleted since they were put; nothing was written.
        """
        inspected = {
            "status": DatasetStatus.READY,
            "data_sha256": data_sha256,
            "data_bytes": data_bytes,
            "inspection": inspection.model_dump(mode="json"),
        }
        with self._database.write() as connection:
            waiting = (datasets.c.id == dataset_id) & (datasets.c.status == DatasetStatus.INSPECTING)
            if connection.execute(update(datasets).where(waiting).values(**inspected)).rowcount:
                refer(connection, dataset_id, [data_sha256])
                require_bytes(exists, [data_sha256])

    def delete_dataset(self, dataset_id: str, tenant: str) -> list[str]:
        """Delete the dataset; return the digests that no row needs any more, to be given to `discard`.

        Raises:
            NotFound: There is no such dataset of this tenant.
            Conflict: Jobs that use it are queued or running.
        """
        with self._database.write() as connection:
            mine = (datasets.c.id == dataset_id, datasets.c.tenant == tenant)
            if connection.execute(select(datasets.c.id).where(*mine).with_for_update()).first() is None:
                raise NotFound(f"There is no dataset {dataset_id!r}.")
            used = select(jobs.c.id).where(jobs.c.dataset_id == dataset_id, jobs.c.status.in_(_rows.UNFINISHED))
            if (job_id := connection.scalars(used.limit(1)).first()) is not None:
                raise Conflict(f"The job {job_id} uses the dataset {dataset_id}; cancel it or wait for it.")
            return _rows.delete_dataset(connection, dataset_id)


def _dataset_row(connection: Connection, dataset_id: str, tenant: str) -> Row[Any] | None:
    query = select(*_rows.DATASET_COLUMNS).where(datasets.c.id == dataset_id, datasets.c.tenant == tenant)
    return connection.execute(query).one_or_none()


def _equal_row(connection: Connection, dataset: Dataset) -> Row[Any] | None:
    query = select(*_rows.DATASET_COLUMNS).where(
        datasets.c.tenant == dataset.tenant,
        datasets.c.sha256 == dataset.sha256,
        datasets.c.manifest_sha256 == _rows.digest_of(dataset.manifest),
    )
    return connection.execute(query).one_or_none()
