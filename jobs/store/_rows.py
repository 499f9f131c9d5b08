"""Jobs and models as rows, and back."""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert

from jobs.schemas import Job, Model, Status
from jobs.store import _idempotency
from jobs.store._references import refer, unrefer
from jobs.store._tables import job_checkpoints, job_tags, jobs, models

JOB_COLUMNS = tuple(jobs.c[name] for name in Job.model_fields)
MODEL_COLUMNS = tuple(models.c[name] for name in Model.model_fields)

UNFINISHED = (Status.QUEUED, Status.RUNNING)
FINISHED = tuple(status for status in Status if status.finished)


def job_of(row: Row[Any]) -> Job:
    """The job of a row of `JOB_COLUMNS`."""
    # Validation costs about 10 µs of the 200 µs that a read takes; nothing is gained by going around it.
    return Job.model_validate(row._asdict())


def model_of(row: Row[Any]) -> Model:
    """The model of a row of `MODEL_COLUMNS`."""
    return Model.model_validate(row._asdict())


def is_job(job_id: str, tenant: str | None) -> ColumnElement[bool]:
    """Match the job, if the tenant (None: anyone) may see it."""
    return jobs.c.id == job_id if tenant is None else (jobs.c.id == job_id) & (jobs.c.tenant == tenant)


def insert_job(connection: Connection, job: Job) -> None:
    """Insert the job with its tags, its checkpoints and the bytes it needs."""
    values = job.model_dump(mode="json")
    connection.execute(insert(jobs).values(**values, rung_at=job.created_at, ring_gap=1))
    if job.tags:
        connection.execute(insert(job_tags), [{"tag": tag, "job_id": job.id} for tag in sorted(set(job.tags))])
    if job.checkpoint_ids:
        used = [{"model_id": model_id, "job_id": job.id} for model_id in sorted(set(job.checkpoint_ids))]
        connection.execute(insert(job_checkpoints), used)
    inputs = (*((job.input,) if job.input else ()), *job.samples)
    refer(connection, job.id, [needed.sha256 for needed in (*job.artifacts, *inputs)])


def delete_jobs(connection: Connection, job_ids: list[str]) -> list[str]:
    """Delete jobs with all that hangs on them; return the digests that no row needs any more."""
    connection.execute(delete(jobs).where(jobs.c.id.in_(job_ids)))
    _idempotency.forget(connection, job_ids)
    return unrefer(connection, job_ids)


def insert_model(connection: Connection, model: Model) -> None:
    """Insert the model and the bytes it needs."""
    values = model.model_dump(mode="json")
    connection.execute(insert(models).values(**values, manifest_sha256=manifest_sha256(model)))
    refer(connection, model.id, filter(None, (model.sha256, model.weights_sha256)))


def delete_model(connection: Connection, model_id: str) -> list[str]:
    """Delete a model with all that hangs on it; return the digests that no row needs any more."""
    connection.execute(delete(models).where(models.c.id == model_id))
    _idempotency.forget(connection, [model_id])
    return unrefer(connection, [model_id])


def manifest_sha256(model: Model) -> str:
    """Digest of the manifest; fields are dumped in the order of their declaration, so equal ones dump equally."""
    return hashlib.sha256(model.manifest.model_dump_json().encode()).hexdigest()
