"""The store's datasets and trainings, as every implementation must keep them."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.datasets import Column, Dataset, DatasetInspection, DatasetManifest, DatasetStatus
from jobs.errors import ArtifactsUnavailable, Conflict, IdempotencyMismatch, InvalidInput, NotFound
from jobs.schemas import Job, JobKind, Model, ModelStatus, ResumePoint, Status, TrainingSetup
from jobs.store import IdempotencyKey, JobStore
from tests.contract.rows import (
    INSPECTION,
    LEASE_SECONDS,
    MAX_ATTEMPTS,
    NOW,
    RETENTION_SECONDS,
    RING_AFTER_SECONDS,
    Clock,
    a_job,
    a_model,
    an_artifact,
    digest,
)

FOUND = DatasetInspection(
    kind="table", format="csv", task="binary", rows=10, target="y", classes=("a", "b"), class_counts=(4, 6),
    columns=(Column(name="x", type="numeric", mean=0.5), Column(name="y", type="categorical", cardinality=2)),
)  # fmt: skip


def a_dataset(word: str = "rows", **fields: Any) -> Dataset:
    defaults = {
        "id": f"dataset_{word}", "tenant": "a", "status": DatasetStatus.INSPECTING,
        "manifest": DatasetManifest(name=word), "sha256": digest(word), "size_bytes": 4, "created_at": NOW,
    }  # fmt: skip
    return Dataset.model_validate(defaults | fields)


def a_training(dataset: Dataset, **fields: Any) -> Job:
    given = {"kind": JobKind.TRAINING, "dataset_id": dataset.id, "model_id": None, "method": "classifier",
             "training": TrainingSetup(architecture="resnet18")}  # fmt: skip
    return a_job(a_model(), **(given | fields))


def an_inspection(dataset: Dataset, **fields: Any) -> Job:
    given = {"kind": JobKind.INSPECTION, "dataset_id": dataset.id, "model_id": None, "method": None}
    return a_job(a_model(), **(given | fields))


def claimed(store: JobStore, job: Job) -> Job:
    found = store.claim(job.id, worker="w", lease_seconds=LEASE_SECONDS, max_attempts=MAX_ATTEMPTS)
    assert found is not None
    return found


def succeed(store: JobStore, job: Job, **more: Any) -> bool:
    return store.succeed(
        job.id, job.attempt, **{"artifacts": [], **more}, timings={}, cost=None, device="cpu",
        retention_seconds=RETENTION_SECONDS,
    )  # fmt: skip


def a_point(word: str, epoch: int = 1) -> ResumePoint:
    return ResumePoint(sha256=digest(word), size_bytes=len(word), epoch=epoch, saved_at=NOW)


@pytest.fixture
def dataset(store: JobStore) -> Dataset:
    return store.add_dataset(a_dataset())[0]


def test_a_dataset_is_read_as_it_was_added(store: JobStore):
    dataset = a_dataset(inspection=FOUND, status=DatasetStatus.READY, data_sha256=digest("data"), data_bytes=9)

    assert store.add_dataset(dataset) == (dataset, True)
    assert store.dataset(dataset.id, "a") == dataset
    with pytest.raises(NotFound):
        store.dataset(dataset.id, "b")


def test_equal_datasets_are_one_and_a_failed_one_is_replaced(store: JobStore, dataset: Dataset):
    assert store.add_dataset(a_dataset(id="dataset_2")) == (dataset, False)
    other = store.add_dataset(a_dataset(id="dataset_3", manifest=DatasetManifest(name="other")))
    assert other[1]

    failed = a_dataset("failed", status=DatasetStatus.FAILED)
    store.add_dataset(failed)
    assert store.add_dataset(failed.model_copy(update={"id": "dataset_4"}))[1]
    with pytest.raises(NotFound):
        store.dataset(failed.id, "a")


def test_a_key_leads_to_the_dataset_that_it_made(store: JobStore):
    key = IdempotencyKey("a", "k", "f")
    made, _ = store.add_dataset(a_dataset(), idempotency=key)

    assert store.add_dataset(a_dataset("other"), idempotency=key) == (made, False)
    with pytest.raises(IdempotencyMismatch):
        store.add_dataset(a_dataset("third"), idempotency=IdempotencyKey("a", "k", "g"))


def test_an_inspection_makes_a_dataset_ready_once(store: JobStore, dataset: Dataset):
    store.dataset_ready(dataset.id, data_sha256=digest("data"), data_bytes=7, inspection=FOUND)
    store.dataset_ready(dataset.id, data_sha256=digest("late"), data_bytes=8, inspection=FOUND)

    found = store.dataset(dataset.id, "a")
    assert (found.status, found.inspection, found.data_sha256, found.data_bytes) == (
        DatasetStatus.READY, FOUND, digest("data"), 7,
    )  # fmt: skip


def test_a_dataset_whose_bytes_are_gone_does_not_become_ready(store: JobStore, dataset: Dataset):
    with pytest.raises(ArtifactsUnavailable):
        store.dataset_ready(
            dataset.id, data_sha256=digest("data"), data_bytes=7, inspection=FOUND, exists=lambda _: False
        )
    assert store.dataset(dataset.id, "a").status is DatasetStatus.INSPECTING


@pytest.mark.parametrize("ending", ["fail", "cancel", "expire"])
def test_an_inspection_that_ends_otherwise_fails_its_dataset(store: JobStore, clock: Clock, ending: str):
    dataset = a_dataset()
    job = an_inspection(dataset)
    store.add_dataset(dataset.model_copy(update={"job_id": job.id}), inspection=job)
    if ending == "fail":
        problem = InvalidInput("row 3").problem()
        store.fail(job.id, claimed(store, job).attempt, problem, retention_seconds=RETENTION_SECONDS)
    elif ending == "cancel":
        store.cancel(job.id, "a")
    else:
        clock.now = job.deadline_at + 1
        store.reap(max_attempts=MAX_ATTEMPTS, ring_after_seconds=RING_AFTER_SECONDS, retention_seconds=1)

    found = store.dataset(dataset.id, "a")
    assert found.status is DatasetStatus.FAILED
    assert found.error is not None


def test_a_dataset_is_not_deleted_while_a_job_uses_it(store: JobStore, dataset: Dataset):
    store.dataset_ready(dataset.id, data_sha256=digest("data"), data_bytes=7, inspection=FOUND)
    job = store.add(a_training(dataset))
    with pytest.raises(Conflict, match=job.id):
        store.delete_dataset(dataset.id, "a")

    store.cancel(job.id, "a")
    with pytest.raises(NotFound):
        store.delete_dataset(dataset.id, "b")
    assert sorted(store.delete_dataset(dataset.id, "a")) == sorted([digest("rows"), digest("data")])


def test_a_training_needs_a_dataset_of_its_tenant(store: JobStore, dataset: Dataset):
    with pytest.raises(NotFound, match="dataset"):
        store.add(a_training(dataset, tenant="b"))
    with pytest.raises(NotFound, match="dataset"):
        store.add(a_training(dataset, dataset_id="dataset_x"))


def test_jobs_are_found_by_their_dataset(store: JobStore, dataset: Dataset):
    job = store.add(a_training(dataset))

    assert [one.id for one in store.jobs("a", dataset=dataset.id, limit=5).items] == [job.id]
    assert store.job(job.id, "a").training == TrainingSetup(architecture="resnet18")


def test_the_next_training_is_the_urgent_or_the_oldest_that_is_queued(store: JobStore, dataset: Dataset, clock: Clock):
    assert store.next_training() is None
    first, second = (store.add(a_training(dataset, priority="batch")) for _ in range(2))
    urgent = store.add(a_training(dataset, priority="interactive"))
    late = store.add(a_training(dataset, priority="interactive", created_at=NOW - 9, deadline_at=clock.now - 1))

    for expected in (urgent, first, second):
        assert store.next_training() == expected.id
        claimed(store, expected)
    assert store.next_training() is None
    assert store.job(late.id, "a").status is Status.QUEUED


def test_trainings_and_others_do_not_queue_for_each_other(store: JobStore, dataset: Dataset, model: Model):
    store.add(a_job(model, priority="batch"))
    first, second = (store.add(a_training(dataset, priority="batch")) for _ in range(2))
    other = store.add(a_job(model, priority="batch"))

    assert [store.queue_position(job) for job in (first, second, other)] == [0, 1, 1]


# ---------------------------------------------------------------- save points


def test_a_save_point_is_there_for_the_next_attempt(store: JobStore, dataset: Dataset):
    job = claimed(store, store.add(a_training(dataset)))
    assert store.save_resume_point(job.id, job.attempt, a_point("one")) == []
    assert store.save_resume_point(job.id, job.attempt, a_point("two", 2)) == [digest("one")]
    store.release(job.id, job.attempt)

    again = claimed(store, job)
    assert (again.attempt, again.resume) == (2, a_point("two", 2))


def test_the_same_state_saved_again_is_kept(store: JobStore, dataset: Dataset):
    job = claimed(store, store.add(a_training(dataset)))
    store.save_resume_point(job.id, job.attempt, a_point("one"))

    assert store.save_resume_point(job.id, job.attempt, a_point("one", 2)) == []


def test_a_late_attempt_saves_nothing_and_its_bytes_are_given_back(store: JobStore, dataset: Dataset, clock: Clock):
    late = claimed(store, store.add(a_training(dataset)))
    clock.now += LEASE_SECONDS + 1
    now = claimed(store, late)
    store.save_resume_point(now.id, now.attempt, a_point("new"))

    assert store.save_resume_point(late.id, late.attempt, a_point("late")) == [digest("late")]
    assert store.save_resume_point(late.id, late.attempt, a_point("new")) == []
    assert store.job(now.id, "a").resume == a_point("new")


def test_a_save_point_whose_bytes_are_gone_is_not_recorded(store: JobStore, dataset: Dataset):
    job = claimed(store, store.add(a_training(dataset)))
    store.save_resume_point(job.id, job.attempt, a_point("one"))

    with pytest.raises(ArtifactsUnavailable):
        store.save_resume_point(job.id, job.attempt, a_point("two"), exists=lambda _: False)
    assert store.job(job.id, "a").resume == a_point("one")


def test_success_lets_the_save_point_go_and_failure_keeps_it(store: JobStore, dataset: Dataset):
    jobs = [claimed(store, store.add(a_training(dataset))) for _ in range(2)]
    for number, job in enumerate(jobs):
        store.save_resume_point(job.id, job.attempt, a_point(f"state {number}"))
    succeed(store, jobs[0])
    store.fail(jobs[1].id, 1, InvalidInput("no").problem(), retention_seconds=RETENTION_SECONDS)

    assert [store.job(job.id, "a").resume for job in jobs] == [None, a_point("state 1")]
    assert [store.drop_save_points(job.id) for job in jobs] == [[digest("state 0")], []]
    assert store.purge(jobs[1].id, "a") == [digest("state 1")]


def test_a_save_point_that_is_also_a_result_stays(store: JobStore, dataset: Dataset):
    job = claimed(store, store.add(a_training(dataset)))
    store.save_resume_point(job.id, job.attempt, a_point("both"))
    succeed(store, job, artifacts=[an_artifact("both")])

    assert store.drop_save_points(job.id) == []


def test_a_job_added_with_a_save_point_needs_its_bytes(store: JobStore, dataset: Dataset):
    job = claimed(store, store.add(a_training(dataset)))
    store.save_resume_point(job.id, job.attempt, a_point("state"))
    store.fail(job.id, 1, InvalidInput("no").problem(), retention_seconds=RETENTION_SECONDS)
    again = store.add(a_training(dataset, resume=a_point("state"), retry_of=job.id))

    assert store.purge(job.id, "a") == []
    store.cancel(again.id, "a")
    assert store.purge(again.id, "a") == [digest("state")]


# ---------------------------------------------------------------- new models


def trained(job: Job, word: str = "weights") -> Model:
    return a_model(
        status=ModelStatus.READY, sha256=digest(word), weights_sha256=digest(word), inspection=INSPECTION,
        trained_by=job.id,
    )  # fmt: skip


def test_a_training_adds_its_models_with_its_result(store: JobStore, dataset: Dataset):
    job = claimed(store, store.add(a_training(dataset)))
    model = trained(job)

    assert succeed(store, job, models=[model])
    assert store.model(model.id, "a") == model
    assert store.delete_model(model.id, "a") == [digest("weights")]


def test_a_late_attempt_adds_no_model(store: JobStore, dataset: Dataset, clock: Clock):
    late = claimed(store, store.add(a_training(dataset)))
    clock.now += LEASE_SECONDS + 1
    claimed(store, late)

    assert not succeed(store, late, models=[trained(late)])
    assert store.models("a", limit=5).items == []


def test_a_model_whose_weights_are_gone_is_not_added(store: JobStore, dataset: Dataset):
    job = claimed(store, store.add(a_training(dataset)))

    with pytest.raises(ArtifactsUnavailable):
        succeed(store, job, models=[trained(job)], exists=lambda _: False)
    assert store.job(job.id, "a").status is Status.RUNNING


def test_two_trainings_that_end_alike_have_a_model_each(store: JobStore, dataset: Dataset):
    """Each result names its own; deleting one leaves the other, and its bytes."""
    models = []
    for _ in range(2):
        job = claimed(store, store.add(a_training(dataset)))
        models.append(trained(job))
        models[-1] = models[-1].model_copy(update={"manifest": models[0].manifest})
        assert succeed(store, job, models=[models[-1]])

    assert store.delete_model(models[0].id, "a") == []
    assert store.model(models[1].id, "a") == models[1]
