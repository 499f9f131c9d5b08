"""Write the ending of an attempt into the job store: the one place where a running job's row advances."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import assert_never

import structlog

from jobs.artifacts import ArtifactStore
from jobs.errors import ArtifactsUnavailable, Problem, QueueUnavailable, RunnerCrashed, StoreUnavailable, from_problem
from jobs.queue import Queue
from jobs.schemas import Job, JobKind, Model, ModelStatus, ResumePoint
from jobs.settings import Settings
from jobs.store import JobStore
from jobs.trainings import TrainedModel
from worker.attempt import Died, Ending, GivenBack, Lost
from worker.messages import Canceled, Examined, Failed, Finished, Inspected

log = structlog.get_logger()

RETRY_SECONDS = 0.5
"""Between two tries to reach a store that is away."""


@dataclass(frozen=True)
class Recorder:
    """Records endings. Every write is guarded by the attempt's number: that of a late attempt changes nothing."""

    store: JobStore
    queue: Queue
    settings: Settings
    artifacts: ArtifactStore

    def record(self, job: Job, ending: Ending) -> None:
        """Advance `job` as `ending` demands; keep trying for as long as the lease lasts where the store is away.

        Raises:
            StoreUnavailable: It stayed away; the lease runs out and the reaper puts the job back.
        """
        until = time.monotonic() + self.settings.lease_seconds
        while True:
            try:
                written = self._advance(job, ending)
                log.info("job_ended", how=type(ending).__name__.lower(), attempt=job.attempt, written=written)
                return
            except StoreUnavailable as error:
                if time.monotonic() >= until:
                    raise
                log.warning("record_failed", detail=error.detail)
                time.sleep(RETRY_SECONDS)

    def _advance(self, job: Job, ending: Ending) -> bool:
        match ending:
            case Finished() | Inspected() | Examined():
                return self._succeed(job, ending)
            case Failed():
                return self._fail_or_retry(job, ending.problem)
            case Died():
                return self._died(job, ending)
            case Canceled():
                return self.store.canceled(job.id, job.attempt, retention_seconds=self._retention)
            case GivenBack():
                return self._release(job, ring=True, counts=False)
            case Lost():
                return False
            case _:
                assert_never(ending)

    def _succeed(self, job: Job, ending: Finished | Inspected | Examined) -> bool:
        """Record a result whose files are there; one whose files went with an equal result is made again."""
        try:
            if isinstance(ending, Inspected):
                self._make_ready(job, ending)
            elif isinstance(ending, Examined):
                self._make_dataset_ready(job, ending)
            return self._record_result(job, ending)
        except ArtifactsUnavailable as error:
            return self._fail_or_retry(job, error.problem())

    def _make_ready(self, job: Job, ending: Inspected) -> None:
        assert job.model_id is not None  # noqa: S101  # only the inspection of a model ends like this
        self.store.model_ready(
            job.model_id,
            weights_sha256=ending.weights_sha256,
            manifest=ending.manifest,
            inspection=ending.inspection,
            exists=self.artifacts.exists,
        )

    def _make_dataset_ready(self, job: Job, ending: Examined) -> None:
        assert job.dataset_id is not None  # noqa: S101  # only the inspection of a dataset ends like this
        self.store.dataset_ready(
            job.dataset_id,
            data_sha256=ending.data_sha256,
            data_bytes=ending.data_bytes,
            inspection=ending.inspection,
            exists=self.artifacts.exists,
        )

    def _record_result(self, job: Job, ending: Finished | Inspected | Examined) -> bool:
        result = ending if isinstance(ending, Finished) else None
        written = self.store.succeed(
            job.id,
            job.attempt,
            artifacts=result.artifacts if result else (),
            timings=ending.timings,
            cost=result.cost if result else None,
            device=ending.device,
            retention_seconds=self._retention,
            models=[_row(job, model) for model in result.models] if result else (),
            exists=self.artifacts.exists,
        )
        if job.kind is JobKind.TRAINING:  # it has no inputs, only what it was saved in and its files
            self.store.discard(self.store.drop_save_points(job.id), self.artifacts.delete)
        return written

    def keep(self, job: Job, point: ResumePoint) -> None:
        """Record where a training can be taken up again; where that fails, the point before stays."""
        try:
            gone = self.store.save_resume_point(job.id, job.attempt, point, exists=self.artifacts.exists)
            self.store.discard(gone, self.artifacts.delete)
        except (StoreUnavailable, ArtifactsUnavailable) as error:
            log.warning("resume_point_lost", epoch=point.epoch, detail=error.detail)

    def _fail_or_retry(self, job: Job, problem: Problem) -> bool:
        if from_problem(problem).retryable and self._has_attempts_left(job):
            # Not rung: the reaper rings it after a while, which gives what was unavailable time to come back.
            return self._release(job, ring=False)
        return self._fail(job, problem)

    def _died(self, job: Job, ending: Died) -> bool:
        log.error("runner_died", cause=ending.cause, attempt=job.attempt)
        if self._has_attempts_left(job):
            return self._release(job, ring=True)
        detail = f"The runner died in each of {job.attempt - job.excused} attempt(s). {ending.cause}"
        return self._fail(job, RunnerCrashed(detail).problem())

    def _fail(self, job: Job, problem: Problem) -> bool:
        return self.store.fail(job.id, job.attempt, problem, retention_seconds=self._retention)

    def _release(self, job: Job, *, ring: bool, counts: bool = True) -> bool:
        written = self.store.release(job.id, job.attempt, counts=counts)
        if written and ring:
            self.ring(job)
        return written

    def ring(self, job: Job) -> None:
        """Ring for a job that is queued; a bell that cannot be rung is left to the reaper."""
        try:
            self.queue.ring(job)
        except QueueUnavailable as error:
            log.warning("ring_failed", detail=error.detail)

    def _has_attempts_left(self, job: Job) -> bool:
        return job.attempt - job.excused < self.settings.max_attempts

    @property
    def _retention(self) -> float:
        return self.settings.retention_hours * 3600.0


def _row(job: Job, model: TrainedModel) -> Model:
    """Return the row of a model that a training made: as ready as one that was uploaded and inspected."""
    return Model(
        **model.model_dump(include={"id", "weights_sha256", "size_bytes"}),
        tenant=job.tenant,
        status=ModelStatus.READY,
        manifest=model.manifest,
        sha256=model.weights_sha256,
        created_at=time.time(),
        inspection=model.inspection,
        trained_by=job.id,
    )
