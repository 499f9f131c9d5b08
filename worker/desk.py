"""A worker's desk: a job id comes in from the queue, an attempt is made in a runner, its ending is recorded."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Event

import structlog

from jobs.artifacts import ArtifactStore
from jobs.errors import NotFound
from jobs.queue import Queue
from jobs.schemas import Job, JobKind
from jobs.settings import Settings
from jobs.store import JobStore
from worker.attempt import Attempt, Ending
from worker.handle import Runner
from worker.messages import Compute, Examine, Failed, Train, Work
from worker.record import Recorder
from worker.runner import open_execution
from worker.slots import Slots
from worker.trainer import Trainers

log = structlog.get_logger()

TRAINER_NICE = 10
"""How far a training steps back for explanations that share its cores."""


def open_desk(settings: Settings) -> Desk:
    """Connect to the store and the queue, and lay out one runner per slot (none is started yet)."""
    store = JobStore(settings.store_url)
    runners = [Runner(settings, partial(open_execution, slot=slot)) for slot in range(settings.slots)]
    recorder = Recorder(store, Queue(settings), settings, ArtifactStore(settings.bytes_url))
    stopping = Event()
    # After the slots' numbers, so that on a machine of several GPUs a trainer has one that no slot has, if it can.
    places = range(settings.slots, settings.slots + settings.training_slots)
    own = [Runner(settings, partial(open_execution, slot=slot, nice=TRAINER_NICE)) for slot in places]
    return Desk(settings, store, recorder, Slots(runners), Trainers(own, stopping), stopping=stopping)


@dataclass(frozen=True)
class Desk:
    """What the threads of one Celery worker share."""

    settings: Settings
    store: JobStore
    recorder: Recorder
    slots: Slots
    trainers: Trainers
    name: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    stopping: Event = field(default_factory=Event)

    def handle(self, job_id: str) -> None:
        """Make one attempt at a job, if it is there to be computed.

        Safe to call twice with one id, as a redelivered message does: whoever claims the row first computes.

        Raises:
            StoreUnavailable: Nothing could be claimed or recorded; the reaper rings again.
        """
        with structlog.contextvars.bound_contextvars(job=job_id):
            if self.stopping.is_set():
                self._pass_on(job_id)
            elif job := self._claim(job_id):
                # Recorded before the runner is given back, which may mean to replace it: the caller waits for the row.
                with self.slots.borrow() as runner:
                    self.compute(job, runner)

    def start(self) -> None:
        """Warm the runners up, and let the trainers look for work."""
        self.slots.start()
        self.trainers.start(self)

    def wake_trainers(self) -> None:
        """Let an idle trainer look now."""
        self.trainers.wake()

    def next_training(self) -> Job | None:
        """Claim the training that comes first; None when there is none."""
        while (job_id := self.store.next_training()) is not None:
            if job := self._claim(job_id):
                return job
            if self.store.next_training() == job_id:
                return None  # it was attempted too often; the reaper ends it
        return None

    def compute(self, job: Job, runner: Runner) -> None:
        """Make one attempt at a claimed job, and record how it ended."""
        with structlog.contextvars.bound_contextvars(job=job.id):
            self.recorder.record(job, self._attempt(job, runner))

    def stop(self) -> None:
        """Take no more jobs, and give back those that do not end within moments."""
        self.stopping.set()
        self.slots.stop_replacing()

    def close(self) -> None:
        """Stop, and end the runners."""
        self.stop()
        self.trainers.close()
        self.slots.close()

    def _attempt(self, job: Job, runner: Runner) -> Ending:
        try:
            order = self._order(job)
        except NotFound as error:
            return Failed(problem=error.problem())
        keep = partial(self.recorder.keep, job)
        return Attempt(order, runner, store=self.store, settings=self.settings, stopping=self.stopping, keep=keep).run()

    def _order(self, job: Job) -> Work:
        """Say what the runner is to do; every model and dataset is read as one of the job's tenant."""
        if job.dataset_id is not None:
            dataset = self.store.dataset(job.dataset_id, job.tenant)
            if job.kind is JobKind.INSPECTION:
                return Examine(job=job, dataset=dataset)
            start = self.store.model(job.model_id, job.tenant) if job.model_id is not None else None
            return Train(job=job, dataset=dataset, model=start)
        assert job.model_id is not None  # noqa: S101  # explanations and inspections of models name one
        model, *checkpoints = (self.store.model(one, job.tenant) for one in (job.model_id, *job.checkpoint_ids))
        return Compute(job=job, model=model, checkpoints=tuple(checkpoints))

    def _claim(self, job_id: str) -> Job | None:
        return self.store.claim(
            job_id,
            worker=self.name,
            lease_seconds=self.settings.lease_seconds,
            max_attempts=self.settings.max_attempts,
        )

    def _pass_on(self, job_id: str) -> None:
        """Ring again for a message that reached this worker too late."""
        with suppress(NotFound):
            self.recorder.ring(self.store.job(job_id, None))
