"""Jobs, models and datasets as rows, and back."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Connection, Row, delete, insert

from jobs.datasets import Dataset
from jobs.schemas import Job, Model, Status
from jobs.store import _idempotency
from jobs.store._references import refer, unrefer
from jobs.store._tables import datasets, job_checkpoints, job_tags, jobs, models

JOB_COLUMNS = tuple(jobs.c[name] for name in Job.model_fields)
MODEL_COLUMNS = tuple(models.c[name] for name in Model.model_fields)
DATASET_COLUMNS = tuple(datasets.c[name] for name in Dataset.model_fields)

UNFINISHED = (Status.QUEUED, Status.RUNNING)
FINISHED = tuple(status for status in Status if status.finished)


def job_of(row: Row[Any]) -> Job:
    """The job of a row of `JOB_COLUMNS`."""
    # Validation costs about 10 µs of the 200 µs that a read takes; nothing is gained by going around it.
    return Job.model_validate(row._asdict())


def model_of(row: Row[Any]) -> Model:
    """The model of a row of `MODEL_COLUMNS`."""
    return Model.model_validate(row._asdict())


def dataset_of(row: Row[Any]) -> Dataset:
    """The dataset of a row of `DATASET_COLUMNS`."""
    return Dataset.model_validate(row._asdict())


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
    resume = (job.resume,) if job.resume else ()
    refer(connection, job.id, [needed.sha256 for needed in (*job.artifacts, *inputs, *resume)])


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


def insert_dataset(connection: Connection, dataset: Dataset) -> None:
    """Insert the dataset and the bytes it needs."""
    values = dataset.model_dump(mode="json")
    connection.execute(insert(datasets).values(**values, manifest_sha256=digest_of(dataset.manifest)))
    refer(connection, dataset.id, filter(None, (dataset.sha256, dataset.data_sha256)))


def delete_dataset(connection: Connection, dataset_id: str) -> list[str]:
    """Delete a dataset with all that hangs on it; return the digests that no row needs any more."""
    connection.execute(delete(datasets).where(datasets.c.id == dataset_id))
    _idempotency.forget(connection, [dataset_id])
    return unrefer(connection, [dataset_id])


def manifest_sha256(model: Model) -> str:
    """Digest that tells equal models apart from others; a trained one is nobody else's equal, it is its job's."""
    return digest_of(model.manifest, model.trained_by or "")


def digest_of(manifest: BaseModel, salt: str = "") -> str:
    """Digest of a manifest; fields are dumped in the order of their declaration, so equal ones dump equally."""
    return hashlib.sha256((manifest.model_dump_json() + salt).encode()).hexdigest()
