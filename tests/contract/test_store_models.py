"""The job store's models."""

from __future__ import annotations

import base64

import pytest

from jobs.errors import Conflict, IdempotencyMismatch, InvalidParameters, NotFound, RunnerCrashed
from jobs.schemas import JobKind, Manifest, Model, ModelStatus
from jobs.store import IdempotencyKey, JobStore
from tests.contract.rows import (
    INSPECTION,
    LEASE_SECONDS,
    MAX_ATTEMPTS,
    RETENTION_SECONDS,
    Clock,
    a_job,
    a_model,
    an_input,
    digest,
)

PROBLEM = RunnerCrashed("it died").problem()


def test_a_model_comes_back_as_it_was_added(store: JobStore):
    model = a_model()

    assert store.add_model(model) == (model, True)
    assert store.model(model.id, "a") == model


def test_a_model_is_hidden_from_other_tenants(store: JobStore, model: Model):
    with pytest.raises(NotFound):
        store.model(model.id, "b")
    with pytest.raises(NotFound):
        store.delete_model(model.id, "b")


def test_the_same_bytes_and_manifest_are_one_model(store: JobStore, model: Model):
    again = a_model(sha256=model.sha256, manifest=model.manifest)

    assert store.add_model(again) == (model, False)


def test_another_manifest_or_tenant_makes_another_model(store: JobStore, model: Model):
    renamed = a_model(sha256=model.sha256, manifest=Manifest(name="other", architecture="resnet18"))
    theirs = a_model(sha256=model.sha256, manifest=model.manifest, tenant="b")

    assert store.add_model(renamed)[1]
    assert store.add_model(theirs)[1]


def test_a_failed_model_is_replaced_when_it_is_uploaded_again(store: JobStore, model: Model):
    store.model_failed(model.id, PROBLEM)
    again = a_model(sha256=model.sha256, manifest=model.manifest)

    assert store.add_model(again) == (again, True)
    with pytest.raises(NotFound):
        store.model(model.id, "a")


def test_the_model_and_its_inspection_are_added_together(store: JobStore):
    model = a_model()
    inspection = a_job(model, kind=JobKind.INSPECTION)

    store.add_model(model, inspection=inspection)

    assert store.job(inspection.id, "a") == inspection


def test_a_key_brings_back_the_model_that_it_made(store: JobStore):
    key = IdempotencyKey("a", "key", "fingerprint")
    model = a_model()
    store.add_model(model, idempotency=key)

    assert store.add_model(a_model(), idempotency=key) == (model, False)
    assert store.replay(key) == model.id
    with pytest.raises(IdempotencyMismatch):
        store.add_model(a_model(), idempotency=IdempotencyKey("a", "key", "another"))


def test_a_key_is_recorded_for_a_model_that_was_there_already(store: JobStore, model: Model):
    key = IdempotencyKey("a", "key", "fingerprint")

    store.add_model(a_model(sha256=model.sha256, manifest=model.manifest), idempotency=key)

    assert store.replay(key) == model.id


def test_inspection_makes_a_model_ready_once(store: JobStore, model: Model):
    store.model_ready(model.id, weights_sha256=digest("weights"), inspection=INSPECTION)
    store.model_failed(model.id, PROBLEM)

    ready = store.model(model.id, "a")

    assert ready.status is ModelStatus.READY
    assert ready.weights_sha256 == digest("weights")
    assert ready.inspection == INSPECTION
    assert ready.error is None


def test_what_a_file_says_of_itself_is_kept_and_equal_uploads_are_still_told(store: JobStore):
    sent = a_model(manifest=Manifest.model_validate({"architecture": {"family": "onnx"}}))
    store.add_model(sent)
    spelled_out = Manifest.model_validate(
        {"architecture": {"family": "graph", "nodes": [{"name": "a", "type": "relu"}]}}
    )
    store.model_ready(sent.id, weights_sha256=digest("weights"), inspection=INSPECTION, manifest=spelled_out)

    kept, created = store.add_model(a_model(sha256=sent.sha256, manifest=sent.manifest))

    assert store.model(sent.id, "a").manifest == spelled_out
    assert (kept.id, created) == (sent.id, False)


def test_a_failed_model_stays_failed(store: JobStore, model: Model):
    store.model_failed(model.id, PROBLEM)
    store.model_ready(model.id, weights_sha256=digest("weights"), inspection=INSPECTION)

    failed = store.model(model.id, "a")

    assert (failed.status, failed.error, failed.weights_sha256) == (ModelStatus.FAILED, PROBLEM, None)


@pytest.mark.parametrize("ending", ["fail", "cancel", "canceled", "overdue"])
def test_a_model_fails_with_its_inspection(store: JobStore, clock: Clock, ending: str):
    model = a_model(job_id="job_inspection")
    store.add_model(model, inspection=a_job(model, id="job_inspection", kind=JobKind.INSPECTION))
    claim = {"worker": "w", "lease_seconds": LEASE_SECONDS, "max_attempts": MAX_ATTEMPTS}

    match ending:
        case "fail":
            store.claim("job_inspection", **claim)
            store.fail("job_inspection", 1, PROBLEM, retention_seconds=RETENTION_SECONDS)
        case "cancel":
            store.cancel("job_inspection", "a")
        case "canceled":
            store.claim("job_inspection", **claim)
            store.canceled("job_inspection", 1, retention_seconds=RETENTION_SECONDS)
        case "overdue":
            clock.now += 10_000
            store.reap(max_attempts=MAX_ATTEMPTS, ring_after_seconds=10, retention_seconds=RETENTION_SECONDS)

    failed = store.model(model.id, "a")
    assert failed.status is ModelStatus.FAILED
    assert failed.error is not None


def test_models_are_listed_newest_first_in_pages(store: JobStore):
    models = [a_model() for _ in range(5)]
    for model in models:
        store.add_model(model)
    store.add_model(a_model(tenant="b"))

    first = store.models("a", limit=3)
    second = store.models("a", limit=3, cursor=first.next_cursor)

    assert [*first.items, *second.items] == models[::-1]
    assert second.next_cursor is None


@pytest.mark.parametrize(
    "text", [f'[1{"0" * 330},"x"]', '[1,"\\ud800"]', '[NaN,"x"]', "[1,[2]]", '["1","x"]', '[1,""]']
)
def test_a_cursor_of_other_values_is_refused(store: JobStore, text: str):
    with pytest.raises(InvalidParameters, match="cursor"):
        store.models("a", limit=3, cursor=base64.urlsafe_b64encode(text.encode()).decode())


def test_a_cursor_that_nobody_gave_is_refused(store: JobStore):
    for cursor in ("", "x", "é", "W10=", "WzEsMiwzXQ==", "bnVsbA==", "W251bGwsMV0="):
        with pytest.raises(InvalidParameters):
            store.models("a", limit=3, cursor=cursor)


def test_a_model_in_use_is_not_deleted(store: JobStore, model: Model):
    job = store.add(a_job(model))

    with pytest.raises(Conflict, match=job.id):
        store.delete_model(model.id, "a")
    store.cancel(job.id, "a")

    assert store.delete_model(model.id, "a") == [model.sha256]
    with pytest.raises(NotFound):
        store.model(model.id, "a")


@pytest.mark.parametrize("claimed", [False, True])
def test_a_checkpoint_of_an_unfinished_job_is_not_deleted(store: JobStore, model: Model, claimed: bool):
    earlier, _ = store.add_model(a_model())
    job = store.add(a_job(model, checkpoint_ids=(earlier.id,)))
    if claimed:
        store.claim(job.id, worker="w", lease_seconds=LEASE_SECONDS, max_attempts=MAX_ATTEMPTS)

    with pytest.raises(Conflict, match=job.id):
        store.delete_model(earlier.id, "a")
    if claimed:
        store.canceled(job.id, 1, retention_seconds=RETENTION_SECONDS)
    else:
        store.cancel(job.id, "a")

    assert store.delete_model(earlier.id, "a") == [earlier.sha256]
    assert store.job(job.id, "a").checkpoint_ids == (earlier.id,)
    assert store.purge(job.id, "a") == []


def test_deleting_a_model_names_its_upload_and_its_weights(store: JobStore, model: Model):
    store.model_ready(model.id, weights_sha256=digest("weights"), inspection=INSPECTION)

    assert store.delete_model(model.id, "a") == sorted([model.sha256, digest("weights")])


def test_bytes_that_another_row_needs_are_not_named(store: JobStore, model: Model):
    """A second tenant has the same upload, and a job's input happens to be the weights."""
    store.model_ready(model.id, weights_sha256=digest("weights"), inspection=INSPECTION)
    theirs, _ = store.add_model(a_model(sha256=model.sha256, tenant="b"))
    job = store.add(a_job(theirs, input=an_input("weights")))

    assert store.delete_model(model.id, "a") == []
    store.cancel(job.id, "b")
    assert store.purge(job.id, "b") == [digest("weights")]
    assert store.delete_model(theirs.id, "b") == [model.sha256]
