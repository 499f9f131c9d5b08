"""The ASGI layer before everything else: who may talk to a local service, how much, and how browsers treat answers.

Without API keys the service listens on loopback, where every web page that a browser on this machine shows can reach
it. Such a page cannot choose the Host header (after DNS rebinding it is the page's own name) nor hide its Origin.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import answer
from jobs.errors import Forbidden, InputTooLarge, InterplayError
from jobs.settings import Settings

MIB: Final = 1 << 20
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """Refuses foreign hosts and origins, stops bodies that exceed their route's cap, and forbids sniffing."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._local = not settings.api_keys
        self._body_limit = body_limits(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _without_sniffing(send)
        headers, limit = Headers(scope=scope), self._body_limit(scope["path"])
        if refused := self._refusal(scope["method"], headers, limit):
            await answer(refused)(scope, receive, send)
            return
        await self._app(scope, _capped(receive, limit), send)

    def _refusal(self, method: str, headers: Headers, limit: int) -> InterplayError | None:
        if self._local and not is_loopback(headers.get("host", "")):
            return Forbidden("this server answers to localhost only; set INTERPLAY_API_KEYS to serve other names")
        if self._local and method not in _READING and not _same_origin(headers):
            return Forbidden("this server takes no requests from other web sites; set INTERPLAY_API_KEYS to allow them")
        length = headers.get("content-length", "0")
        return _too_large(limit) if length.isdecimal() and int(length) > limit else None


def is_loopback(host: str) -> bool:
    """Tell whether a Host header names this machine itself."""
    try:
        name = urlsplit(f"//{host}").hostname if re.fullmatch(r"[\w.:\-\[\]]+", host) else ""
        return name == "localhost" or ipaddress.ip_address(name or "").is_loopback
    except ValueError:
        return False


def _same_origin(headers: Headers) -> bool:
    origin = headers.get("origin")
    return origin is None or origin.lower() == f"http://{headers.get('host', '').lower()}"


def body_limits(settings: Settings) -> Callable[[str], int]:
    """Return a function from a path to the largest body that it takes."""

    def limit(path: str) -> int:
        if path == "/v1/models":
            return (settings.max_model_mib + 16) * MIB
        if path == "/v1/datasets":
            return (settings.max_dataset_mib + 16) * MIB
        if path.startswith("/v1/explanations"):
            return settings.max_input_mib * MIB * 4 // 3 + 8 * MIB  # base64 grows by a third; the rest is parameters
        return 8 * MIB if path.endswith(("/sets", ":predict", ":explain")) else MIB

    return limit


def _capped(receive: Receive, limit: int) -> Receive:
    received = 0

    async def capped() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise _too_large(limit)
        return message

    return capped


def _too_large(limit: int) -> InputTooLarge:
    return InputTooLarge(f"expected a body of at most {limit} bytes here, got more")


def _without_sniffing(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["X-Content-Type-Options"] = "nosniff"
        await send(message)

    return sending
