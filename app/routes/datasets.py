"""Datasets: uploaded, checked, read from end to end by a runner, listed, deleted."""

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
from app.documents import DatasetDocument, DatasetList, dataset_document, next_link
from app.guard import MIB
from app.multipart import Expected, Part, received_parts
from app.openapi import DATASET_BODY, UNCHANGED, also, secured
from app.preferences import MAX_WAIT_SECONDS, applied, idempotency_key, wait_seconds
from app.submission import check_quota, new_dataset, ring
from app.training_checks import dataset_support
from app.uploads.datasets import check_dataset_file
from jobs import catalog
from jobs.datasets import Dataset, DatasetManifest, DatasetStatus
from jobs.errors import NotFound
from jobs.store import IdempotencyKey

log = structlog.get_logger()

DEFAULT_WAIT_SECONDS = 10.0
"""An upload waits so long for its inspection; most tables are read within a second."""

MAX_MANIFEST_BYTES = 4 << 20

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])


class DatasetQuery(BaseModel):
    """How to page."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(None, max_length=500)


@router.post(
    "",
    status_code=201,
    operation_id="uploadDataset",
    response_model=DatasetDocument,
    responses=also(200, DatasetDocument, "The same bytes and manifest were uploaded before")
    | secured(409, 413, 415, 422, 429),
    openapi_extra=DATASET_BODY,
    summary="Upload a dataset",
)
async def upload_dataset(request: Request, here: Here, tenant: Tenant) -> Response:
    """Send the part `file` (CSV, Parquet, NPZ, a zip of pictures, libfm, or lines of a label and ids) and, where the
    file does not say enough, the part `manifest` (JSON).

    The file's frame is checked at once; then a runner reads all of it. The answer waits for that for up to 10 seconds
    (`Prefer: wait=N`); where it takes longer the status is `inspecting`: read the dataset again (`?wait=N`). A dataset
    that cannot be used is `failed`, with an `error` that names row and column where there are any.
    """
    if media_type(request) != MULTIPART:
        raise HTTPException(415, f"expected Content-Type {MULTIPART} with the part file and perhaps manifest")
    expected = {
        "file": Expected(here.settings.max_dataset_mib * MIB, here.spool / secrets.token_hex(16)),
        "manifest": Expected(MAX_MANIFEST_BYTES, least=0),
    }
    async with received_parts(request, expected) as parts:
        given = parts.every("manifest")
        manifest = parsed(DatasetManifest, given[0].data, strict=False) if given else DatasetManifest()
        digest = fingerprint(request.url.path, manifest.model_dump(mode="json"), parts["file"].sha256)
        key = idempotency_key(request.headers, tenant, digest)
        dataset, created = await run_in_threadpool(_take_in, here, tenant, manifest, parts["file"], key)
    seconds = wait_seconds(request.headers, default=DEFAULT_WAIT_SECONDS)
    read = here.reader(here.store.dataset, dataset.id, tenant)
    dataset = await here.waiting.until(read, _is_inspected, seconds=seconds)
    headers = {**_headers(dataset), "Location": f"/v1/datasets/{dataset.id}", **applied(request.headers)}
    return document_response(_described(dataset), 201 if created else 200, headers=headers)


def _take_in(
    here: Gateway, tenant: str, manifest: DatasetManifest, file: Part, key: IdempotencyKey | None
) -> tuple[Dataset, bool]:
    """Check the upload, keep its bytes, record the dataset with its inspection, and ring.

    Raises:
        IdempotencyMismatch: The key was used with another request; nothing was kept.
        QuotaExceeded: Too many jobs of this tenant are queued; nothing was kept.
    """
    with suppress(NotFound):  # deleted meanwhile, and the key forgotten with it
        if key is not None and (dataset_id := here.store.replay(key)):
            return here.store.dataset(dataset_id, tenant), False
    assert file.path is not None  # noqa: S101  # a part with a spool has a file once it has arrived
    check_dataset_file(file.path, manifest, max_bytes=here.settings.max_dataset_mib * MIB)
    check_quota(here, tenant)
    with file.path.open("rb") as spooled:  # open, the bytes stay at hand though `put_file` moves the file
        here.artifacts.put_file(file.path, sha256=file.sha256)
        dataset, inspection = new_dataset(here, tenant, manifest, sha256=file.sha256, size=file.size)
        kept, created = here.store.add_dataset(dataset, inspection=inspection, idempotency=key)
        if not here.artifacts.exists(file.sha256):
            # Deleted between put and commit, by someone whose rows no longer needed them; from now on ours does.
            if not file.path.exists():
                with file.path.open("xb") as again:
                    shutil.copyfileobj(spooled, again)
            here.artifacts.put_file(file.path, sha256=file.sha256)
    if created:
        log.info("dataset_added", dataset=dataset.id, tenant=tenant, size_bytes=dataset.size_bytes)
        ring(here, inspection)
    return kept, created


def _is_inspected(dataset: Dataset) -> bool:
    return dataset.status is not DatasetStatus.INSPECTING


@router.get("", operation_id="listDatasets", response_model=DatasetList, responses=secured(), summary="List datasets")
async def list_datasets(here: Here, tenant: Tenant, query: Annotated[DatasetQuery, Query()]) -> Response:
    page = await here.read(here.store.datasets, tenant, limit=query.limit, cursor=query.cursor)
    following = next_link("/v1/datasets", query.model_dump(), page)
    document = DatasetList(items=[_described(dataset) for dataset in page.items], next=following)
    return document_response(document, headers={"Link": f'<{following}>; rel="next"'} if following else {})


@router.get(
    "/{dataset_id}",
    operation_id="readDataset",
    response_model=DatasetDocument,
    responses=UNCHANGED | secured(404),
    summary="Read a dataset, what was found in it, and which trainings can learn from it",
)
async def read_dataset(
    request: Request,
    dataset_id: str,
    here: Here,
    tenant: Tenant,
    wait: Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS, description="Seconds to wait for the inspection.")] = 0.0,
) -> Response:
    read = here.reader(here.store.dataset, dataset_id, tenant)
    dataset = await here.waiting.until(read, _is_inspected, seconds=wait)
    return tagged_response(_described(dataset), request.headers, headers=_headers(dataset, etag=False))


@router.delete(
    "/{dataset_id}",
    status_code=204,
    operation_id="deleteDataset",
    responses=secured(404, 409),
    summary="Delete a dataset that no unfinished job uses",
)
async def delete_dataset(dataset_id: str, here: Here, tenant: Tenant) -> Response:
    await run_in_threadpool(_remove, here, dataset_id, tenant)
    return Response(status_code=204)


def _remove(here: Gateway, dataset_id: str, tenant: str) -> None:
    here.store.discard(here.store.delete_dataset(dataset_id, tenant), here.artifacts.delete)


def _described(dataset: Dataset) -> DatasetDocument:
    """Return the dataset's document, with what every training method makes of it."""
    found = dataset.inspection
    specs = catalog.trainings().values() if found else ()
    return dataset_document(dataset, {spec.id: dataset_support(spec, found) for spec in specs if found})


def _headers(dataset: Dataset, *, etag: bool = True) -> dict[str, str]:
    headers = {"ETag": f'"{dataset.sha256}"'} if etag else {}
    return headers if _is_inspected(dataset) else {**headers, "Retry-After": str(POLL_AFTER_SECONDS)}
