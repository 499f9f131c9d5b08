"""The store's models: added by the gateway, made ready or failed by their inspection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Row, select, union_all, update
from sqlalchemy.exc import IntegrityError

from jobs.errors import Conflict, NotFound, Problem
from jobs.schemas import Inspection, Job, Manifest, Model, ModelStatus
from jobs.store import _idempotency, _rows
from jobs.store._database import Database
from jobs.store._idempotency import IdempotencyKey
from jobs.store._paging import Page, fetch_page
from jobs.store._references import refer, require_bytes
from jobs.store._tables import job_checkpoints, jobs, models


class Models:
    """The part of `JobStore` that keeps models."""

    _database: Database
    _clock: Callable[[], float]

    def add_model(
        self, model: Model, *, inspection: Job | None = None, idempotency: IdempotencyKey | None = None
    ) -> tuple[Model, bool]:
        """Add a model with the job that will inspect it, in one transaction.

        Returns:
            The model, and True when it is new. False: the tenant has one of the same bytes and manifest, which is
            returned, and nothing was added. One whose inspection failed is replaced.

        Raises:
            IdempotencyMismatch: The key was used with another request.
        """
        try:
            with self._database.write() as connection:
                return self._add_model(connection, model, inspection, idempotency)
        except IntegrityError:
            # Another process added the same model, or used the same key, between our look and our insert.
            with self._database.write() as connection:
                return self._add_model(connection, model, inspection, idempotency)

    def _add_model(
        self, connection: Connection, model: Model, inspection: Job | None, idempotency: IdempotencyKey | None
    ) -> tuple[Model, bool]:
        now = self._clock()
        known = _idempotency.recorded(connection, idempotency, now=now) if idempotency else None
        equal = _equal_row(connection, model) if known is None else _model_row(connection, known, model.tenant)
        if equal is not None and equal.status == ModelStatus.FAILED and known is None:
            _rows.delete_model(connection, equal.id)
            equal = None
        if equal is None:
            _rows.insert_model(connection, model)
            if inspection is not None:
                _rows.insert_job(connection, inspection)
        kept = model if equal is None else _rows.model_of(equal)
        if idempotency is not None and known is None:
            _idempotency.record(connection, idempotency, kept.id, now=now)
        return kept, equal is None

    def model(self, model_id: str, tenant: str) -> Model:
        """Return the tenant's model.

        Raises:
            NotFound: There is none, or it is another tenant's.
        """
        with self._database.read() as connection:
            row = _model_row(connection, model_id, tenant)
        if row is None:
            raise NotFound(f"There is no model {model_id!r}.")
        return _rows.model_of(row)

    def models(self, tenant: str, *, limit: int, cursor: str | None = None) -> Page[Model]:
        """Return a page of the tenant's models, newest first.

        Raises:
            InvalidParameters: The cursor is not one of ours.
        """
        query = select(*_rows.MODEL_COLUMNS).where(models.c.tenant == tenant)
        with self._database.read() as connection:
            rows, next_cursor = fetch_page(connection, query, models, limit=limit, cursor=cursor)
        return Page([_rows.model_of(row) for row in rows], next_cursor)

    def model_ready(
        self,
        model_id: str,
        *,
        weights_sha256: str,
        inspection: Inspection,
        manifest: Manifest | None = None,
        exists: Callable[[str], bool] | None = None,
    ) -> None:
        """Record what inspection found; a model that is not being inspected stays as it is.

        Args:
            manifest: Spelled out by what the file says of itself. An equal upload is still told by the one that was
                sent.
            exists: As for `succeed`.

        Raises:
            ArtifactsUnavailable: The weights have been deleted since they were put; nothing was written.
        """
        with self._database.write() as connection:
            changed = update(models).where(models.c.id == model_id, models.c.status == ModelStatus.INSPECTING)
            values: dict[str, Any] = {
                "weights_sha256": weights_sha256,
                "inspection": inspection.model_dump(mode="json"),
            }
            if manifest is not None:
                values["manifest"] = manifest.model_dump(mode="json")
            if connection.execute(changed.values(status=ModelStatus.READY, **values)).rowcount:
                refer(connection, model_id, [weights_sha256])
                require_bytes(exists, [weights_sha256])

    def model_failed(self, model_id: str, problem: Problem) -> None:
        """Record why the model cannot be used; a model that is not being inspected stays as it is."""
        with self._database.write() as connection:
            changed = update(models).where(models.c.id == model_id, models.c.status == ModelStatus.INSPECTING)
            connection.execute(changed.values(status=ModelStatus.FAILED, error=problem.model_dump(mode="json")))

    def delete_model(self, model_id: str, tenant: str) -> list[str]:
        """Delete the model; return the digests that no row needs any more, to be given to `discard`.

        Raises:
            NotFound: There is no such model of this tenant.
            Conflict: Jobs that use it are queued or running.
        """
        with self._database.write() as connection:
            mine = (models.c.id == model_id, models.c.tenant == tenant)
            if connection.execute(select(models.c.id).where(*mine).with_for_update()).first() is None:
                raise NotFound(f"There is no model {model_id!r}.")
            if (job_id := _user(connection, model_id)) is not None:
                raise Conflict(f"The job {job_id} uses the model {model_id}; cancel it or wait for it.")
            return _rows.delete_model(connection, model_id)


def _user(connection: Connection, model_id: str) -> str | None:
    """Return the id of an unfinished job that explains the model, or needs it as a checkpoint."""
    unfinished = jobs.c.status.in_(_rows.UNFINISHED)
    explaining = select(jobs.c.id).where(jobs.c.model_id == model_id, unfinished)
    following = select(jobs.c.id).join(job_checkpoints, job_checkpoints.c.job_id == jobs.c.id)
    following = following.where(job_checkpoints.c.model_id == model_id, unfinished)
    return connection.scalars(union_all(explaining, following).limit(1)).first()


def _model_row(connection: Connection, model_id: str, tenant: str) -> Row[Any] | None:
    query = select(*_rows.MODEL_COLUMNS).where(models.c.id == model_id, models.c.tenant == tenant)
    return connection.execute(query).one_or_none()


def _equal_row(connection: Connection, model: Model) -> Row[Any] | None:
    query = select(*_rows.MODEL_COLUMNS).where(
        models.c.tenant == model.tenant,
        models.c.sha256 == model.sha256,
        models.c.manifest_sha256 == _rows.manifest_sha256(model),
    )
    return connection.execute(query).one_or_none()
