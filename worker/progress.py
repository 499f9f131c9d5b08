"""The `Report` that a runner hands to methods: progress at a readable rate, and where a cancel takes effect."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from jobs.schemas import Progress, ResumePoint

INTERVAL_SECONDS = 0.25


class JobCanceled(Exception):
    """Raised out of `report()`; unwinds the computation to the runner's loop."""


class Meter:
    """Callable as `report(stage, done, total)`.

    A new stage is sent at once, further progress of a stage every `INTERVAL_SECONDS`.

    Args:
        send: Takes a `Progress` to the parent.
        canceled: Whether the caller no longer wants the job.
        keep: Takes a training's `ResumePoint` to the parent.
    """

    def __init__(
        self,
        send: Callable[[Progress], None],
        canceled: Callable[[], bool],
        *,
        keep: Callable[[ResumePoint], None] = lambda point: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.keep = keep
        self._send = send
        self._canceled = canceled
        self._clock = clock
        self._stage: str | None = None
        self._began = 0.0
        self._before = 0
        self._sent = 0.0

    def __call__(self, stage: str, done: int, total: int, metrics: Mapping[str, float] | None = None) -> None:
        """Note that `done` of `total` units of `stage` are computed; `total` is 0 while unknown.

        Args:
            metrics: Of a training, such as loss and accuracy; those that are not finite are left out.

        Raises:
            JobCanceled: The job is no longer wanted.
        """
        if self._canceled():
            raise JobCanceled
        now = self._clock()
        if stage != self._stage:
            self._stage, self._began, self._before = stage, now, done
        elif now - self._sent < INTERVAL_SECONDS:
            return
        self._sent = now
        progress = _progress(stage, done, total, done - self._before, now - self._began)
        finite = {name: value for name, value in (metrics or {}).items() if math.isfinite(value)}
        self._send(progress.model_copy(update={"metrics": finite}) if finite else progress)


def _progress(stage: str, done: int, total: int, since: int, elapsed: float) -> Progress:
    """Return the progress; a training that was taken up again did `since` of the `done` units in `elapsed`."""
    remaining = elapsed * (total - done) / since if since > 0 and done <= total else None
    fraction = min(done / total, 1.0) if total else 0.0
    return Progress(fraction=fraction, stage=stage, done=done, total=total, eta_seconds=remaining)
