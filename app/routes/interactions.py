"""What a finished job found, as a list for dashboards and spreadsheets."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.answers import document_response
from app.deps import Gateway, Here, Tenant
from app.interactions import FoundList, FoundQuery, found
from app.openapi import also_csv, secured
from app.tables import found_csv, wants_csv

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.get(
    "/{job_id}/interactions",
    operation_id="listJobInteractions",
    response_model=FoundList,
    responses=also_csv("A line an interaction, where `Accept` asks for it") | secured(404, 409),
    summary="List the interactions that a finished job found",
)
async def list_job_interactions(
    request: Request, job_id: str, here: Here, tenant: Tenant, query: Annotated[FoundQuery, Query()]
) -> Response:
    """Of explanations and trainings alike, in the order of the result. A job that finds none has an empty list."""
    document = await run_in_threadpool(_found, here, tenant, job_id, query)
    response = found_csv(document) if wants_csv(request.headers) else document_response(document)
    if document.next:
        response.headers["Link"] = f'<{document.next}>; rel="next"'
    return response


def _found(here: Gateway, tenant: str, job_id: str, query: FoundQuery) -> FoundList:
    return found(here, here.store.job(job_id, tenant), query)
