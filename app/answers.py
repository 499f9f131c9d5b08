"""HTTP answers from documents: JSON without NaN, entity tags, and the headers of jobs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.responses import Response

from app.deps import Gateway
from app.documents import JobDocument, job_document
from app.preferences import applied, matches, wait_seconds
from app.submission import Submitted
from jobs.schemas import Job, Status

POLL_AFTER_SECONDS = 1


def document_response(document: BaseModel, status: int = 200, *, headers: Mapping[str, str] | None = None) -> Response:
    """Return a document as JSON."""
    return Response(document.model_dump_json(), status, headers=dict(headers or {}), media_type="application/json")


def tagged_response(document: BaseModel, request: Headers, *, headers: Mapping[str, str] | None = None) -> Response:
    """Return a document with the tag of its content, or 304 where the client holds just that."""
    body = document.model_dump_json().encode()
    etag = tag(body)
    fields = {**(headers or {}), "ETag": etag, "Cache-Control": "no-cache"}
    if matches(request, etag):
        return Response(status_code=304, headers=fields)
    return Response(body, headers=fields, media_type="application/json")


def tag(body: bytes) -> str:
    """Return the entity tag of a body."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


async def described(here: Gateway, job: Job) -> JobDocument:
    """Return the document of a job, with its place in the queue."""
    position = await here.read(here.store.queue_position, job) if job.status is Status.QUEUED else None
    return job_document(job, queue_position=position)


def poll_header(job: Job) -> dict[str, str]:
    """Return when to ask again, while there is reason to."""
    return {} if job.status.finished else {"Retry-After": str(POLL_AFTER_SECONDS)}


async def submitted_response(here: Gateway, request: Headers, submitted: Submitted) -> Response:
    """Answer a request that made a job, after waiting for as long as it prefers: 200 when it is finished, else 202."""
    job = await _awaited(here, submitted.job, wait_seconds(request))
    headers = {"Location": f"/v1/jobs/{job.id}", **poll_header(job), **applied(request)}
    if submitted.replayed:
        headers["Idempotency-Replayed"] = "true"
    return document_response(await described(here, job), 200 if job.status.finished else 202, headers=headers)


async def _awaited(here: Gateway, job: Job, seconds: float) -> Job:
    if job.status.finished or not seconds:
        return job
    read = here.reader(here.store.job, job.id, job.tenant)
    return await here.waiting.until(read, lambda job: job.status.finished, seconds=seconds)
