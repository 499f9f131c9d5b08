"""How every process of Interplay logs: structlog through stdlib, one line an event, to standard error."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import Processor

from jobs.settings import Settings

CHATTY = ("celery.app.trace", "celery.worker.strategy")
"""Celery's two lines for every message; the worker logs what became of the job."""


def configure_logs(settings: Settings) -> None:
    """Send structlog and stdlib records (uvicorn's and celery's too) through one formatter."""
    shared = _shared_processors(settings.log_format)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_renderers(settings.log_format))
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _shared_processors(log_format: str) -> list[Processor]:
    timestamps = structlog.processors.TimeStamper(fmt="iso", utc=True)
    tracebacks: list[Processor] = [structlog.processors.format_exc_info] if log_format == "json" else []
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        timestamps,
        *tracebacks,
    ]


def _renderers(log_format: str) -> list[Processor]:
    renderer: Processor = structlog.processors.JSONRenderer()
    if log_format == "console":
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    return [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
