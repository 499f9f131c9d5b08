"""How errors become HTTP answers: one table from code to status, and one shape, `application/problem+json` (RFC 9457).

The framework's own refusals (unknown path, wrong method, unreadable query) take the same shape.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from jobs.errors import (
    FieldError,
    InfrastructureError,
    InternalError,
    InterplayError,
    InvalidParameters,
    NotFinished,
    QuotaExceeded,
    RequestError,
    concrete_errors,
)

log = structlog.get_logger()

STATUS: Final[Mapping[str, int]] = {
    "invalid-parameters": 422,
    "invalid-input": 422,
    "input-too-large": 413,
    "unsafe-model": 422,
    "unsupported-model": 422,
    "unknown-method": 422,
    "not-found": 404,
    "not-finished": 409,
    "conflict": 409,
    "idempotency-mismatch": 422,
    "unauthorized": 401,
    "forbidden": 403,
    "quota-exceeded": 429,
    # A computation that fails is recorded on its job; only a model's inspection, awaited by its upload, answers these.
    "out-of-memory": 422,
    "numerical-error": 422,
    "deadline-exceeded": 422,
    "runner-crashed": 422,
    "internal-error": 500,
    "store-unavailable": 503,
    "queue-unavailable": 503,
    "artifacts-unavailable": 503,
}
"""HTTP status of every code of `jobs.errors`; a test proves it total."""

TITLE: Final[Mapping[str, str]] = {error.code: error.title for error in concrete_errors()}

MEDIA_TYPE: Final = "application/problem+json"

RETRY_AFTER_SECONDS: Final = 5

MAX_FAULTS: Final = 20  # a list of a million wrong values shall not be answered with a million sentences


def problem_type(code: str) -> str:
    """Return the URI reference that names a kind of problem; `GET` on it describes the kind."""
    return f"/problems/{code}"


def as_document(error: InterplayError, **more: Any) -> dict[str, Any]:
    """Return an error as a problem document; `more` are members beyond RFC 9457's."""
    return {
        "type": problem_type(error.code),
        "title": error.title,
        "status": STATUS[error.code],
        "detail": error.detail,
        "code": error.code,
        "errors": [fault.model_dump() for fault in error.errors],
        **more,
    }


def problem_response(document: Mapping[str, Any], *, headers: Mapping[str, str] | None = None) -> Response:
    """Return a problem document as an HTTP answer."""
    body = json.dumps(document, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")
    return Response(body, document["status"], headers=dict(headers or {}), media_type=MEDIA_TYPE)


def answer(error: InterplayError, **more: Any) -> Response:
    """Return the HTTP answer to an error of ours."""
    return problem_response(as_document(error, **more), headers=_headers(error))


def _headers(error: InterplayError) -> dict[str, str]:
    if isinstance(error, (InfrastructureError, QuotaExceeded, NotFinished)):
        return {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return {"WWW-Authenticate": 'Bearer realm="interplay"'} if error.code == "unauthorized" else {}


def install(app: FastAPI) -> None:
    """Answer every exception as a problem."""
    app.add_exception_handler(InterplayError, _on_our_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(Exception, _on_defect)


async def _on_our_error(request: Request, error: Any) -> Response:
    if isinstance(error, InfrastructureError):
        log.warning("infrastructure failed", path=request.url.path, code=error.code, detail=error.detail)
    return answer(error)


async def _on_validation_error(_: Request, error: Any) -> Response:
    """Faults outside the body (the routes read bodies themselves): they have a name, but no JSON pointer."""
    faults = [FieldError(pointer="", detail=_outside_body(fault)) for fault in error.errors()]
    return answer(InvalidParameters(faults[0].detail, errors=faults))


def _outside_body(fault: Mapping[str, Any]) -> str:
    place, *name = fault["loc"]
    return f"{place} parameter {'.'.join(map(str, name))}: {fault['msg']}"


async def _on_http_error(_: Request, error: Any) -> Response:
    """Starlette's own refusals; RFC 9457 asks for `about:blank` where the status says it all."""
    title = HTTPStatus(error.status_code).phrase
    document = {"type": "about:blank", "title": title, "status": error.status_code, "detail": str(error.detail)}
    code = title.lower().replace(" ", "-")
    return problem_response({**document, "code": code, "errors": []}, headers=error.headers)


async def _on_disconnect(_: Request, __: Exception) -> Response:
    """The client went away while it was sending; nobody reads this answer."""
    return Response(status_code=HTTPStatus.BAD_REQUEST)


async def _on_defect(_: Request, __: Exception) -> Response:
    """A defect of ours: the log holds the traceback (Starlette raises the exception again), the answer holds none."""
    return answer(InternalError("the gateway met a defect; its log says more"))


def invalid(error: ValidationError, data: Any, *, at: str = "") -> InvalidParameters:
    """Return what pydantic found in `data` as one error of ours, with a JSON pointer for each of the first faults.

    Args:
        at: Pointer to `data`, where it is only a part of the body.
    """
    found = error.errors(include_url=False, include_context=False, include_input=False)[:MAX_FAULTS]
    faults = [FieldError(pointer=at + _pointer(fault, data), detail=_detail(fault)) for fault in found]
    return InvalidParameters(f"{faults[0].pointer or 'the body'}: {faults[0].detail}", errors=faults)


def invalid_at(pointer: str, detail: str, kind: type[RequestError] = InvalidParameters) -> RequestError:
    """Return an error about one field."""
    return kind(f"{pointer}: {detail}", errors=[FieldError(pointer=pointer, detail=detail)])


def _pointer(fault: Mapping[str, Any], data: Any) -> str:
    """Return the JSON pointer of a fault; pydantic's location also names union branches, which are not in the data."""
    pointer = ""
    *parents, last = fault["loc"] or ("",)
    for part in parents:
        if _holds(data, part):
            pointer, data = f"{pointer}/{_escaped(part)}", data[part]
    named = _holds(data, last) or (fault["type"] == "missing" and isinstance(data, dict))
    return f"{pointer}/{_escaped(last)}" if named else pointer


def _holds(data: Any, part: str | int) -> bool:
    if isinstance(data, dict):
        return part in data
    return isinstance(data, list) and isinstance(part, int) and part < len(data)


def _escaped(part: str | int) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")


def _detail(fault: Mapping[str, Any]) -> str:
    if fault["type"] == "extra_forbidden":
        return f"unknown field {fault['loc'][-1]!r}"
    return str(fault["msg"]).removeprefix("Value error, ")
