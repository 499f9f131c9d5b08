"""Datasets over HTTP: uploaded, read by a worker, listed, deleted."""

from __future__ import annotations

import pytest

from jobs.errors import InvalidInput
from tests.unit.app.service import claimed, kept, read_dataset, spooled, upload_dataset, when

CSV = b"a,y\n1,2\n3,4\n"


def test_an_upload_is_recorded_with_its_inspection(client, here, queue):
    answer = upload_dataset(client, CSV, {"name": "mine", "target": "y"})

    document = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/v1/datasets/{document['id']}"
    assert (document["status"], document["manifest"]["name"]) == ("inspecting", "mine")
    assert document["id"].startswith("dataset_")
    (job,) = queue.rung
    assert (job.dataset_id, job.model_id, job.kind) == (document["id"], None, "inspection")
    assert here.artifacts.get(document["sha256"]) == CSV


def test_the_manifest_may_be_left_out(client):
    assert upload_dataset(client).json()["manifest"]["target"] is None


def test_the_same_upload_again_is_the_same_dataset(client, queue):
    first, again, other = upload_dataset(client), upload_dataset(client), upload_dataset(client, manifest={"name": "b"})

    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 201)
    assert first.json()["id"] == again.json()["id"] != other.json()["id"]
    assert len(queue.rung) == 2


def test_an_idempotency_key_leads_to_the_first_upload(client):
    first = upload_dataset(client, **{"Idempotency-Key": "k"})
    again = upload_dataset(client, **{"Idempotency-Key": "k"})
    other = upload_dataset(client, b"a,y\n5,6\n7,8\n", **{"Idempotency-Key": "k"})

    assert first.json()["id"] == again.json()["id"]
    assert other.status_code == 422


def test_an_upload_waits_for_what_is_found(client, here):
    when(lambda: here.store.datasets("local", limit=1).items,
         lambda: read_dataset(here, here.store.datasets("local", limit=1).items[0].id))  # fmt: skip
    document = upload_dataset(client, prefer="wait=10").json()

    assert (document["status"], document["inspection"]["rows"]) == ("ready", 100)
    assert document["trainings"]["fitter"] == {"supported": True, "reason": None}
    assert document["trainings"]["own"]["reason"] == "own learns from sets, not from table"
    assert client.get(f"/v1/datasets/{document['id']}").json() == document


def test_a_dataset_that_cannot_be_used_says_why(client, here):
    dataset_id = upload_dataset(client).json()["id"]
    job = claimed(here, here.store.dataset(dataset_id, "local").job_id)
    here.store.fail(job.id, 1, InvalidInput("column 'a', row 7: no number").problem(), retention_seconds=60)

    document = client.get(f"/v1/datasets/{dataset_id}").json()
    assert (document["status"], document["error"]["detail"]) == ("failed", "column 'a', row 7: no number")
    assert upload_dataset(client).status_code == 201  # a second try takes its place


def test_datasets_are_listed_in_pages(client):
    made = [upload_dataset(client, manifest={"name": name}).json()["id"] for name in "abc"]
    page = client.get("/v1/datasets?limit=2").json()
    rest = client.get(page["next"]).json()

    assert [one["id"] for one in (*page["items"], *rest["items"])] == made[::-1]
    assert rest["next"] is None


def test_a_dataset_is_deleted_with_its_bytes_unless_a_job_uses_it(client, here, settings):
    dataset_id = upload_dataset(client).json()["id"]
    assert client.delete(f"/v1/datasets/{dataset_id}").status_code == 409

    read_dataset(here, dataset_id)
    assert client.delete(f"/v1/datasets/{dataset_id}").status_code == 204
    assert client.get(f"/v1/datasets/{dataset_id}").status_code == 404
    assert client.delete(f"/v1/datasets/{dataset_id}").status_code == 404
    assert not kept(settings)


@pytest.mark.parametrize(
    ("manifest", "pointer"),
    [
        ({"target": 5}, "/target"),
        ({"colour": "red"}, "/colour"),
        ({"task": "clustering"}, "/task"),
        ({"columns": {"a": "date"}}, "/columns/a"),
        ({"target": "y", "columns": {"y": "ignore"}}, ""),
        ("{", None),
    ],
)
def test_a_manifest_that_is_no_manifest_is_refused(client, settings, manifest, pointer):
    answer = upload_dataset(client, manifest=manifest)

    assert answer.status_code == 422
    if pointer is not None:
        assert answer.json()["errors"][0]["pointer"] == pointer
    assert not kept(settings)
    assert not spooled(settings)


def test_an_upload_over_the_cap_is_refused_while_it_arrives(client, settings):
    answer = upload_dataset(client, b"a,y\n" + b"1,2\n" * 300_000)

    assert answer.status_code == 413
    assert "1048576 bytes" in answer.json()["detail"]
    assert not spooled(settings)


def test_another_media_type_is_refused(client):
    assert client.post("/v1/datasets", content=CSV, headers={"Content-Type": "text/csv"}).status_code == 415
