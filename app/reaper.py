"""The reaper: a thread of the gateway that gives every few seconds what nobody else is there to give.

Each round puts deserted jobs back, ends those that nobody will end, rings for those that wait unheard, and deletes
what outlived its retention. Every gateway has one; several at once do no harm.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from threading import Event, Thread

import structlog

from jobs.artifacts import ArtifactStore
from jobs.errors import InfrastructureError
from jobs.queue import Queue
from jobs.schemas import Job
from jobs.settings import Settings
from jobs.store import JobStore, Reaped

log = structlog.get_logger()

RING_AFTER_ROUNDS = 2
"""A queued job that nobody has claimed by then may have been rung for in vain."""

SWEEP_SECONDS = 3600.0
"""Between two searches for bytes without a row, and the age at which bytes have had time to get one."""


class Reaper:
    """Runs rounds in a thread of its own, from `start` to `stop`; an error ends a round, never the thread."""

    def __init__(self, store: JobStore, artifacts: ArtifactStore, queue: Queue, settings: Settings) -> None:
        self._store = store
        self._artifacts = artifacts
        self._queue = queue
        self._settings = settings
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="reaper", daemon=True)
        self._swept_at = -math.inf  # the first round sweeps: gateways that restart often would never come to it

    def start(self) -> None:
        """Begin with a round at once: after a restart there may be jobs to put back."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the round at hand."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.round()
            except InfrastructureError as error:
                log.warning("reaper_round_failed", code=error.code, detail=error.detail)
            except Exception:  # an unforeseen row must not leave the service without its reaper
                log.exception("reaper_round_failed")
            self._stopping.wait(self._settings.reaper_interval_seconds)

    def round(self) -> Reaped:
        """Do all that is due now.

        Raises:
            InfrastructureError: A store or the queue failed; what is left is done in a later round.
        """
        reaped = self._store.reap(
            max_attempts=self._settings.max_attempts,
            ring_after_seconds=RING_AFTER_ROUNDS * self._settings.reaper_interval_seconds,
            retention_seconds=self._settings.retention_hours * 3600.0,
        )
        _report(reaped)
        self._discard(reaped.unreferenced)
        self._ring(reaped.ring)
        if time.monotonic() - self._swept_at >= SWEEP_SECONDS:
            self._sweep()
        return reaped

    def _discard(self, sha256s: Iterable[str]) -> None:
        self._store.discard(sha256s, self._artifacts.delete)

    def _ring(self, jobs: list[Job]) -> None:
        rung: list[str] = []
        try:
            for job in jobs:
                self._queue.ring(job)
                rung.append(job.id)
        finally:
            if rung:
                self._store.rung(rung)

    def _sweep(self) -> None:
        self._discard(self._artifacts.older_than(SWEEP_SECONDS))
        self._swept_at = time.monotonic()


def _report(reaped: Reaped) -> None:
    counts = {
        "put_back": reaped.put_back,
        "failed": reaped.failed,
        "expired": reaped.expired,
        "deleted": reaped.deleted,
        "rung": len(reaped.ring),
    }
    if any(counts.values()):
        log.info("reaped", **counts)
