"""The `Report` that a runner hands to methods: progress at a readable rate, and where a cancel takes effect."""

from __future__ import annotations

import time
from collections.abc import Callable

from jobs.schemas import Progress

INTERVAL_SECONDS = 0.25


class JobCanceled(Exception):
    """Raised out of `report()`; unwinds the computation to the runner's loop."""


class Meter:
    """Callable as `report(stage, done, total)`.

    A new stage is sent at once, further progress of a stage every `INTERVAL_SECONDS`.

    Args:
        send: Takes a `Progress` to the parent.
        canceled: Whether the caller no longer wants the job.
    """

    def __init__(
        self,
        send: Callable[[Progress], None],
        canceled: Callable[[], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._canceled = canceled
        self._clock = clock
        self._stage: str | None = None
        self._began = 0.0
        self._sent = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Note that `done` of `total` units of `stage` are computed; `total` is 0 while unknown.

        Raises:
            JobCanceled: The job is no longer wanted.
        """
        if self._canceled():
            raise JobCanceled
        now = self._clock()
        if stage != self._stage:
            self._stage, self._began = stage, now
        elif now - self._sent < INTERVAL_SECONDS:
            return
        self._sent = now
        self._send(_progress(stage, done, total, now - self._began))


def _progress(stage: str, done: int, total: int, elapsed: float) -> Progress:
    remaining = elapsed * (total - done) / done if 0 < done <= total else None
    fraction = min(done / total, 1.0) if total else 0.0
    return Progress(fraction=fraction, stage=stage, done=done, total=total, eta_seconds=remaining)
