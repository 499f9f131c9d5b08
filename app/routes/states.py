"""Questions about masked states to jobs that kept a logical model."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.answers import document_response
from app.bodies import json_bytes, parsed
from app.deps import Gateway, Here, Tenant
from app.openapi import STATES_BODY, secured
from app.states import StatesDocument, StatesRequest, predicted

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.post(
    "/{job_id}/states",
    operation_id="predictStates",
    response_model=StatesDocument,
    responses=secured(404, 409, 413, 415, 422),
    openapi_extra=STATES_BODY,
    summary="Ask the logical model about masked states, without running the model",
)
async def predict_states(request: Request, job_id: str, here: Here, tenant: Tenant) -> Response:
    """For a finished `and-or` job: its prediction, the network's value, and which interactions each state triggers."""
    body = await json_bytes(request)
    async with here.scoring:
        return document_response(await run_in_threadpool(_predicted, here, tenant, job_id, body))


def _predicted(here: Gateway, tenant: str, job_id: str, body: bytes) -> StatesDocument:
    asked = parsed(StatesRequest, body)
    return predicted(here, here.store.job(job_id, tenant), asked)
