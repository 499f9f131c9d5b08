"""Follow one attempt at a job in a runner until it ends, by itself or by force.

Four times a second the parent renews the lease, hands on progress, and looks for reasons to stop: a cancel, a lost
lease, the deadline, the memory limit, the worker's own shutdown. Between looks it sleeps on the runner's pipe, so an
answer is seen the moment it arrives.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

import structlog

from jobs.errors import DeadlineExceeded, OutOfMemory, StoreUnavailable
from jobs.schemas import Progress, ResumePoint
from jobs.settings import Settings
from jobs.store import JobStore
from worker.handle import Runner, RunnerDied
from worker.messages import Cancel, Canceled, Failed, Outcome, Ready, Saved, Work, Working

log = structlog.get_logger()

LOOK_SECONDS = 0.25
SHUTDOWN_GRACE_SECONDS = 2.0
"""What a job may still take when its worker stops; a short one ends well, a long one goes back to the queue at once."""


@dataclass(frozen=True)
class Died:
    """The runner ended in mid-job."""

    cause: str


@dataclass(frozen=True)
class Lost:
    """Another worker holds the job now: nothing may be written."""


@dataclass(frozen=True)
class GivenBack:
    """This worker stops: the job is to be computed elsewhere."""


Ending = Outcome | Died | Lost | GivenBack


class Attempt:
    """One computation, from the order to its ending.

    Args:
        stopping: Set when the worker shuts down.
        keep: Records where a training can be taken up again.
    """

    def __init__(
        self,
        order: Work,
        runner: Runner,
        *,
        store: JobStore,
        settings: Settings,
        stopping: Event,
        keep: Callable[[ResumePoint], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._order = order
        self._job = order.job
        self._runner = runner
        self._store = store
        self._settings = settings
        self._stopping = stopping
        self._keep = keep
        self._clock = clock
        self._progress: Progress | None = None
        self._next_look = time.monotonic() + LOOK_SECONDS
        self._canceled_at: float | None = None
        self._stopping_since: float | None = None

    def run(self) -> Ending:
        """Compute; return how it ended. Afterwards the runner is idle, or dead."""
        try:
            self._runner.send(self._order)
            while True:
                if (ending := self._listen() or self._look()) is not None:
                    return ending
        except RunnerDied as death:
            # A runner that dies of a cancel, or before it could obey one, has obeyed it.
            return Canceled() if self._canceled_at is not None else Died(str(death))

    def _listen(self) -> Outcome | None:
        reply = self._runner.receive(max(0.0, self._next_look - time.monotonic()))
        if isinstance(reply, Working):
            self._progress = reply.progress
            return None
        if isinstance(reply, Saved):
            self._keep(reply.point)
            return None
        return None if isinstance(reply, Ready) else reply

    def _look(self) -> Ending | None:
        if time.monotonic() < self._next_look:
            return None
        self._next_look = time.monotonic() + LOOK_SECONDS
        ending = self._beat() or self._over_limit() or self._shut_down()
        if ending is not None:
            self._runner.kill()
        return ending

    def _beat(self) -> Ending | None:
        """Renew the lease. A store that cannot be reached now may be later: computing goes on, the guard decides."""
        try:
            beat = self._store.heartbeat(
                self._job.id, self._job.attempt, lease_seconds=self._settings.lease_seconds, progress=self._progress
            )
        except StoreUnavailable as error:
            log.warning("heartbeat_failed", detail=error.detail)
            return None
        self._progress = None
        if not beat.alive:
            return Lost()
        return self._cancel() if beat.cancel_requested else None

    def _cancel(self) -> Canceled | None:
        """Ask the runner to stop; after the grace period, do not ask any more."""
        now = time.monotonic()
        if self._canceled_at is None:
            self._canceled_at = now
            self._runner.send(Cancel(job_id=self._job.id))
        return Canceled() if now - self._canceled_at >= self._settings.cancel_grace_seconds else None

    def _over_limit(self) -> Failed | None:
        if self._clock() >= self._job.deadline_at:
            return Failed(problem=DeadlineExceeded("The job was still computing at its deadline.").problem())
        limit = self._settings.runner_memory_limit_mib
        if limit is not None and self._runner.resident_mib() > limit:
            detail = f"The runner passed its limit of {limit} MiB; use a smaller input or cheaper parameters."
            return Failed(problem=OutOfMemory(detail).problem())
        return None

    def _shut_down(self) -> GivenBack | None:
        if not self._stopping.is_set():
            return None
        now = time.monotonic()
        self._stopping_since = self._stopping_since or now
        return GivenBack() if now - self._stopping_since >= SHUTDOWN_GRACE_SECONDS else None
