"""The trainers of a worker: threads with a runner each, beside the slots, so that hours of training delay nobody.

A bell wakes them, and they also look by themselves every few seconds: a bell may ring in a worker whose trainers are
all busy, or behind an explanation that takes long. The job store is the truth; each training is claimed once.
"""

from __future__ import annotations

from threading import Event, Thread
from typing import Protocol

import structlog

from jobs.errors import StoreUnavailable
from jobs.schemas import Job
from worker.handle import Runner

log = structlog.get_logger()

LOOK_SECONDS = 2.0

STOP_SECONDS = 10.0
"""Above what a stopping attempt may still take; see `worker.attempt`."""


class Work(Protocol):
    """What a trainer does with the jobs that it finds."""

    def next_training(self) -> Job | None:
        """Claim the training that comes first; None when there is none."""

    def compute(self, job: Job, runner: Runner) -> None:
        """Make one attempt at a claimed job, and record how it ended."""


class Trainers:
    """Threads that carry out trainings, from `start` to `close`."""

    def __init__(self, runners: list[Runner], stopping: Event) -> None:
        self._runners = runners
        self._stopping = stopping
        self._bell = Event()
        self._threads: list[Thread] = []

    def start(self, work: Work) -> None:
        """Begin to look for trainings; a runner is started with its first one."""
        for number, runner in enumerate(self._runners):
            thread = Thread(target=self._run, args=(work, runner), name=f"trainer-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def wake(self) -> None:
        """Let an idle trainer look now."""
        self._bell.set()

    def close(self) -> None:
        """Wait until the attempts under way are given back, and end the runners."""
        self.wake()
        for thread in self._threads:
            thread.join(STOP_SECONDS)
        for runner in self._runners:
            runner.close()

    def _run(self, work: Work, runner: Runner) -> None:
        while not self._stopping.is_set():
            self._bell.wait(LOOK_SECONDS)
            self._bell.clear()
            try:
                self._work_off(work, runner)
            except StoreUnavailable as error:
                log.warning("trainer_failed", detail=error.detail)
            except Exception:  # an unforeseen row must not leave the worker without its trainer
                log.exception("trainer_failed")

    def _work_off(self, work: Work, runner: Runner) -> None:
        while not self._stopping.is_set() and (job := work.next_training()):
            runner.start()
            work.compute(job, runner)
            if runner.worn_out:
                runner.close()
