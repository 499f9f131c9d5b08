"""How a job ends: one conditional update, and the model or dataset that an unsuccessful inspection leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, update

from jobs.datasets import DatasetStatus
from jobs.errors import Conflict, Problem
from jobs.schemas import ModelStatus, Status
from jobs.store._tables import datasets, jobs, models

_CANCELED = Conflict("The inspection was canceled; upload the file again.").problem()


def end(
    connection: Connection,
    condition: ColumnElement[bool],
    status: Status,
    *,
    now: float,
    problem: Problem | None = None,
    values: Mapping[str, Any] | None = None,
) -> list[str]:
    """Give the unfinished jobs that meet `condition` their final status; return their ids.

    `condition` must exclude finished jobs. A model or dataset whose inspection ends otherwise than well is
    failed with it.
    """
    error = None if problem is None else problem.model_dump(mode="json")
    ended = {"status": status, "finished_at": now, "lease_until": None, "error": error, **(values or {})}
    ids = connection.scalars(update(jobs).where(condition).values(**ended).returning(jobs.c.id)).all()
    if ids and status is not Status.SUCCEEDED:
        _fail_inspected(connection, list(ids), problem or _CANCELED)
    return list(ids)


def _fail_inspected(connection: Connection, job_ids: list[str], problem: Problem) -> None:
    error = problem.model_dump(mode="json")
    inspected = update(models).where(models.c.job_id.in_(job_ids), models.c.status == ModelStatus.INSPECTING)
    connection.execute(inspected.values(status=ModelStatus.FAILED, error=error))
    read = update(datasets).where(datasets.c.job_id.in_(job_ids), datasets.c.status == DatasetStatus.INSPECTING)
    connection.execute(read.values(status=DatasetStatus.FAILED, error=error))
