"""The interactions that a finished job found, an explanation or a training: filtered, paged, as JSON or CSV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from app.deps import Gateway
from app.kept import kept_result
from jobs.schemas import Job

Kind = Literal["set", "main", "and", "or", "pair"]


class FoundQuery(BaseModel):
    """Which interactions, and how to page."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind | None = Field(None, description="Only interactions of this kind.")
    order: int | None = Field(None, ge=1, description="Only interactions of so many members.")
    member: str | None = Field(None, max_length=10_200, description="Only those with this player, by name or index.")
    limit: int = Field(50, ge=1, le=1000)
    cursor: str | None = Field(None, max_length=9, pattern=r"^[0-9]+$")


class FoundDocument(BaseModel):
    """An interaction and its place in the job's list."""

    rank: int = Field(description="From 1, in the order of the result: strongest first within a kind.")
    kind: Kind
    members: list[int]
    names: list[str] | None = Field(description="Of the members; None where players have no names.")
    order: int
    strength: float
    standard_error: float | None
    details: dict[str, JsonValue]


class FoundList(BaseModel):
    """A page of a job's interactions."""

    job: str
    method: str
    unit: str | None
    total: int = Field(description="Interactions that fit the query, on all pages.")
    items: list[FoundDocument]
    next: str | None = Field(description="Where the next page is.")


def found(here: Gateway, job: Job, query: FoundQuery) -> FoundList:
    """Return a page of the job's interactions.

    Raises:
        NotFinished: The job has not ended.
        Conflict: It ended without a result.
        NotFound: Its files are being deleted.
    """
    result = kept_result(here, job)
    names = (result.get("players") or {}).get("names")
    fitting = [one for one in _documents(result["interactions"], names) if _fits(one, query)]
    begin = int(query.cursor or 0)
    end = begin + query.limit
    return FoundList(
        job=job.id, method=result["method"], unit=result["unit"], total=len(fitting), items=fitting[begin:end],
        next=_next(job, query, end) if end < len(fitting) else None,
    )  # fmt: skip


def _documents(interactions: Sequence[Mapping[str, Any]], names: Sequence[str] | None) -> Iterator[FoundDocument]:
    for rank, one in enumerate(interactions, start=1):
        yield FoundDocument(rank=rank, names=names and [names[member] for member in one["members"]], **one)


def _fits(one: FoundDocument, query: FoundQuery) -> bool:
    return (
        query.kind in (None, one.kind)
        and query.order in (None, one.order)
        and (query.member is None or query.member in (*map(str, one.members), *(one.names or ())))
    )


def _next(job: Job, query: FoundQuery, begin: int) -> str:
    parameters = query.model_dump(exclude_none=True, exclude_defaults=True) | {"cursor": str(begin)}
    return f"/v1/jobs/{job.id}/interactions?{urlencode(parameters)}"
