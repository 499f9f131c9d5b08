"""The gateway: an ASGI application over the job store, the artifact store and the queue."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from app import errors, openapi
from app.deps import Gateway
from app.guard import Guard
from app.predictor_cache import PredictorCache
from app.reaper import Reaper
from app.routes import (
    datasets,
    explanations,
    health,
    interactions,
    jobs,
    methods,
    models,
    pages,
    predictions,
    states,
    trainings,
)
from jobs.artifacts import ArtifactStore
from jobs.private_folder import make_private
from jobs.queue import Queue
from jobs.settings import Settings
from jobs.store import JobStore

ABANDONED_SECONDS = 24 * 3600.0  # an upload that is spooled for so long belongs to a gateway that was killed


def create_app(settings: Settings, *, queue: Queue | None = None) -> FastAPI:
    """Return the gateway's application; it opens its stores when it is started.

    Args:
        queue: In place of the one that the settings name.

    Raises:
        ValueError: The settings would let others reach an unprotected service.
    """
    settings.check_exposure()
    app = FastAPI(lifespan=_lifespan(settings, queue), docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_middleware(Guard, settings=settings)
    errors.install(app)
    # Routes are tried one after the other; status reads are by far the most frequent.
    for module in (
        jobs,
        interactions,
        explanations,
        states,
        predictions,
        models,
        datasets,
        trainings,
        methods,
        health,
        pages,
    ):
        app.include_router(module.router)
    openapi.describe(app)
    return app


Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def _lifespan(settings: Settings, queue: Queue | None) -> Lifespan:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        here = await run_in_threadpool(_open, settings, queue)
        reaper = Reaper(here.store, here.artifacts, here.queue, settings)
        reaper.start()
        app.state.gateway = here
        try:
            yield
        finally:
            await run_in_threadpool(reaper.stop)
            here.queue.close()
            here.store.close()

    return lifespan


def _open(settings: Settings, queue: Queue | None) -> Gateway:
    return Gateway(
        settings=settings,
        store=JobStore(settings.store_url),
        artifacts=ArtifactStore(settings.bytes_url),
        queue=queue or Queue(settings),
        spool=_spool_folder(settings),
        predictors=PredictorCache(settings.predictor_cache_mib << 20),
    )


def _spool_folder(settings: Settings) -> Path:
    """Return the folder of uploads that are arriving, without those that a killed gateway left there."""
    folder = make_private(settings.data_dir.resolve() / "spool")
    for left in folder.iterdir():
        if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
            left.unlink(missing_ok=True)
    return folder
