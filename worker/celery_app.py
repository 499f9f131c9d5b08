"""The Celery worker: it hears the bell, its threads drive the runners. Start it by `interplay worker`.

Celery's own limits, revocation and results are not used: leases, deadlines and cancels are rows of the job store.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_ready, worker_shutdown, worker_shutting_down

from jobs.logs import configure_logs
from jobs.queue import celery_config
from jobs.settings import Settings
from worker.desk import Desk, open_desk
from worker.pulse import Pulse

settings = Settings()
app = Celery("interplay", include=["worker.tasks"])
app.conf.update(celery_config(settings))
app.steps["consumer"].add(Pulse)


@cache
def desk() -> Desk:
    """Return this process's desk, opened at the first call: importing this module connects to nothing."""
    return open_desk(settings)


def _configure_logs(**_: Any) -> None:
    configure_logs(settings)


def _warm_up(**_: Any) -> None:
    desk().start()


def _stop(**_: Any) -> None:
    desk().stop()


def _close(**_: Any) -> None:
    desk().close()


# While anything is connected to it, Celery leaves the logs alone.
setup_logging.connect(_configure_logs)
worker_ready.connect(_warm_up)
worker_shutting_down.connect(_stop)
worker_shutdown.connect(_close)
