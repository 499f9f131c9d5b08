"""From a doorbell's job id to the row's final state, over the real store and real runners."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from jobs.artifacts import ArtifactStore
from jobs.errors import NotFound, QueueUnavailable, StoreUnavailable
from jobs.schemas import Job, JobKind, Status
from jobs.settings import Settings
from jobs.store import JobStore
from tests.unit.worker import scripts
from worker.desk import Desk
from worker.handle import Runner
from worker.record import Recorder
from worker.slots import Slots
from worker.trainer import Trainers

GRACE_SECONDS = 0.4


class Bell:
    """A queue that only counts."""

    def __init__(self) -> None:
        self.rung: list[str] = []

    def ring(self, job: Job) -> None:
        self.rung.append(job.id)


class BrokenBell(Bell):
    def ring(self, job: Job) -> None:
        raise QueueUnavailable("no broker")


class Workplace:
    """A desk and what it works with."""

    def __init__(self, folder: Path, **settings: object) -> None:
        settings = {"lease_seconds": 2.0, "cancel_grace_seconds": GRACE_SECONDS, "torch_threads": 1, **settings}
        self.settings = Settings(data_dir=folder, **settings)  # type: ignore[arg-type]
        self.store = JobStore(self.settings.store_url)
        self.store.add_model(scripts.MODEL)
        self.bell = Bell()
        slots = Slots([Runner(self.settings, scripts.open_scripts) for _ in range(self.settings.slots)])
        self.artifacts = ArtifactStore(self.settings.bytes_url)
        recorder = Recorder(self.store, self.bell, self.settings, self.artifacts)  # type: ignore[arg-type]
        stopping = Event()
        own = [Runner(self.settings, scripts.open_scripts) for _ in range(self.settings.training_slots)]
        trainers = Trainers(own, stopping)
        self.desk = Desk(self.settings, self.store, recorder, slots, trainers, stopping=stopping)

    def add(self, method: str, **changes: object) -> Job:
        changes = {"status": Status.QUEUED, "attempt": 0, **changes}
        return self.store.add(scripts.job(method, **changes))

    def handle(self, method: str, **changes: object) -> Job:
        job = self.add(method, **changes)
        self.desk.handle(job.id)
        return self.read()

    @contextmanager
    def handling(self, method: str) -> Iterator[Job]:
        """Handle a job in the background, from when it is claimed until it has ended."""
        job = self.add(method)
        thread = Thread(target=self.desk.handle, args=(job.id,))
        thread.start()
        self.wait_for(lambda: self.read().status is Status.RUNNING)
        yield job
        thread.join(scripts.PATIENCE_SECONDS)
        assert not thread.is_alive()

    def read(self) -> Job:
        return self.store.job("job_1", None)

    def wait_for(self, condition: object) -> None:
        until = time.monotonic() + scripts.PATIENCE_SECONDS
        while not condition():  # type: ignore[operator]
            assert time.monotonic() < until, "waited too long"
            time.sleep(0.01)


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    with opened(tmp_path) as workplace:
        yield workplace


@contextmanager
def opened(folder: Path, **settings: object) -> Iterator[Workplace]:
    workplace = Workplace(folder, **settings)
    workplace.desk.start()
    try:
        yield workplace
    finally:
        workplace.desk.close()
        workplace.store.close()


def test_a_job_is_computed_and_recorded(workplace: Workplace) -> None:
    job = workplace.handle("finish")

    assert job.status is Status.SUCCEEDED
    assert job.attempt == 1
    assert job.cost is not None
    assert job.cost.forwards == 1
    assert job.expires_at is not None


def test_a_second_message_for_the_same_job_changes_nothing(workplace: Workplace) -> None:
    done = workplace.handle("finish")

    workplace.desk.handle(done.id)

    assert workplace.read() == done


def test_a_message_for_a_job_that_is_gone_is_ignored(workplace: Workplace) -> None:
    workplace.desk.handle("job_unknown")


def test_the_caller_s_mistake_fails_the_job_at_once(workplace: Workplace) -> None:
    job = workplace.handle("refuse")

    assert (job.status, job.attempt) == (Status.FAILED, 1)
    assert job.error is not None
    assert job.error.code == "invalid-input"


def test_a_job_whose_runner_dies_is_rung_for_again_and_fails_after_the_last_attempt(workplace: Workplace) -> None:
    first = workplace.handle("kill_itself")
    assert (first.status, first.attempt, workplace.bell.rung) == (Status.QUEUED, 1, ["job_1"])

    workplace.desk.handle("job_1")
    workplace.desk.handle("job_1")

    last = workplace.read()
    assert (last.status, last.attempt) == (Status.FAILED, 3)
    assert last.error is not None
    assert last.error.code == "runner-crashed"
    assert "SIGKILL" in last.error.detail


def test_a_failing_store_of_bytes_is_tried_again_later_but_not_for_ever(workplace: Workplace) -> None:
    first = workplace.handle("fail_to_store")
    assert (first.status, workplace.bell.rung) == (Status.QUEUED, [])

    workplace.desk.handle("job_1")
    workplace.desk.handle("job_1")

    last = workplace.read()
    assert last.status is Status.FAILED
    assert last.error is not None
    assert last.error.code == "artifacts-unavailable"


def test_a_bell_that_cannot_be_rung_is_left_to_the_reaper(workplace: Workplace) -> None:
    broken = BrokenBell()
    recorder = Recorder(workplace.store, broken, workplace.settings, workplace.artifacts)  # type: ignore[arg-type]
    desk = Desk(workplace.settings, workplace.store, recorder, workplace.desk.slots, workplace.desk.trainers)
    workplace.add("kill_itself")

    desk.handle("job_1")

    assert workplace.read().status is Status.QUEUED


def test_a_cancel_stops_a_computation_that_reports(workplace: Workplace) -> None:
    with workplace.handling("count") as job:
        workplace.store.cancel(job.id, job.tenant)

    assert workplace.read().status is Status.CANCELED


def test_a_cancel_ends_a_runner_that_does_not_listen(workplace: Workplace) -> None:
    began = time.monotonic()
    with workplace.handling("hang") as job:
        workplace.store.cancel(job.id, job.tenant)

    assert workplace.read().status is Status.CANCELED
    assert time.monotonic() - began >= GRACE_SECONDS


def test_after_a_killed_runner_the_next_job_is_computed(workplace: Workplace) -> None:
    with workplace.handling("hang") as job:
        workplace.store.cancel(job.id, job.tenant)
    workplace.store.purge(job.id, job.tenant)

    assert workplace.handle("finish").status is Status.SUCCEEDED


def test_progress_reaches_the_row_and_the_lease_is_renewed(workplace: Workplace) -> None:
    with workplace.handling("count") as job:
        claimed = workplace.read()
        workplace.wait_for(lambda: workplace.read().progress.done > 0)
        running = workplace.read()
        workplace.store.cancel(job.id, job.tenant)

    assert running.progress.stage == "counting"
    assert running.lease_until is not None
    assert claimed.lease_until is not None
    assert running.lease_until > claimed.lease_until


def test_a_job_is_stopped_at_its_deadline(workplace: Workplace) -> None:
    deadline = time.time() + 0.5

    job = workplace.handle("hang", deadline_at=deadline)

    assert job.status is Status.FAILED
    assert job.error is not None
    assert job.error.code == "deadline-exceeded"
    assert job.finished_at is not None
    assert deadline <= job.finished_at


def test_a_runner_above_its_memory_limit_is_stopped(tmp_path: Path) -> None:
    with opened(tmp_path, runner_memory_limit_mib=300) as workplace:
        job = workplace.handle("eat_memory")

    assert job.status is Status.FAILED
    assert job.error is not None
    assert job.error.code == "out-of-memory"


def test_a_worker_that_stops_gives_its_job_back_uncounted_and_rings(workplace: Workplace) -> None:
    with workplace.handling("hang"):
        workplace.desk.stop()

    job = workplace.read()
    assert (job.status, workplace.bell.rung) == (Status.QUEUED, ["job_1"])
    assert (job.attempt, job.excused) == (1, 1)


def test_a_worker_that_stops_passes_on_what_it_hears_too_late(workplace: Workplace) -> None:
    workplace.desk.stop()

    job = workplace.handle("finish")

    assert (job.status, workplace.bell.rung) == (Status.QUEUED, ["job_1"])


def test_a_result_of_an_attempt_that_was_lost_is_not_written(workplace: Workplace) -> None:
    with workplace.handling("hang") as job:
        workplace.store.release(job.id, 1)
        again = workplace.store.claim(job.id, worker="another", lease_seconds=60, max_attempts=3)

    assert again is not None
    assert workplace.read() == again


def test_a_store_that_is_away_for_a_moment_costs_no_result(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    succeed = workplace.store.succeed
    failures = iter([StoreUnavailable("away"), StoreUnavailable("away")])

    def flaky(*args: object, **kwargs: object) -> bool:
        for failure in failures:
            raise failure
        return succeed(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(workplace.store, "succeed", flaky)
    monkeypatch.setattr("worker.record.RETRY_SECONDS", 0.01)

    assert workplace.handle("finish").status is Status.SUCCEEDED


def test_a_store_that_is_away_during_the_computation_does_not_stop_it(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(workplace.store, "heartbeat", away)

    assert workplace.handle("nap").status is Status.SUCCEEDED


def test_every_slot_computes_its_own_job(tmp_path: Path) -> None:
    with opened(tmp_path, slots=2) as workplace:
        jobs = [workplace.add("nap", id=f"job_{number}") for number in (1, 2)]
        threads = [Thread(target=workplace.desk.handle, args=(job.id,)) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(scripts.PATIENCE_SECONDS)
        ended = [workplace.store.job(job.id, None) for job in jobs]

    assert [job.status for job in ended] == [Status.SUCCEEDED] * 2
    assert ended[0].timings["pid"] != ended[1].timings["pid"]


def test_a_worn_out_runner_is_replaced(tmp_path: Path) -> None:
    with opened(tmp_path, runner_recycle_jobs=1) as workplace:
        first = workplace.handle("finish")
        workplace.store.purge(first.id, first.tenant)
        second = workplace.handle("finish")

    assert second.status is Status.SUCCEEDED
    assert first.timings["pid"] != second.timings["pid"]


def test_every_checkpoint_is_sent_to_the_runner_in_order(workplace: Workplace) -> None:
    ids = ("model_9", "model_8")
    for model_id in ids:
        workplace.store.add_model(scripts.MODEL.model_copy(update={"id": model_id, "sha256": model_id}))
    job = workplace.add("finish", checkpoint_ids=ids)

    order = workplace.desk._order(job)

    assert (order.model.id, tuple(model.id for model in order.checkpoints)) == ("model_1", ids)


def test_a_checkpoint_of_another_tenant_reaches_no_runner(workplace: Workplace) -> None:
    """The store adds no such job; even so, the worker asks for every model as the job's tenant."""
    theirs = scripts.MODEL.model_copy(update={"id": "model_9", "sha256": "9", "tenant": "other"})
    workplace.store.add_model(theirs)

    with pytest.raises(NotFound):
        workplace.desk._order(scripts.job("finish", checkpoint_ids=("model_9",)))


# ---------------------------------------------------------------- trainings


def a_training(workplace: Workplace, method: str, **changes: object) -> Job:
    """A queued training on a dataset that is ready."""
    workplace.store.add_dataset(scripts.DATASET)
    training = {"kind": JobKind.TRAINING, "dataset_id": scripts.DATASET.id, "model_id": None, **changes}
    return workplace.add(method, **training)


def test_a_training_is_carried_out_beside_the_slots(workplace: Workplace) -> None:
    """The only slot is busy; the training ends all the same."""
    with workplace.handling("count") as job:
        training = a_training(workplace, "finish", id="job_2")
        workplace.desk.wake_trainers()
        workplace.wait_for(lambda: workplace.store.job(training.id, None).status is Status.SUCCEEDED)
        assert workplace.read().status is Status.RUNNING
        workplace.store.cancel(job.id, job.tenant)


@pytest.fixture
def without_trainers(tmp_path: Path) -> Iterator[Workplace]:
    """A workplace where the test itself is the trainer."""
    with opened(tmp_path / "other", training_slots=0) as workplace:
        yield workplace


def test_trainings_come_by_priority_and_then_by_age(without_trainers: Workplace) -> None:
    found: list[str] = []
    old = a_training(without_trainers, "finish", id="job_1", priority="batch", created_at=time.time() - 60)
    new = a_training(without_trainers, "finish", id="job_2", priority="batch")
    urgent = a_training(without_trainers, "finish", id="job_3", priority="interactive")
    while job := without_trainers.desk.next_training():
        found.append(job.id)

    assert found == [urgent.id, old.id, new.id]


def test_where_a_training_was_saved_the_next_attempt_goes_on(workplace: Workplace) -> None:
    """The first attempt saves and dies; the second is told where, and its success lets the bytes go."""
    training = a_training(workplace, "save_and_die")
    workplace.desk.wake_trainers()
    sha256 = scripts.saved_point().sha256
    workplace.wait_for(lambda: workplace.read().status is Status.SUCCEEDED)
    workplace.wait_for(lambda: not workplace.artifacts.exists(sha256))

    done = workplace.read()
    assert (done.id, done.attempt, done.timings, done.resume) == (training.id, 2, {"epoch": 3.0}, None)


def test_a_training_that_failed_keeps_its_save_point(workplace: Workplace) -> None:
    a_training(workplace, "save_and_refuse")
    workplace.desk.wake_trainers()
    workplace.wait_for(lambda: workplace.read().status is Status.FAILED)

    kept = workplace.read().resume
    assert kept is not None
    assert workplace.artifacts.exists(kept.sha256)


def test_models_that_a_training_made_are_rows_when_it_has_succeeded(workplace: Workplace) -> None:
    training = a_training(workplace, "make_a_model")
    workplace.desk.wake_trainers()
    workplace.wait_for(lambda: workplace.read().status is Status.SUCCEEDED)

    model = workplace.store.model("model_new", training.tenant)
    assert (model.status, model.trained_by, model.job_id) == ("ready", training.id, None)


def test_a_training_of_a_dataset_that_is_gone_fails(without_trainers: Workplace) -> None:
    desk = without_trainers.desk
    a_training(without_trainers, "finish")
    claimed = desk.next_training()
    assert claimed is not None
    runner = Runner(without_trainers.settings, scripts.open_scripts)  # never started: there is nothing to compute
    desk.compute(claimed.model_copy(update={"dataset_id": "dataset_x"}), runner)

    failed = without_trainers.read()
    assert failed.status is Status.FAILED
    assert failed.error is not None
    assert failed.error.code == "not-found"


def test_an_idle_trainer_looks_without_a_bell(workplace: Workplace) -> None:
    a_training(workplace, "finish")

    workplace.wait_for(lambda: workplace.read().status is Status.SUCCEEDED)


def test_a_training_is_given_back_when_the_worker_stops(tmp_path: Path) -> None:
    with opened(tmp_path) as workplace:
        a_training(workplace, "count")
        workplace.desk.wake_trainers()
        workplace.wait_for(lambda: workplace.read().progress.done > 0)
        workplace.desk.stop()
        workplace.desk.close()

        assert workplace.read().status is Status.QUEUED
        assert workplace.read().excused == 1
