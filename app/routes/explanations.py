"""Explanations: asked for, or only estimated."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.answers import document_response, submitted_response
from app.bodies import MULTIPART, fingerprint, json_bytes, media_type, parsed
from app.deps import Gateway, Here, Tenant
from app.documents import EstimateDocument, JobDocument
from app.errors import invalid_at
from app.estimates import estimated
from app.guard import MIB
from app.multipart import Expected, Part, Parts, received_parts
from app.openapi import EXPLANATION_BODY, also, secured
from app.preferences import idempotency_key, wants_recomputation
from app.submission import Submitted, replayed, submit
from app.validation import Checked, check_explanation
from jobs.schemas import MAX_SAMPLES, ExplanationRequest
from jobs.store import IdempotencyKey

router = APIRouter(prefix="/v1/explanations", tags=["explanations"])


@dataclass(frozen=True)
class Received:
    """A request as it came, not yet parsed: JSON, or JSON and pictures or tokens.

    Attributes:
        part: The input.
        samples: Further pictures.
        digests: SHA-256 of every part, in the order of the above.
    """

    text: bytes
    part: bytes | None = None
    part_kind: Literal["image", "tokens"] = "image"
    samples: tuple[bytes, ...] = ()
    digests: tuple[str, ...] = ()


@router.post(
    "",
    status_code=202,
    operation_id="createExplanation",
    response_model=JobDocument,
    responses=also(200, JobDocument, "Finished: waited for, or known already") | secured(404, 409, 413, 415, 422, 429),
    openapi_extra=EXPLANATION_BODY,
    summary="Explain an input, or follow a training over several",
)
async def create_explanation(request: Request, here: Here, tenant: Tenant) -> Response:
    """Everything is checked first; then the job is queued, and `Location` leads to it.

    `Prefer: wait=N` waits up to N (at most 60) seconds for the result. An equal request is answered with the earlier
    result (`cached`), or joins the job under way; `Cache-Control: no-cache` computes again. With an
    `Idempotency-Key` a repeated request gets the job of the first one.
    """
    received = await _received(request, here)
    submitted = await run_in_threadpool(_submitted, here, tenant, request, received)
    return await submitted_response(here, request.headers, submitted)


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
    received = await _received(request, here)
    return document_response(await run_in_threadpool(_estimated, here, tenant, received))


async def _received(request: Request, here: Gateway) -> Received:
    if media_type(request) != MULTIPART:
        return Received(await json_bytes(request))
    limit = here.settings.max_input_mib * MIB
    expected = {
        "request": Expected(limit),
        "image": Expected(limit, least=0),
        "tokens": Expected(limit, least=0),
        "sample": Expected(limit, least=0, most=MAX_SAMPLES),
    }
    async with received_parts(request, expected) as parts:
        kind, part = _input_part(parts)
        samples = parts.every("sample")
        return Received(
            bytes(parts["request"].data),
            bytes(part.data),
            kind,
            tuple(bytes(sample.data) for sample in samples),
            tuple(each.sha256 for each in (part, *samples)),
        )


def _input_part(parts: Parts) -> tuple[Literal["image", "tokens"], Part]:
    images, tokens = parts.every("image"), parts.every("tokens")
    if images and tokens:
        raise invalid_at("/tokens", "expected one input: the part image, or the part tokens")
    if not images and not tokens:
        raise invalid_at("/image", "the part is missing; or send the part tokens, to a model that takes them")
    return ("image", images[0]) if images else ("tokens", tokens[0])


def _submitted(here: Gateway, tenant: str, http: Request, received: Received) -> Submitted:
    request = parsed(ExplanationRequest, received.text)
    key = _key(http, tenant, request, received)
    if earlier := replayed(here, tenant, key):
        return earlier
    checked = _checked(here, tenant, request, received)
    return submit(here, tenant, request, checked, key=key, recompute=wants_recomputation(http.headers))


def _estimated(here: Gateway, tenant: str, received: Received) -> EstimateDocument:
    return estimated(_checked(here, tenant, parsed(ExplanationRequest, received.text), received))


def _checked(here: Gateway, tenant: str, request: ExplanationRequest, received: Received) -> Checked:
    find_model = partial(here.store.model, tenant=tenant)
    return check_explanation(
        request,
        received.part,
        part_kind=received.part_kind,
        samples=received.samples,
        find_model=find_model,
        settings=here.settings,
    )


def _key(http: Request, tenant: str, request: ExplanationRequest, received: Received) -> IdempotencyKey | None:
    if "idempotency-key" not in http.headers:
        return None  # the fingerprint of a million features is not for free
    digest = fingerprint(http.url.path, request.model_dump(mode="json"), *received.digests)
    return idempotency_key(http.headers, tenant, digest)
