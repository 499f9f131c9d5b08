"""The doorbell: tells workers, through Celery, that a job waits. A message carries the job's id and nothing else.

The job store is the truth. A bell that was not heard costs time and never a job, for the reaper rings again; one
that rings twice is harmless, for a job is claimed once.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu import entity
from kombu.exceptions import KombuError

from jobs import transport
from jobs.errors import QueueUnavailable
from jobs.schemas import Job, JobKind
from jobs.settings import Settings

TASK = "interplay.run"
TRAIN_TASK = "interplay.train"
EXCHANGE = "interplay"
QUEUES = ("interactive", "batch")

POLLING_INTERVAL_SECONDS = 0.01
CONNECT_TIMEOUT_SECONDS = 2.0

_IMPATIENT = {"socket_timeout": CONNECT_TIMEOUT_SECONDS, "retry_on_timeout": False}
"""Where a worker listens for half a minute, a request that rings must not wait for a broker that hangs.
The embedded transport knows neither option and ignores both."""

transport.register()


class Queue:
    """Rings for jobs; threads may share it. Connections are kept and renewed when the broker comes back."""

    def __init__(self, settings: Settings) -> None:
        self._celery = Celery("interplay", set_as_current=False)
        self._celery.conf.update(celery_config(settings))
        self._celery.conf.broker_transport_options |= _IMPATIENT

    def ring(self, job: Job) -> None:
        """Tell the workers that `job` waits.

        Raises:
            QueueUnavailable: The broker cannot be reached, which is known after a few seconds. The job is not lost:
                it stays queued, and the reaper rings for it later. A request that has added the job may answer as
                if the bell had rung.
        """
        try:
            # Trainings wait for trainers, which this wakes, and not for slots.
            task = TRAIN_TASK if job.kind is JobKind.TRAINING else TASK
            self._celery.send_task(task, args=[job.id], queue=job.priority, ignore_result=True)
        except (KombuError, OSError) as error:
            raise QueueUnavailable(f"The queue cannot be reached: {error}") from error

    def ping(self) -> None:
        """Raise `QueueUnavailable` unless the broker answers; it takes at most a few seconds."""
        try:
            with self._celery.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, interval_start=0)
        except (KombuError, OSError) as error:
            raise QueueUnavailable(f"The queue cannot be reached: {error}") from error

    def close(self) -> None:
        """Close the connections."""
        self._celery.close()


def celery_config(settings: Settings) -> dict[str, Any]:
    """Celery's configuration, for the gateway's producer and for the worker."""
    embedded = settings.queue_url.startswith("interplay+")
    return {
        "broker_url": settings.queue_url,
        "broker_transport_options": _embedded_options() if embedded else _redis_options(settings),
        "broker_connection_timeout": CONNECT_TIMEOUT_SECONDS,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # a worker waits for its broker for as long as it takes
        # One more try: a kept connection may have died with the broker's last process.
        "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1},
        "task_queues": [_queue(name) for name in QUEUES],
        "task_default_queue": QUEUES[0],
        "task_default_exchange": EXCHANGE,
        "task_default_routing_key": QUEUES[0],
        "task_create_missing_queues": False,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_ignore_result": True,
        # The job's lease decides what is run again, not the broker: a message is acknowledged when its job has
        # ended, and is dropped, not repeated, when its worker dies.
        "task_acks_late": True,
        "task_reject_on_worker_lost": False,
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_soft_shutdown_timeout": settings.cancel_grace_seconds,
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "timezone": "UTC",
    }


def _queue(name: str) -> entity.Queue:
    # The exchange and key are spelled out, for Celery would give every queue without them the same default key.
    exchange = entity.Exchange(EXCHANGE)  # type: ignore[no-untyped-call]
    return entity.Queue(name, exchange, routing_key=name)  # type: ignore[no-untyped-call]


def _embedded_options() -> dict[str, Any]:
    return {"polling_interval": POLLING_INTERVAL_SECONDS}


def _redis_options(settings: Settings) -> dict[str, Any]:
    return {
        # Redis would deliver a message again that is not acknowledged for so long; no job runs for longer.
        "visibility_timeout": max(settings.deadline_seconds, settings.training_deadline_seconds) + 3600,
        "socket_connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "socket_timeout": 30,
        "socket_keepalive": True,
        "health_check_interval": 25,
        "retry_on_timeout": True,
    }
