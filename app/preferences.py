"""Headers by which a client says how it wants to be served: Prefer, Idempotency-Key, Cache-Control, If-None-Match."""

from __future__ import annotations

import re
from typing import Final

from starlette.datastructures import Headers

from jobs.errors import InvalidParameters
from jobs.store import IdempotencyKey

MAX_WAIT_SECONDS: Final = 60.0
_WAIT = re.compile(r"(?:^|[,;]\s*)wait\s*=\s*\"?(\d{1,6})\"?\s*(?=$|[,;])", re.IGNORECASE)
_ASYNCHRONOUS = re.compile(r"(?:^|[,;]\s*)respond-async\s*(?=$|[,;])", re.IGNORECASE)
_KEY = re.compile(r"[\x21-\x7e]{1,200}")


def wait_seconds(headers: Headers, *, default: float = 0.0) -> float:
    """Return how long the client would wait for the end of the work (`Prefer: wait=N`, RFC 7240), at most a minute.

    A preference that cannot be read is ignored, as the standard asks. `respond-async` alone means: not at all.
    """
    prefer = ", ".join(headers.getlist("prefer"))
    if found := _WAIT.search(prefer):
        return min(float(found[1]), MAX_WAIT_SECONDS)
    return 0.0 if _ASYNCHRONOUS.search(prefer) else default


def applied(headers: Headers) -> dict[str, str]:
    """Return the header that tells the client which preference was honoured."""
    prefer = ", ".join(headers.getlist("prefer"))
    if _WAIT.search(prefer):
        return {"Preference-Applied": f"wait={wait_seconds(headers):.0f}"}
    return {"Preference-Applied": "respond-async"} if _ASYNCHRONOUS.search(prefer) else {}


def idempotency_key(headers: Headers, tenant: str, fingerprint: str) -> IdempotencyKey | None:
    """Return the request's Idempotency-Key.

    Raises:
        InvalidParameters: The key is longer than 200 characters, or has others than visible ASCII.
    """
    key = headers.get("idempotency-key")
    if key is None:
        return None
    if _KEY.fullmatch(key) is None:
        raise InvalidParameters("expected an Idempotency-Key of 1 to 200 visible ASCII characters")
    return IdempotencyKey(tenant, key, fingerprint)


def wants_recomputation(headers: Headers) -> bool:
    """Tell whether the client refuses an earlier result (`Cache-Control: no-cache`)."""
    return bool(re.search(r"(^|[,\s])no-(cache|store)\b", headers.get("cache-control", "").lower()))


def matches(headers: Headers, etag: str) -> bool:
    """Tell whether the client holds the current version (`If-None-Match`, RFC 9110; compared weakly)."""
    given = [value.strip().removeprefix("W/") for value in headers.get("if-none-match", "").split(",")]
    return "*" in given or etag.removeprefix("W/") in given
