"""Explanations: asked for, or only estimated."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.answers import document_response, submitted_response
from app.bodies import MULTIPART, fingerprint, json_bytes, media_type, parsed
from app.deps import Gateway, Here, Tenant
from app.documents import EstimateDocument, JobDocument
from app.estimates import estimated
from app.guard import MIB
from app.multipart import Expected, received_parts
from app.openapi import EXPLANATION_BODY, also, secured
from app.preferences import idempotency_key, wait_seconds, wants_recomputation
from app.submission import Submitted, replayed, submit
from app.validation import Checked, check_explanation
from jobs.schemas import ExplanationRequest, Job
from jobs.store import IdempotencyKey

router = APIRouter(prefix="/v1/explanations", tags=["explanations"])


@dataclass(frozen=True)
class Envelope:
    """A request as it came: JSON, or JSON and a picture."""

    request: ExplanationRequest
    picture: bytes | None = None
    digest: str | None = None

    def fingerprint(self, path: str) -> str:
        return fingerprint(path, self.request.model_dump(mode="json"), *([self.digest] if self.digest else []))


@router.post(
    "",
    status_code=202,
    operation_id="createExplanation",
    response_model=JobDocument,
    responses=also(200, JobDocument, "Finished: waited for, or known already") | secured(404, 409, 413, 415, 422, 429),
    openapi_extra=EXPLANATION_BODY,
    summary="Explain one input",
)
async def create_explanation(request: Request, here: Here, tenant: Tenant) -> Response:
    """Everything is checked first; then the job is queued, and `Location` leads to it.

    `Prefer: wait=N` waits up to N (at most 60) seconds for the result. An equal request is answered with the earlier
    result (`cached`), or joins the job under way; `Cache-Control: no-cache` computes again. With an
    `Idempotency-Key` a repeated request gets the job of the first one.
    """
    envelope = await _received(request, here)
    submitted = await run_in_threadpool(_submitted, here, tenant, request, envelope)
    return await submitted_response(here, request.headers, await _awaited(here, tenant, submitted, request))


@router.post(
    ":estimate",
    operation_id="estimateExplanation",
    response_model=EstimateDocument,
    responses=secured(404, 409, 413, 415, 422),
    openapi_extra=EXPLANATION_BODY,
    summary="Say what an explanation would cost, without computing it",
)
async def estimate_explanation(request: Request, here: Here, tenant: Tenant) -> Response:
    """Takes and checks exactly what `POST /v1/explanations` does."""
    envelope = await _received(request, here)
    checked = await run_in_threadpool(_checked, here, tenant, envelope)
    return document_response(estimated(checked))


async def _received(request: Request, here: Gateway) -> Envelope:
    if media_type(request) != MULTIPART:
        return Envelope(parsed(ExplanationRequest, await json_bytes(request)))
    limit = here.settings.max_input_mib * MIB
    async with received_parts(request, {"request": Expected(limit), "image": Expected(limit)}) as parts:
        envelope = parsed(ExplanationRequest, parts["request"].data)
        return Envelope(envelope, bytes(parts["image"].data), parts["image"].sha256)


def _checked(here: Gateway, tenant: str, envelope: Envelope) -> Checked:
    find_model = partial(here.store.model, tenant=tenant)
    return check_explanation(envelope.request, envelope.picture, find_model=find_model, settings=here.settings)


def _submitted(here: Gateway, tenant: str, request: Request, envelope: Envelope) -> Submitted:
    key = _key(request, tenant, envelope)
    if earlier := replayed(here, tenant, key):
        return earlier
    checked = _checked(here, tenant, envelope)
    recompute = wants_recomputation(request.headers)
    return submit(here, tenant, envelope.request, checked, key=key, recompute=recompute)


def _key(request: Request, tenant: str, envelope: Envelope) -> IdempotencyKey | None:
    if "idempotency-key" not in request.headers:
        return None  # a fingerprint of a million features is not for free
    return idempotency_key(request.headers, tenant, envelope.fingerprint(request.url.path))


async def _awaited(here: Gateway, tenant: str, submitted: Submitted, request: Request) -> Submitted:
    """Wait for the job's end for as long as the client prefers."""
    seconds = wait_seconds(request.headers)
    if not seconds or submitted.job.status.finished:
        return submitted
    read = here.reader(here.store.job, submitted.job.id, tenant)
    return Submitted(await here.waiting.until(read, _is_finished, seconds=seconds), submitted.replayed)


def _is_finished(job: Job) -> bool:
    return job.status.finished
