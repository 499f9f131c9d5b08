"""Trainings: asked for, and what can be asked for. They are jobs; a finished one's result names the new model."""

from __future__ import annotations

from difflib import get_close_matches
from functools import partial

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.answers import document_response, submitted_response
from app.bodies import fingerprint, json_bytes, parsed
from app.deps import Gateway, Here, Tenant
from app.documents import JobDocument, TrainingMethodDocument, TrainingMethodList, training_method_document
from app.openapi import TRAINING_BODY, also, secured
from app.preferences import idempotency_key
from app.submission import Submitted, add, check_quota, new_training, replayed
from app.training_checks import check_training
from jobs import catalog
from jobs.errors import NotFound
from jobs.store import IdempotencyKey
from jobs.trainings import TrainingRequest

router = APIRouter(prefix="/v1/trainings", tags=["trainings"])


@router.post(
    "",
    status_code=202,
    operation_id="createTraining",
    response_model=JobDocument,
    responses=also(200, JobDocument, "Finished: waited for, or a replayed request")
    | secured(404, 409, 413, 415, 422, 429),
    openapi_extra=TRAINING_BODY,
    summary="Train a model on a dataset",
)
async def create_training(request: Request, here: Here, tenant: Tenant) -> Response:
    """Everything that inspections tell is checked first; then the job is queued, and `Location` leads to it.

    Progress comes by epoch, with loss and accuracy in `progress.metrics`. A training whose runner dies goes on from its
    last save point, and so does one that is retried (`POST /v1/jobs/{id}:retry`) after it failed, expired or was
    canceled. The result's `model` is the id of the new model.
    """
    training = parsed(TrainingRequest, await json_bytes(request), strict=False)
    digest = fingerprint(request.url.path, training.model_dump(mode="json"))
    key = idempotency_key(request.headers, tenant, digest)
    submitted = await run_in_threadpool(lambda: replayed(here, tenant, key) or _submit(here, tenant, training, key))
    return await submitted_response(here, request.headers, submitted)


def _submit(here: Gateway, tenant: str, request: TrainingRequest, key: IdempotencyKey | None) -> Submitted:
    params = check_training(
        request,
        find_model=partial(here.store.model, tenant=tenant),
        find_dataset=partial(here.store.dataset, tenant=tenant),
        settings=here.settings,
    )
    check_quota(here, tenant)
    return add(here, new_training(here, tenant, request, params), key=key)


@router.get(
    "/methods",
    operation_id="listTrainingMethods",
    response_model=TrainingMethodList,
    responses=secured(),
    summary="List the training methods",
)
async def list_training_methods(_: Tenant) -> Response:
    return document_response(
        TrainingMethodList(items=[training_method_document(spec) for spec in catalog.trainings().values()])
    )


@router.get(
    "/methods/{method}",
    operation_id="readTrainingMethod",
    response_model=TrainingMethodDocument,
    responses=secured(404),
    summary="Read one training method and the JSON Schema of its parameters",
)
async def read_training_method(method: str, _: Tenant) -> Response:
    spec = catalog.trainings().get(method)
    if spec is None:
        close = get_close_matches(method, list(catalog.trainings()), n=1)
        raise NotFound(f"there is no training method {method!r}{f'; did you mean {close[0]}?' if close else ''}")
    return document_response(training_method_document(spec))
