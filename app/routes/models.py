"""Models: uploaded, checked, inspected by a runner, listed, deleted."""

from __future__ import annotations

import secrets
import shutil
from contextlib import suppress
from typing import Annotated

import structlog
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.answers import POLL_AFTER_SECONDS, document_response, tagged_response
from app.bodies import MULTIPART, fingerprint, media_type, parsed
from app.deps import Gateway, Here, Tenant
from app.documents import ModelDocument, ModelList, SupportDocument, model_document, next_link
from app.multipart import Expected, Part, received_parts
from app.openapi import UNCHANGED, UPLOAD_BODY, also, secured
from app.preferences import MAX_WAIT_SECONDS, applied, idempotency_key, wait_seconds
from app.submission import check_quota, new_model, ring
from app.support import support
from app.uploads.models import check_upload
from app.validation import check_architecture
from jobs import catalog
from jobs.errors import Conflict, InternalError, InterplayError, NotFound, from_problem
from jobs.schemas import Manifest, Model, ModelStatus
from jobs.store import IdempotencyKey

log = structlog.get_logger()

DEFAULT_WAIT_SECONDS = 10.0
"""An upload waits so long for its inspection, so that a model that cannot be used is refused in the same breath."""

MAX_MANIFEST_BYTES = 4 << 20  # 100,000 class names of 40 bytes

router = APIRouter(prefix="/v1/models", tags=["models"])


class ModelQuery(BaseModel):
    """How to page."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(None, max_length=500)


@router.post(
    "",
    status_code=201,
    operation_id="uploadModel",
    response_model=ModelDocument,
    responses=also(200, ModelDocument, "The same bytes and manifest were uploaded before")
    | secured(404, 409, 413, 415, 422, 429),
    openapi_extra=UPLOAD_BODY,
    summary="Upload a model",
)
async def upload_model(request: Request, here: Here, tenant: Tenant) -> Response:
    """Send the parts `artifact` (safetensors, or a weights-only PyTorch state dict) and `manifest` (JSON).

    An `artifact` may bring its architecture along: ONNX of a dense network, JSON with the weights in it, or the arrays
    of scikit-learn's MLP. The manifest's architecture then names that family, and the answer spells out what was read.

    The file is checked while nothing of it runs; then a runner loads it and finds out which methods can explain it.
    The answer waits for that for up to 10 seconds (`Prefer: wait=N` for N seconds, `respond-async` not at all). A
    model that cannot be used is refused with the reason, and nothing of it is kept but the failed inspection's job.
    Where inspection takes longer, the answer has the status `inspecting`: read the model again (`?wait=N`) until it is
    `ready` or `failed`.
    """
    if media_type(request) != MULTIPART:
        raise HTTPException(415, f"expected Content-Type {MULTIPART} with the parts artifact and manifest")
    expected = {
        "artifact": Expected(here.settings.max_model_mib << 20, here.spool / secrets.token_hex(16)),
        "manifest": Expected(MAX_MANIFEST_BYTES),
    }
    async with received_parts(request, expected) as parts:
        manifest = parsed(Manifest, parts["manifest"].data, strict=False)
        digest = fingerprint(request.url.path, manifest.model_dump(mode="json"), parts["artifact"].sha256)
        key = idempotency_key(request.headers, tenant, digest)
        model, created = await run_in_threadpool(_take_in, here, tenant, manifest, parts["artifact"], key)
    model = await _inspected(here, model, wait_seconds(request.headers, default=DEFAULT_WAIT_SECONDS))
    headers = {**_headers(model), "Location": f"/v1/models/{model.id}", **applied(request.headers)}
    return document_response(_described(model), 201 if created else 200, headers=headers)


def _take_in(
    here: Gateway, tenant: str, manifest: Manifest, artifact: Part, key: IdempotencyKey | None
) -> tuple[Model, bool]:
    """Check the upload, keep its bytes, record the model with its inspection, and ring.

    Raises:
        IdempotencyMismatch: The key was used with another request; nothing was kept.
        QuotaExceeded: Too many jobs of this tenant are queued; nothing was kept.
    """
    with suppress(NotFound):  # refused meanwhile, and the key forgotten with it
        if key is not None and (model_id := here.store.replay(key)):
            return here.store.model(model_id, tenant), False
    check_architecture(manifest.architecture)
    assert artifact.path is not None  # noqa: S101  # a part with a spool has a file once it has arrived
    check_upload(artifact.path, manifest.architecture, max_bytes=here.settings.max_model_mib << 20)
    check_quota(here, tenant)
    with artifact.path.open("rb") as spooled:  # open, the bytes stay at hand though `put_file` moves the file
        here.artifacts.put_file(artifact.path, sha256=artifact.sha256)
        model, inspection = new_model(here, tenant, manifest, sha256=artifact.sha256, size=artifact.size)
        kept, created = here.store.add_model(model, inspection=inspection, idempotency=key)
        if not here.artifacts.exists(artifact.sha256):
            # Deleted between put and commit, by someone whose rows no longer needed them; from now on ours does.
            if not artifact.path.exists():
                with artifact.path.open("xb") as again:
                    shutil.copyfileobj(spooled, again)
            here.artifacts.put_file(artifact.path, sha256=artifact.sha256)
    if created:
        log.info("model_added", model=model.id, tenant=tenant, size_bytes=model.size_bytes)
        ring(here, inspection)
    return kept, created


async def _inspected(here: Gateway, model: Model, seconds: float) -> Model:
    """Wait for the inspection.

    Raises:
        RequestError: The model cannot be used; it is removed again.
    """
    try:
        read = here.reader(here.store.model, model.id, model.tenant)
        model = await here.waiting.until(read, _is_inspected, seconds=seconds)
    except NotFound as error:
        raise await here.read(_why_removed, here, model) from error
    if model.status is ModelStatus.FAILED:
        with suppress(NotFound, Conflict):  # an equal upload has removed it already, or its job is just ending
            await run_in_threadpool(_remove, here, model)
        raise from_problem(model.error) if model.error else InternalError("the inspection failed without a reason")
    return model


def _why_removed(here: Gateway, model: Model) -> InterplayError:
    """Return what is wrong with a model that an equal upload, refused first, has removed; its job still says so."""
    with suppress(NotFound):
        if model.job_id is not None and (problem := here.store.job(model.job_id, model.tenant).error) is not None:
            return from_problem(problem)
    return Conflict("the model was removed while it was being inspected; upload it again")


def _is_inspected(model: Model) -> bool:
    return model.status is not ModelStatus.INSPECTING


def _remove(here: Gateway, model: Model) -> None:
    here.store.discard(here.store.delete_model(model.id, model.tenant), here.artifacts.delete)


@router.get("", operation_id="listModels", response_model=ModelList, responses=secured(), summary="List models")
async def list_models(here: Here, tenant: Tenant, query: Annotated[ModelQuery, Query()]) -> Response:
    page = await here.read(here.store.models, tenant, limit=query.limit, cursor=query.cursor)
    following = next_link("/v1/models", query.model_dump(), page)
    document = ModelList(items=[_described(model) for model in page.items], next=following)
    return document_response(document, headers={"Link": f'<{following}>; rel="next"'} if following else {})


@router.get(
    "/{model_id}",
    operation_id="readModel",
    response_model=ModelDocument,
    responses=UNCHANGED | secured(404),
    summary="Read a model, its inspection, and which methods can explain it",
)
async def read_model(
    request: Request,
    model_id: str,
    here: Here,
    tenant: Tenant,
    wait: Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS, description="Seconds to wait for the inspection.")] = 0.0,
) -> Response:
    read = here.reader(here.store.model, model_id, tenant)
    model = await here.waiting.until(read, _is_inspected, seconds=wait)
    return tagged_response(_described(model), request.headers, headers=_headers(model, etag=False))


@router.delete(
    "/{model_id}",
    status_code=204,
    operation_id="deleteModel",
    responses=secured(404, 409),
    summary="Delete a model that no unfinished job uses",
)
async def delete_model(model_id: str, here: Here, tenant: Tenant) -> Response:
    model = await here.read(here.store.model, model_id, tenant)
    await run_in_threadpool(_remove, here, model)
    return Response(status_code=204)


def _described(model: Model) -> ModelDocument:
    """Return the model's document, with what every method makes of it."""
    found = model.inspection
    specs = catalog.methods().values() if found else ()
    methods: dict[str, SupportDocument] = {spec.id: support(spec, model.manifest, found) for spec in specs if found}
    return model_document(model, methods)


def _headers(model: Model, *, etag: bool = True) -> dict[str, str]:
    headers = {"ETag": f'"{model.sha256}"'} if etag else {}
    return headers if _is_inspected(model) else {**headers, "Retry-After": str(POLL_AFTER_SECONDS)}
