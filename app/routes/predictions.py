"""Models that are asked by rows: predictions, what they are made of, and what the model learned. No network runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.answers import document_response
from app.bodies import json_bytes, parsed
from app.deps import Gateway, Here, Tenant
from app.openapi import EXPLAIN_BODY, PREDICT_BODY, also_csv, secured
from app.prediction_documents import (
    ExplainRequest,
    ExplanationsDocument,
    InteractionsDocument,
    InteractionsQuery,
    PredictionsDocument,
    PredictRequest,
)
from app.predictions import explained, overall, predicted
from app.tables import interactions_csv, predictions_csv, wants_csv
from jobs.schemas import Model

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.post(
    "/{model_id}:predict",
    operation_id="predictRows",
    response_model=PredictionsDocument,
    responses=also_csv("A line a row, where `Accept` asks for it") | secured(404, 409, 413, 415, 422),
    openapi_extra=PREDICT_BODY,
    summary="Predict rows, at once",
)
async def predict_rows(request: Request, model_id: str, here: Here, tenant: Tenant) -> Response:
    """For models that the trainings `nid` (additive) and `l0-sign` make; no job is queued.

    A row of a table is an object by column name, with every column (null: missing); of sets, a list of ids, or of
    `[id, value]`. What the model does not know counts as its unknown feature, and `unknown` names it.
    """
    body, as_csv = await json_bytes(request), wants_csv(request.headers)

    def answer(model: Model) -> Response:
        document = predicted(here, model, parsed(PredictRequest, body))
        return predictions_csv(document) if as_csv else document_response(document)

    return await _answered(here, tenant, model_id, answer)


@router.post(
    "/{model_id}:explain",
    operation_id="explainRows",
    response_model=ExplanationsDocument,
    responses=secured(404, 409, 413, 415, 422),
    openapi_extra=EXPLAIN_BODY,
    summary="Take predictions apart, exactly, at once",
)
async def explain_rows(request: Request, model_id: str, here: Here, tenant: Tenant) -> Response:
    """Every prediction is a sum: a bias and one contribution of each edge (`l0-sign`) or term (`nid`).

    `residual` is the difference between that sum and what the whole model says, and nothing but rounding.
    """
    body = await json_bytes(request)
    return await _answered(
        here, tenant, model_id, lambda model: document_response(explained(here, model, parsed(ExplainRequest, body)))
    )


@router.get(
    "/{model_id}/interactions",
    operation_id="listInteractions",
    response_model=InteractionsDocument,
    responses=also_csv("A line an interaction, where `Accept` asks for it") | secured(404, 409),
    summary="What features do together over all training rows",
)
async def list_interactions(
    request: Request, model_id: str, here: Here, tenant: Tenant, query: Annotated[InteractionsQuery, Query()]
) -> Response:
    """Strongest first: by mean contribution times rows. Of a model with a table of pairs, those in most rows."""
    as_csv = wants_csv(request.headers)

    def answer(model: Model) -> Response:
        document = overall(here, model, query)
        response = interactions_csv(document) if as_csv else document_response(document)
        if document.next:
            response.headers["Link"] = f'<{document.next}>; rel="next"'
        return response

    return await _answered(here, tenant, model_id, answer)


async def _answered(here: Gateway, tenant: str, model_id: str, answer: Callable[[Model], Response]) -> Response:
    """Answer in a thread, a few requests at once, so that status reads are never held up."""

    def work() -> Response:
        return answer(here.store.model(model_id, tenant))

    async with here.scoring:
        return await run_in_threadpool(work)
