"""Is the process alive, and can it do its work? Also under the paths of the Open Inference Protocol (KServe)."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.answers import document_response
from app.deps import Gateway, Here
from app.openapi import problems
from jobs.version import CODE_VERSION

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The process answers, or everything that it needs answers too."""

    status: Literal["live", "ready"]
    version: str


@router.get("/healthz", operation_id="live", response_model=Health, summary="Does the gateway's process answer?")
async def live() -> Response:
    return document_response(Health(status="live", version=CODE_VERSION))


@router.get(
    "/readyz",
    operation_id="ready",
    response_model=Health,
    responses=problems(503),
    summary="Do job store, artifact store and queue answer?",
)
async def ready(here: Here) -> Response:
    await run_in_threadpool(_ask_all, here)
    return document_response(Health(status="ready", version=CODE_VERSION))


router.get("/v2/health/live", operation_id="liveV2", response_model=Health, summary="As /healthz")(live)
router.get(
    "/v2/health/ready", operation_id="readyV2", response_model=Health, responses=problems(503), summary="As /readyz"
)(ready)


def _ask_all(here: Gateway) -> None:
    here.store.ping()
    here.artifacts.ping()
    here.queue.ping()
