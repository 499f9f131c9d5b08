"""Trainings over HTTP: checked before they cost anything, then a job like any other."""

from __future__ import annotations

import re

import pytest

from jobs.datasets import Column, DatasetInspection
from jobs.errors import NumericalError
from jobs.schemas import ResumePoint
from tests.unit.app.service import (
    DATASET_INSPECTION,
    INSPECTION,
    claimed,
    fail,
    features_manifest,
    finish,
    image_manifest,
    inspect,
    read_dataset,
    safetensors,
    upload,
    upload_dataset,
)

MLP = {"family": "sequential", "layers": [{"type": "linear", "outputs": 1}]}
IMAGES = DatasetInspection(
    kind="images", format="npz", task="binary", rows=50, classes=("a", "b"), class_counts=(20, 30), shape=(3, 8, 8)
)


@pytest.fixture
def dataset_id(client, here) -> str:
    made: str = upload_dataset(client).json()["id"]
    read_dataset(here, made)
    return made


@pytest.fixture
def images_id(client, here) -> str:
    made: str = upload_dataset(client, manifest={"name": "images"}).json()["id"]
    read_dataset(here, made, IMAGES)
    return made


@pytest.fixture
def train(client, dataset_id):
    def post(headers=None, **changes):
        body = {"method": "fitter", "dataset": dataset_id, "architecture": MLP, **changes}
        return client.post("/v1/trainings", json=body, headers=headers or {})

    return post


def test_a_training_is_queued_with_completed_parameters(train, queue, dataset_id):
    answer = train(name="mine", tags=["t"], seed=3)

    job = answer.json()
    assert answer.status_code == 202
    assert (job["kind"], job["method"], job["params"], job["seed"]) == (
        "training",
        "fitter",
        {"epochs": 30, "ranges": []},
        3,
    )
    assert (job["dataset"], job["model"], job["priority"]) == (dataset_id, None, "batch")
    assert (job["training"]["name"], job["training"]["architecture"]["family"]) == ("mine", "sequential")
    assert job["links"]["dataset"] == f"/v1/datasets/{dataset_id}"
    assert queue.rung[-1].id == job["id"]


def test_a_dataset_in_use_is_not_deleted(client, train, dataset_id):
    train()

    assert client.delete(f"/v1/datasets/{dataset_id}").status_code == 409
    assert client.get(f"/v1/jobs?dataset={dataset_id}").json()["items"][0]["kind"] == "training"


def test_a_key_leads_to_the_first_training(train):
    first, again = train({"Idempotency-Key": "k"}), train({"Idempotency-Key": "k"})

    assert first.json()["id"] == again.json()["id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert train({"Idempotency-Key": "k"}, seed=9).status_code == 422


@pytest.mark.parametrize(
    ("changes", "status", "pointer", "reason"),
    [
        ({"method": "none"}, 422, "/method", "expected one of fitter, own"),
        ({"method": "own"}, 422, "/method", "own expects neither model nor architecture"),
        ({"architecture": None}, 422, "/method", "expects a `model` to go on from or an `architecture`"),
        ({"params": {"epochs": 0}}, 422, "/params/epochs", "0"),
        ({"params": {"lr": 1}}, 422, "/params/lr", "unknown parameter"),
        ({"params": {"ranges": [{"low": 0, "high": 1}, {"low": 2, "high": 1}]}}, 422, "/params/ranges/1/low",
         "expected low below high, got 2"),
        ({"params": {"epochs": 1001}}, 422, "/params/epochs", "expected fewer epochs"),
        ({"dataset": "dataset_x"}, 404, None, "no dataset"),
        ({"model": "model_x", "architecture": None}, 404, None, "no model"),
        ({"model": "model_x"}, 422, None, "not both"),
        ({"deadline_seconds": 1e9}, 422, "/deadline_seconds", "at most 86400"),
        ({"architecture": "resnet18"}, 422, "/architecture", "resnet18 takes pictures"),
        ({"architecture": {**MLP, "layers": [{"type": "linear", "outputs": 3}]}}, 422, "/architecture",
         "has 3 output.*needs 1, the number"),
    ],
)  # fmt: skip
def test_a_training_that_cannot_be_done_is_refused_at_once(train, queue, changes, status, pointer, reason):
    rung = len(queue.rung)
    answer = train(**changes)

    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert re.search(reason, problem["detail"])
    if pointer is not None:
        assert problem["errors"][0]["pointer"] == pointer
    assert len(queue.rung) == rung


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rows": 5}, "needs at least 10 rows"),
        ({"task": "multiclass", "classes": ("a", "b", "c")}, "learns regression or binary"),
        ({"kind": "sets"}, "learns from table or images, not from sets"),
        ({"columns": (*DATASET_INSPECTION.columns, Column(name="city", type="categorical", cardinality=100_000))},
         "at most 50 inputs.*100001.*column 'city' gives 100000"),
    ],
)  # fmt: skip
def test_a_dataset_that_does_not_fit_the_method_is_refused(client, here, train, change, reason):
    made = upload_dataset(client, manifest={"name": "odd"}).json()["id"]
    read_dataset(here, made, DATASET_INSPECTION.model_copy(update=change))
    answer = train(dataset=made)

    assert answer.status_code == 422
    assert re.search(reason, answer.json()["detail"])
    assert answer.json()["errors"][0]["pointer"] == "/dataset"


def test_sets_longer_than_the_method_takes_are_refused(client, here, train):
    made = upload_dataset(client, manifest={"name": "long"}).json()["id"]
    sets = {"kind": "sets", "format": "sets", "task": "binary", "columns": (), "target": None, "classes": ("0", "1")}
    read_dataset(here, made, DATASET_INSPECTION.model_copy(update={**sets, "shortest": 1, "longest": 6}))
    answer = train(method="own", dataset=made, architecture=None, params={})

    assert answer.status_code == 422
    assert re.search("rows of at most 5; the longest one has 6", answer.json()["detail"])
    assert answer.json()["errors"][0]["pointer"] == "/dataset"


def test_a_dataset_that_is_not_read_yet_or_failed_is_refused(client, here, train):
    made = upload_dataset(client, manifest={"name": "new"}).json()["id"]
    assert train(dataset=made).status_code == 409

    fail(here, here.store.dataset(made, "local").job_id, NumericalError("row 3 is odd"))
    answer = train(dataset=made)
    assert answer.status_code == 422
    assert "row 3 is odd" in answer.json()["detail"]


def test_a_model_to_go_on_from_must_fit_the_dataset(client, here, train, images_id):
    model_id = upload(client, image_manifest()).json()["id"]
    inspect(here, model_id)
    wrong_classes = train(dataset=images_id, model=model_id, architecture=None)
    assert "has 10 output(s), the dataset needs 2, one for each class (a, b)" in wrong_classes.json()["detail"]
    assert "takes image input, the dataset holds table" in train(model=model_id, architecture=None).json()["detail"]

    fitting = upload(client, image_manifest(name="two")).json()["id"]
    inspect(here, fitting, INSPECTION.model_copy(update={"outputs": 2}))
    named = {"dataset": images_id, "model": fitting, "architecture": None}
    height, width = image_manifest()["input"]["shape"][1:]
    too_many = train(**named, params={"epochs": height * width + 1}).json()
    assert too_many["errors"][0]["pointer"] == "/params/epochs", "of the model's picture, not of the dataset's"
    job = train(**named, params={"epochs": height * width}).json()
    assert job["links"]["model"] == f"/v1/models/{fitting}"
    assert client.delete(f"/v1/models/{fitting}").status_code == 409


def test_a_model_of_other_columns_is_refused(client, here, train):
    columns = [{"name": "b"}]
    manifest = {**features_manifest(1), "features": {"columns": columns}}
    model_id = upload(client, manifest, artifact=safetensors(7)).json()["id"]
    inspect(here, model_id, INSPECTION.model_copy(update={"outputs": 1}))

    assert "takes the columns b; the dataset has a" in train(model=model_id, architecture=None).json()["detail"]


def test_a_failed_training_is_retried_from_its_save_point(client, here, train):
    job_id = train().json()["id"]
    job = claimed(here, job_id)
    point = ResumePoint(sha256=here.artifacts.put(b"state"), size_bytes=5, epoch=7, saved_at=1.0)
    here.store.save_resume_point(job_id, job.attempt, point)
    here.store.fail(job_id, job.attempt, NumericalError("NaN").problem(), retention_seconds=60)
    again = client.post(f"/v1/jobs/{job_id}:retry").json()

    assert again["resume"]["epoch"] == 7
    assert (again["training"], again["dataset"]) == (job.training.model_dump(mode="json"), job.dataset_id)
    assert client.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert here.artifacts.get(point.sha256) == b"state"


def test_a_finished_training_has_a_result(client, here, train):
    job_id = train().json()["id"]
    finish(here, job_id, {"result.json": b'{"model": "model_1"}', "training.png": b"png"})

    assert client.get(f"/v1/jobs/{job_id}/result").json() == {"model": "model_1"}
    assert client.get(f"/v1/jobs/{job_id}").json()["links"]["result"] == f"/v1/jobs/{job_id}/result"
    assert client.get(f"/v1/jobs/{job_id}/artifacts/training.png").content == b"png"


def test_a_training_can_be_canceled(client, train):
    job_id = train().json()["id"]

    assert client.post(f"/v1/jobs/{job_id}:cancel").json()["status"] == "canceled"


def test_training_methods_are_listed_and_read(client):
    listed = client.get("/v1/trainings/methods").json()["items"]

    assert [one["id"] for one in listed] == ["fitter", "own"]
    assert client.get("/v1/trainings/methods/fitter").json() == listed[0]
    assert "did you mean fitter?" in client.get("/v1/trainings/methods/fiter").json()["detail"]
