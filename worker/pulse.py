"""A worker's pulse: a beat of the loop that consumes messages, so that a worker gone deaf is seen to be ill."""

from __future__ import annotations

from typing import Any

from celery import bootsteps

from jobs import pulse
from jobs.settings import Settings


class Pulse(bootsteps.StartStopStep):  # type: ignore[misc]
    """A step of Celery's consumer: it beats while, and only while, there is a connection to the broker."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        settings = Settings()
        pulse.beat(settings)
        self._timer = consumer.timer.call_repeatedly(pulse.BEAT_SECONDS, pulse.beat, (settings,))

    def stop(self, consumer: Any) -> None:  # noqa: ARG002
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
