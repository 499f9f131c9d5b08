"""What every route needs: the gateway's parts, and who is asking."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, ParamSpec, TypeVar

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from app.predictor_cache import PredictorCache
from app.waiting import Waiting
from jobs.artifacts import ArtifactStore
from jobs.errors import Unauthorized
from jobs.queue import Queue
from jobs.settings import Settings
from jobs.store import JobStore

LOCAL_TENANT: Final = "local"

SCORED_AT_ONCE: Final = 2

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Gateway:
    """The parts of a running gateway.

    Attributes:
        predictors: Models that are asked by rows, kept open.
        scoring: Held while a finished job's arrays are read and computed with, or rows are answered, which takes memory
            and a core; others wait.
    """

    settings: Settings
    store: JobStore
    artifacts: ArtifactStore
    queue: Queue
    spool: Path
    predictors: PredictorCache
    waiting: Waiting = field(default_factory=Waiting)
    scoring: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(SCORED_AT_ONCE))

    async def read(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a short read of the store.

        SQLite answers from memory in a fraction of the time that a change of threads takes, and in WAL mode no writer
        delays it; a database over the network must not hold up the event loop.
        """
        if self.settings.store_url.startswith("sqlite"):
            return call(*args, **kwargs)
        return await run_in_threadpool(call, *args, **kwargs)

    def reader(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Callable[[], Awaitable[T]]:
        """Return a function that does `read` again and again."""
        return lambda: self.read(call, *args, **kwargs)


async def gateway(request: Request) -> Gateway:
    """Return the gateway that serves this request."""
    here: Gateway = request.app.state.gateway
    return here


Here = Annotated[Gateway, Depends(gateway)]


async def tenant(request: Request) -> str:
    """Return whose request this is.

    Raises:
        Unauthorized: Keys are set, and the request carries none of them.
    """
    here: Gateway = request.app.state.gateway
    if not here.settings.api_keys:
        return LOCAL_TENANT
    key = _given_key(request)
    if key is None:
        raise Unauthorized("send an API key as `Authorization: Bearer KEY` or `X-API-Key: KEY`")
    found = tenant_of(key, here.settings.api_keys)
    if found is None:
        raise Unauthorized("this API key is not known")
    return found


Tenant = Annotated[str, Depends(tenant)]


def _given_key(request: Request) -> str | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" and key.strip() else request.headers.get("x-api-key")


def tenant_of(key: str, api_keys: Mapping[str, str]) -> str | None:
    """Return the tenant whose key this is; takes equally long whichever digest matches, and whether one does."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
    found = None
    for known, owner in api_keys.items():
        if hmac.compare_digest(known.lower().encode(), digest.encode()):
            found = owner
    return found
