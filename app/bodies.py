"""Read request bodies: JSON strictly (no NaN, no unknown type), and the digest by which a repeated request is known."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final, TypeVar

import pydantic_core
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from app.errors import invalid
from jobs.errors import FieldError, InvalidParameters

MULTIPART: Final = "multipart/form-data"

Document = TypeVar("Document", bound=BaseModel)


def media_type(request: Request) -> str:
    """Return the body's media type without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def json_bytes(request: Request) -> bytes:
    """Return the body of a request that must be JSON."""
    kind = media_type(request)
    if kind != "application/json" and not kind.endswith("+json"):
        raise HTTPException(415, f"expected Content-Type application/json, got {kind or 'none'!r}")
    return await request.body()


def parsed(model: type[Document], data: bytes | bytearray, *, strict: bool = True, at: str = "") -> Document:
    """Parse JSON into a model.

    Args:
        strict: Refuse "5" where a number belongs.
        at: Pointer to the JSON, where it is only a part of the body.

    Raises:
        InvalidParameters: It is not JSON (NaN and Infinity are not), or does not fit; with JSON pointers.
    """
    try:
        value = pydantic_core.from_json(bytes(data), allow_inf_nan=False)
    except ValueError as error:
        detail = f"{at or 'the body'} is not valid JSON: {error}"
        raise InvalidParameters(detail, errors=[FieldError(pointer=at, detail=detail)] if at else []) from error
    try:
        return model.model_validate_json(bytes(data), strict=strict)
    except ValidationError as error:
        raise invalid(error, value, at=at) from error


def fingerprint(path: str, document: Any, *digests: str) -> str:
    """Return the digest of a request: its path, its JSON in canonical form, and the digests of its files."""
    text = json.dumps([path, document, *digests], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
