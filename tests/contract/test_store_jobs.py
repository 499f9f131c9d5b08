"""The job store's jobs, as the gateway uses them."""

from __future__ import annotations

import pytest

from jobs.errors import Conflict, IdempotencyMismatch, InvalidParameters, NotFound, StoreUnavailable
from jobs.schemas import Cost, Job, Model, Progress, Status, Target
from jobs.store import IdempotencyKey, JobStore
from tests.contract.rows import (
    LEASE_SECONDS,
    MAX_ATTEMPTS,
    NOW,
    RETENTION_SECONDS,
    Clock,
    a_job,
    a_model,
    an_artifact,
    an_input,
    digest,
)

DAY_SECONDS = 24 * 3600.0


def claim(store: JobStore, job: Job) -> Job:
    claimed = store.claim(job.id, worker="w", lease_seconds=LEASE_SECONDS, max_attempts=MAX_ATTEMPTS)
    assert claimed is not None
    return claimed


def succeed(store: JobStore, job: Job, artifact: str = "result") -> None:
    attempt = claim(store, job).attempt
    assert store.succeed(
        job.id, attempt, artifacts=[an_artifact(artifact)], timings={}, cost=Cost(), device="cpu",
        retention_seconds=RETENTION_SECONDS,
    )  # fmt: skip


def test_a_job_comes_back_as_it_was_added(store: JobStore, model: Model):
    job = a_job(
        model,
        input=an_input("cat"),
        target=Target(index=3, against=5),
        samples=(an_input("dog"), an_input("cow")),
        params={"preset": "paper", "nested": {"list": [1, 2.5, None, "é"]}},
        seed=2**63 - 1,
        priority="batch",
        tags=("b", "a"),
        content_key="k",
        progress=Progress(fraction=0.1, stage="path", eta_seconds=1 / 3),
        created_at=NOW + 1 / 3,
    )

    assert store.add(job) == job
    assert store.job(job.id, "a") == job
    assert store.job(job.id, None) == job


def test_a_job_is_hidden_from_other_tenants(store: JobStore, model: Model):
    job = store.add(a_job(model))

    for question in (store.job, store.cancel, store.purge):
        with pytest.raises(NotFound):
            question(job.id, "b")


def test_a_job_needs_a_model_of_its_tenant(store: JobStore, model: Model):
    with pytest.raises(NotFound, match="model"):
        store.add(a_job(a_model()))
    with pytest.raises(NotFound, match="model"):
        store.add(a_job(model, tenant="b"))


def test_a_job_brings_its_checkpoints_back_in_their_order(store: JobStore, model: Model):
    earlier = [store.add_model(a_model())[0].id for _ in range(3)][::-1]
    job = a_job(model, checkpoint_ids=tuple(earlier))

    store.add(job)

    assert store.job(job.id, "a") == job


def test_a_job_needs_checkpoints_of_its_tenant(store: JobStore, model: Model):
    theirs, _ = store.add_model(a_model(tenant="b"))

    for missing in (a_model().id, theirs.id):
        with pytest.raises(NotFound, match=missing):
            store.add(a_job(model, checkpoint_ids=(model.id, missing)))
    assert store.queued_count("a") == 0


def test_an_id_is_given_once(store: JobStore, model: Model):
    job = store.add(a_job(model))

    with pytest.raises(Conflict):
        store.add(a_job(model, id=job.id))


def test_a_key_makes_one_job(store: JobStore, model: Model):
    key = IdempotencyKey("a", "key", "fingerprint")
    job = store.add(a_job(model), idempotency=key)
    claim(store, job)

    again = store.add(a_job(model), idempotency=key)

    assert (again.id, again.status) == (job.id, Status.RUNNING)
    assert len(store.jobs("a", limit=10).items) == 1
    assert store.replay(key) == job.id


def test_a_key_with_another_request_is_refused(store: JobStore, model: Model):
    store.add(a_job(model), idempotency=IdempotencyKey("a", "key", "fingerprint"))
    other = IdempotencyKey("a", "key", "another")

    with pytest.raises(IdempotencyMismatch):
        store.replay(other)
    with pytest.raises(IdempotencyMismatch):
        store.add(a_job(model), idempotency=other)


def test_a_key_belongs_to_a_tenant(store: JobStore, model: Model):
    theirs, _ = store.add_model(a_model(tenant="b"))
    store.add(a_job(model), idempotency=IdempotencyKey("a", "key", "x"))

    job = store.add(a_job(theirs), idempotency=IdempotencyKey("b", "key", "y"))

    assert store.replay(IdempotencyKey("b", "key", "y")) == job.id


def test_a_key_is_forgotten_after_a_day(store: JobStore, model: Model, clock: Clock):
    first = store.add(a_job(model), idempotency=IdempotencyKey("a", "key", "x"))
    clock.now += DAY_SECONDS
    second_key = IdempotencyKey("a", "key", "y")

    assert store.replay(second_key) is None
    second = store.add(a_job(model), idempotency=second_key)

    assert second.id != first.id
    assert store.replay(second_key) == second.id


def test_a_key_is_forgotten_with_its_job(store: JobStore, model: Model):
    key = IdempotencyKey("a", "key", "x")
    job = store.add(a_job(model), idempotency=key)
    store.cancel(job.id, "a")
    store.purge(job.id, "a")

    assert store.replay(key) is None


def test_a_refused_job_leaves_its_key_free(store: JobStore, model: Model):
    key = IdempotencyKey("a", "key", "x")
    with pytest.raises(NotFound):
        store.add(a_job(a_model()), idempotency=key)

    assert store.replay(key) is None


def test_an_equal_job_that_succeeded_is_preferred(store: JobStore, model: Model):
    succeeded, _running, _queued = (store.add(a_job(model, content_key="k")) for _ in range(3))
    succeed(store, succeeded)
    claim(store, _running)

    found = store.find_equal("a", "k")

    assert found is not None
    assert found.id == succeeded.id


def test_an_equal_job_under_way_is_found(store: JobStore, model: Model):
    job = store.add(a_job(model, content_key="k"))

    assert store.find_equal("a", "k") == job


def test_what_failed_or_goes_away_is_not_an_equal_job(store: JobStore, model: Model, clock: Clock):
    canceled, stopping, expiring = (store.add(a_job(model, content_key="k")) for _ in range(3))
    store.cancel(canceled.id, "a")
    claim(store, stopping)
    store.cancel(stopping.id, "a")
    succeed(store, expiring)
    clock.now += RETENTION_SECONDS

    assert store.find_equal("a", "k") is None
    assert store.find_equal("b", "k") is None


def test_the_queue_is_counted_per_tenant_and_ordered_over_all(store: JobStore, model: Model):
    theirs, _ = store.add_model(a_model(tenant="b"))
    first, second = store.add(a_job(theirs)), store.add(a_job(model))
    batch = store.add(a_job(model, priority="batch"))
    third = store.add(a_job(model))

    assert store.queued_count("a") == 3
    assert [store.queue_position(job) for job in (first, second, third, batch)] == [0, 1, 2, 0]
    claim(store, first)
    assert store.queue_position(third) == 1


def test_jobs_are_listed_newest_first_in_pages(store: JobStore, model: Model):
    """Two of them were made in the same instant: the id decides."""
    jobs = [store.add(a_job(model)) for _ in range(6)]
    jobs.append(store.add(a_job(model, created_at=jobs[-1].created_at)))

    listed: list[Job] = []
    cursor = None
    while True:
        page = store.jobs("a", limit=2, cursor=cursor)
        listed += page.items
        if (cursor := page.next_cursor) is None:
            break

    assert listed == jobs[::-1]


def test_a_page_is_stable_while_jobs_are_added(store: JobStore, model: Model):
    jobs = [store.add(a_job(model)) for _ in range(4)]
    first = store.jobs("a", limit=2)
    store.add(a_job(model))

    assert store.jobs("a", limit=2, cursor=first.next_cursor).items == jobs[1::-1]


def test_jobs_are_filtered(store: JobStore, model: Model):
    other, _ = store.add_model(a_model())
    plain = store.add(a_job(model))
    tagged = store.add(a_job(model, tags=("x", "y", "x")))
    elsewhere = store.add(a_job(other, method="nid"))
    claim(store, plain)

    def listed(**filters: object) -> list[str]:
        return [job.id for job in store.jobs("a", limit=10, **filters).items]

    assert listed(status=Status.RUNNING) == [plain.id]
    assert listed(method="nid") == [elsewhere.id]
    assert listed(model=other.id) == [elsewhere.id]
    assert listed(tag="x") == [tagged.id]
    assert listed(tag="x", status=Status.RUNNING) == []
    assert [job.id for job in store.jobs("b", limit=10).items] == []


def test_a_cursor_that_nobody_gave_is_refused(store: JobStore):
    with pytest.raises(InvalidParameters, match="cursor"):
        store.jobs("a", limit=3, cursor="bad")


def test_a_queued_job_is_canceled_at_once(store: JobStore, model: Model):
    job = store.add(a_job(model))

    canceled = store.cancel(job.id, "a")

    assert (canceled.status, canceled.finished_at) == (Status.CANCELED, NOW)
    assert store.claim(job.id, worker="w", lease_seconds=LEASE_SECONDS, max_attempts=MAX_ATTEMPTS) is None


def test_a_running_job_is_asked_to_stop(store: JobStore, model: Model):
    job = store.add(a_job(model))
    claim(store, job)

    asked, again = store.cancel(job.id, "a"), store.cancel(job.id, "a")

    assert (asked.status, asked.cancel_requested) == (Status.RUNNING, True)
    assert again == asked
    assert store.heartbeat(job.id, 1, lease_seconds=LEASE_SECONDS, progress=None).cancel_requested


def test_a_finished_job_is_not_canceled(store: JobStore, model: Model):
    job = store.add(a_job(model))
    succeed(store, job)

    with pytest.raises(Conflict, match="succeeded"):
        store.cancel(job.id, "a")


def test_an_unfinished_job_is_not_purged(store: JobStore, model: Model):
    job = store.add(a_job(model))

    with pytest.raises(Conflict, match="queued"):
        store.purge(job.id, "a")


def test_a_job_protects_the_bytes_of_every_sample(store: JobStore, model: Model):
    samples = (an_input("dog"), an_input("cow"), an_input("dog"))
    job = store.add(a_job(model, input=an_input("cat"), samples=samples))
    other = store.add(a_job(model, input=an_input("cow")))
    for one in (job, other):
        store.cancel(one.id, "a")

    assert store.purge(job.id, "a") == sorted([digest("cat"), digest("dog")])
    assert store.purge(other.id, "a") == [digest("cow")]


def test_purging_names_the_bytes_that_nothing_needs_any_more(store: JobStore, model: Model):
    first = store.add(a_job(model, input=an_input("cat"), tags=("x",)))
    second = store.add(a_job(model, input=an_input("cat")))
    succeed(store, first, "same")
    succeed(store, second, "same")

    assert store.purge(first.id, "a") == []
    assert store.purge(second.id, "a") == sorted([digest("cat"), digest("same")])
    with pytest.raises(NotFound):
        store.job(first.id, "a")


def test_a_result_that_is_its_own_input_is_named_once(store: JobStore, model: Model):
    job = store.add(a_job(model, input=an_input("cat")))
    succeed(store, job, "cat")

    assert store.purge(job.id, "a") == [digest("cat")]


def test_bytes_that_are_needed_again_are_not_discarded(store: JobStore, model: Model):
    deleted: list[str] = []
    store.add(a_job(model, input=an_input("cat")))

    store.discard([digest("cat"), digest("dog"), *(digest(f"{n}") for n in range(100))], deleted.append)

    assert digest("cat") not in deleted
    assert len(deleted) == len(set(deleted)) == 101


@pytest.mark.parametrize("url", ["sqlite:////dev/null/jobs.db", "sqlite:////proc/jobs.db"])
def test_a_store_that_cannot_be_opened_is_unavailable(url: str):
    with pytest.raises(StoreUnavailable):
        JobStore(url)


def test_a_key_can_lead_to_a_job_that_was_there_already(store: JobStore, model: Model):
    job, other = store.add(a_job(model)), store.add(a_job(model))
    key = IdempotencyKey("a", "key", "x")

    assert store.remember(key, job) == job
    assert store.remember(key, other) == job
    assert store.replay(key) == job.id
    with pytest.raises(IdempotencyMismatch):
        store.remember(IdempotencyKey("a", "key", "y"), job)
