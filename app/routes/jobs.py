"""Jobs: read, waited for, listed, their files fetched, canceled, retried, deleted; and sets scored on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, BinaryIO

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from app.answers import described, document_response, poll_header, submitted_response, tag, tagged_response
from app.bodies import fingerprint, json_bytes, parsed
from app.deps import Gateway, Here, Tenant
from app.documents import (
    ArtifactDocument,
    JobDocument,
    JobList,
    SetScoreDocument,
    UnfinishedDocument,
    artifact_documents,
    job_document,
    next_link,
    problem_document,
)
from app.errors import answer
from app.openapi import SET_BODY, UNCHANGED, Responses, also, problem_content, secured
from app.preferences import MAX_WAIT_SECONDS, idempotency_key, matches
from app.sets import SetRequest, scored
from app.submission import replayed, retry
from jobs.artifact_names import ARTIFACTS
from jobs.errors import Conflict, NotFinished, NotFound
from jobs.schemas import ArtifactReference, Job, JobKind, Status

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

CHUNK_BYTES = 1 << 20

# The report styles itself and shows pictures that it holds; it needs no script, no network and no frame.
REPORT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; frame-ancestors 'self'"


_RESULT: Responses = {
    200: {"description": "The explanation", "content": {"application/json": {"schema": {"type": "object"}}}},
    409: problem_content("There is no result (yet)", UnfinishedDocument),
}
_FILE: Responses = {
    200: {
        "description": "The file",
        "content": {media_type.partition(";")[0]: {"schema": {}} for media_type in ARTIFACTS.values()},
    },
}


class JobQuery(BaseModel):
    """Which jobs, and how to page."""

    model_config = ConfigDict(extra="forbid")

    status: Status | None = None
    method: str | None = Field(None, max_length=64)
    model: str | None = Field(None, max_length=64)
    dataset: str | None = Field(None, max_length=64)
    tag: str | None = Field(None, max_length=64)
    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(None, max_length=500)


class ArtifactList(BaseModel):
    """The files of a finished job."""

    items: list[ArtifactDocument]


@router.get("", operation_id="listJobs", response_model=JobList, responses=secured(), summary="List jobs")
async def list_jobs(here: Here, tenant: Tenant, query: Annotated[JobQuery, Query()]) -> Response:
    page = await here.read(here.store.jobs, tenant, **query.model_dump())
    following = next_link("/v1/jobs", query.model_dump(), page)
    document = JobList(items=[job_document(job) for job in page.items], next=following)
    return document_response(document, headers={"Link": f'<{following}>; rel="next"'} if following else {})


@router.post(
    "/{job_id}:cancel",
    operation_id="cancelJob",
    response_model=JobDocument,
    responses=also(202, JobDocument, "Running; its runner was told to stop") | secured(404, 409),
    summary="Cancel a job",
)
async def cancel_job(job_id: str, here: Here, tenant: Tenant) -> Response:
    """A queued job is canceled at once, a running one within moments; canceling a canceled job changes nothing."""
    job = await here.read(here.store.job, job_id, tenant)
    if job.kind is JobKind.INSPECTION:
        raise Conflict("an inspection belongs to its model or dataset and cannot be canceled")
    if job.status is not Status.CANCELED:
        job = await run_in_threadpool(here.store.cancel, job_id, tenant)
    status = 200 if job.status.finished else 202
    return document_response(await described(here, job), status, headers=poll_header(job))


@router.post(
    "/{job_id}:retry",
    status_code=202,
    operation_id="retryJob",
    response_model=JobDocument,
    responses=also(200, JobDocument, "Finished: waited for (`Prefer: wait=N`), or a replayed request")
    | secured(404, 409, 422, 429),
    summary="Do a failed, expired or canceled job again, as a new job",
)
async def retry_job(request: Request, job_id: str, here: Here, tenant: Tenant) -> Response:
    job = await here.read(here.store.job, job_id, tenant)
    key = idempotency_key(request.headers, tenant, fingerprint(request.url.path, None))
    submitted = await run_in_threadpool(lambda: replayed(here, tenant, key) or retry(here, tenant, job, key=key))
    return await submitted_response(here, request.headers, submitted)


@router.get(
    "/{job_id}",
    operation_id="readJob",
    response_model=JobDocument,
    responses=UNCHANGED | secured(404),
    summary="Read a job, or wait for it",
)
async def read_job(
    request: Request,
    job_id: str,
    here: Here,
    tenant: Tenant,
    wait: Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS, description="Seconds to wait for the job's end.")] = 0.0,
) -> Response:
    """With `wait` the answer comes when the job ends; with `If-None-Match` too, as soon as anything changes."""

    held = "if-none-match" in request.headers

    async def read() -> tuple[Job, JobDocument | None]:
        job = await here.read(here.store.job, job_id, tenant)
        return job, await described(here, job) if held else None

    def news(found: tuple[Job, JobDocument | None]) -> bool:
        job, document = found
        changed = document is not None and not matches(request.headers, tag(document.model_dump_json().encode()))
        return changed or job.status.finished

    job, document = await here.waiting.until(read, news, seconds=wait)
    return tagged_response(document or await described(here, job), request.headers, headers=poll_header(job))


@router.delete(
    "/{job_id}", status_code=204, operation_id="deleteJob", responses=secured(404, 409), summary="Delete a finished job"
)
async def delete_job(job_id: str, here: Here, tenant: Tenant) -> Response:
    """Its files go with it, except those that other jobs share."""
    await run_in_threadpool(_delete, here, job_id, tenant)
    return Response(status_code=204)


def _delete(here: Gateway, job_id: str, tenant: str) -> None:
    here.store.discard(here.store.purge(job_id, tenant), here.artifacts.delete)


@router.get(
    "/{job_id}/result",
    operation_id="readResult",
    responses=_RESULT | UNCHANGED | secured(404),
    summary="Fetch the result",
)
async def read_result(request: Request, job_id: str, here: Here, tenant: Tenant) -> Response:
    job = await here.read(here.store.job, job_id, tenant)
    if job.status is not Status.SUCCEEDED:
        return _without_result(job)
    return await run_in_threadpool(_file, here, request, _artifact(job, "result.json"))


def _without_result(job: Job) -> Response:
    """409: the job is not finished, or it ended without a result, for the reason it gives."""
    if not job.status.finished:
        return answer(NotFinished(f"the job is {job.status.value}"), job_status=job.status, job_error=None)
    error = problem_document(job.error)
    reason = f": {error.detail}" if error else ""
    more = {"job_status": job.status, "job_error": error.model_dump() if error else None}
    return answer(Conflict(f"the job {job.status.value}, so there is no result{reason}"), **more)


@router.get(
    "/{job_id}/artifacts",
    operation_id="listArtifacts",
    response_model=ArtifactList,
    responses=secured(404),
    summary="List the job's files",
)
async def list_artifacts(job_id: str, here: Here, tenant: Tenant) -> Response:
    job = await here.read(here.store.job, job_id, tenant)
    return document_response(ArtifactList(items=artifact_documents(job)))


@router.get(
    "/{job_id}/artifacts/{name}",
    operation_id="readArtifact",
    responses=_FILE | UNCHANGED | secured(404),
    summary="Fetch one of the job's files",
)
async def read_artifact(request: Request, job_id: str, name: str, here: Here, tenant: Tenant) -> Response:
    """A file never changes: its ETag is the SHA-256 of its bytes."""
    job = await here.read(here.store.job, job_id, tenant)
    return await run_in_threadpool(_file, here, request, _artifact(job, name))


def _artifact(job: Job, name: str) -> ArtifactReference:
    for artifact in job.artifacts:
        if artifact.name == name and name in ARTIFACTS:
            return artifact
    there = ", ".join(artifact.name for artifact in job.artifacts) or "none"
    raise NotFound(f"the job {job.id} has no file {name[:80]!r}; it has: {there}")


def _file(here: Gateway, request: Request, artifact: ArtifactReference) -> Response:
    headers = {"ETag": f'"{artifact.sha256}"', "Cache-Control": "private, max-age=31536000, immutable"}
    if artifact.name == "report.html":
        headers["Content-Security-Policy"] = REPORT_POLICY
    if matches(request.headers, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    headers["Content-Length"] = str(here.artifacts.size(artifact.sha256))
    # Opened before the answer begins: a file that is gone by now is a 404, one that goes later is still read.
    file = here.artifacts.open(artifact.sha256)
    return StreamingResponse(_portions(file), headers=headers, media_type=ARTIFACTS[artifact.name])


def _portions(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while portion := file.read(CHUNK_BYTES):
            yield portion


@router.post(
    "/{job_id}/sets",
    operation_id="scoreSet",
    response_model=SetScoreDocument,
    responses=secured(404, 409, 413, 415, 422),
    openapi_extra=SET_BODY,
    summary="Score a set that you choose, without running the model",
)
async def score_set(request: Request, job_id: str, here: Here, tenant: Tenant) -> Response:
    """For a finished `h-sets` job: the same score that its own sets have, from the gradients that it kept."""
    body = await json_bytes(request)
    async with here.scoring:
        return document_response(await run_in_threadpool(_scored, here, tenant, job_id, body))


def _scored(here: Gateway, tenant: str, job_id: str, body: bytes) -> SetScoreDocument:
    chosen = parsed(SetRequest, body)
    return scored(here, here.store.job(job_id, tenant), chosen)
