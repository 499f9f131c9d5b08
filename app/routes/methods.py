"""What can be asked of a model."""

from __future__ import annotations

from difflib import get_close_matches

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.answers import document_response
from app.deps import tenant
from app.documents import MethodDocument, MethodList, method_document
from app.openapi import secured
from jobs import catalog
from jobs.errors import NotFound

router = APIRouter(prefix="/v1/methods", tags=["methods"], dependencies=[Depends(tenant)])


@router.get("", operation_id="listMethods", response_model=MethodList, responses=secured(), summary="List the methods")
async def list_methods() -> Response:
    return document_response(MethodList(items=[method_document(spec) for spec in catalog.methods().values()]))


@router.get(
    "/{method}",
    operation_id="readMethod",
    response_model=MethodDocument,
    responses=secured(404),
    summary="Read one method and the JSON Schema of its parameters",
)
async def read_method(method: str) -> Response:
    spec = catalog.methods().get(method)
    if spec is None:
        close = get_close_matches(method, list(catalog.methods()), n=1)
        raise NotFound(f"there is no method {method!r}{f'; did you mean {close[0]}?' if close else ''}")
    return document_response(method_document(spec))
