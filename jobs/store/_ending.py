"""How a job ends: one conditional update, and the model that an unsuccessful inspection leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, update

from jobs.errors import Conflict, Problem
from jobs.schemas import ModelStatus, Status
from jobs.store._tables import jobs, models

_CANCELED = Conflict("The model's inspection was canceled; upload the model again.").problem()


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

    `condition` must exclude finished jobs. A model whose inspection ends otherwise than well is failed with it.
    """
    error = None if problem is None else problem.model_dump(mode="json")
    ended = {"status": status, "finished_at": now, "lease_until": None, "error": error, **(values or {})}
    ids = connection.scalars(update(jobs).where(condition).values(**ended).returning(jobs.c.id)).all()
    if ids and status is not Status.SUCCEEDED:
        _fail_models(connection, list(ids), problem or _CANCELED)
    return list(ids)


def _fail_models(connection: Connection, job_ids: list[str], problem: Problem) -> None:
    inspected = update(models).where(models.c.job_id.in_(job_ids), models.c.status == ModelStatus.INSPECTING)
    connection.execute(inspected.values(status=ModelStatus.FAILED, error=problem.model_dump(mode="json")))
