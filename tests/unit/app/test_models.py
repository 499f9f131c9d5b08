"""Uploading, listing and deleting models, as a client sees it."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from jobs.errors import NotFound, OutOfMemory, UnsupportedModel
from jobs.schemas import Capability, JobKind, ModelStatus
from tests.unit.app.service import (
    BASE_URL,
    INSPECTION,
    features_manifest,
    image_manifest,
    inspect,
    kept,
    refuse,
    safetensors,
    spooled,
    upload,
    when,
)


def when_rung(queue, act) -> threading.Thread:
    """Call `act` with the model's id as soon as an inspection is rung for."""
    return when(lambda: queue.rung, lambda: act(queue.rung[0].model_id))


def test_an_upload_is_kept_recorded_and_inspected(client, here, queue):
    answer = upload(client)

    sha256 = hashlib.sha256(safetensors()).hexdigest()
    document = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/models/{document['id']}"
    assert answer.headers["etag"] == f'"{sha256}"'
    assert document["status"] == "inspecting"
    assert "retry-after" in answer.headers
    assert here.artifacts.get(sha256) == safetensors()
    assert [(job.kind, job.model_id) for job in queue.rung] == [(JobKind.INSPECTION, document["id"])]


def test_an_upload_waits_for_its_inspection(client, here, queue):
    thread = when_rung(queue, lambda model_id: inspect(here, model_id))

    answer = upload(client, prefer="wait=5")

    thread.join()
    assert answer.status_code == 201
    assert answer.json()["status"] == "ready"
    assert answer.headers["preference-applied"] == "wait=5"
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize("error", [UnsupportedModel("no: roi_align has no derivative"), OutOfMemory("too big")])
def test_a_model_that_inspection_refuses_is_refused_and_leaves_nothing(client, here, queue, settings, error):
    thread = when_rung(queue, lambda model_id: refuse(here, model_id, error))

    answer = upload(client, prefer="wait=5")

    thread.join()
    assert answer.status_code == 422
    assert answer.json()["code"] == error.code
    assert answer.json()["detail"] == error.detail
    assert client.get("/v1/models").json()["items"] == []
    assert kept(settings) == []


def test_equal_uploads_at_once_are_all_refused_with_the_reason(client, here, queue):
    answered = threading.Event()

    def refuse_all() -> None:
        refused = 0
        while not answered.wait(0.01):
            for job in queue.rung[refused:]:
                refuse(here, job.model_id, UnsupportedModel("no derivative"))
                refused += 1

    thread = threading.Thread(target=refuse_all, daemon=True)
    thread.start()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: upload(client, prefer="wait=5"), range(4)))
    answered.set()
    thread.join()

    assert [(answer.status_code, answer.json()["detail"]) for answer in answers] == [(422, "no derivative")] * 4


@pytest.mark.parametrize("removed", ["before it is read", "before it is removed"])
def test_an_upload_gives_the_reason_where_an_equal_one_was_refused_first(client, here, queue, monkeypatch, removed):
    def refused(model_id: str) -> None:
        refuse(here, model_id, UnsupportedModel("no derivative"))
        if removed == "before it is read":
            monkeypatch.setattr(here.store, "model", gone)

    def gone(*_: object) -> None:
        raise NotFound("gone")

    monkeypatch.setattr(here.store, "delete_model", gone)
    thread = when_rung(queue, refused)

    answer = upload(client, prefer="wait=5")

    thread.join()
    assert (answer.status_code, answer.json()["detail"]) == (422, "no derivative")


def test_an_upload_beyond_the_quota_of_queued_jobs_is_refused(settings, queue):
    with TestClient(create_app(settings.model_copy(update={"max_queued_jobs": 1}), queue=queue)) as client:
        client.base_url = BASE_URL
        first = upload(client)
        second = upload(client, artifact=safetensors(5))

    assert (first.status_code, second.status_code) == (201, 429)
    assert "retry-after" in second.headers
    assert len(kept(settings)) == 1


def test_a_key_of_another_upload_leaves_no_bytes(client, settings):
    upload(client, **{"Idempotency-Key": "k"})

    other = upload(client, artifact=safetensors(5), **{"Idempotency-Key": "k"})

    assert other.json()["code"] == "idempotency-mismatch"
    assert len(kept(settings)) == 1


def test_bytes_that_are_deleted_before_their_row_are_put_again(client, here, monkeypatch):
    upload(client)
    add_model = here.store.add_model

    def deleted_first(model, **more):
        here.artifacts.delete(model.sha256)
        return add_model(model, **more)

    monkeypatch.setattr(here.store, "add_model", deleted_first)

    again = upload(client, image_manifest(name="other"))
    moved = upload(client, artifact=safetensors(5))

    assert again.status_code == 201
    assert moved.status_code == 201
    for data in (safetensors(), safetensors(5)):
        assert here.artifacts.get(hashlib.sha256(data).hexdigest()) == data


def test_a_model_that_is_refused_when_nobody_waits_says_why_and_can_be_uploaded_again(client, here):
    model_id = upload(client).json()["id"]
    refuse(here, model_id, UnsupportedModel("no"))

    document = client.get(f"/v1/models/{model_id}").json()
    again = upload(client)

    assert document["status"] == "failed"
    assert document["error"]["detail"] == "no"
    assert again.status_code == 201
    assert again.json()["id"] != model_id


def test_the_same_bytes_and_manifest_are_the_same_model(client, queue):
    first, second = upload(client), upload(client)

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert len(queue.rung) == 1


def test_the_same_bytes_with_another_manifest_are_another_model(client):
    first, second = upload(client), upload(client, image_manifest(name="other"))

    assert first.json()["id"] != second.json()["id"]


def test_a_repeated_upload_with_its_key_gets_the_same_model(client, here):
    first = upload(client, **{"Idempotency-Key": "k"})
    second = upload(client, **{"Idempotency-Key": "k"})
    other = upload(client, image_manifest(name="other"), **{"Idempotency-Key": "k"})

    assert first.json()["id"] == second.json()["id"]
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-mismatch")


def test_a_ready_model_says_which_methods_can_explain_it_and_why_not(client, here):
    model_id = upload(client, features_manifest()).json()["id"]
    obstacle = {Capability.GRADIENT: "aten::sign has no derivative"}
    found = INSPECTION.model_copy(update={"capabilities": (Capability.FORWARD,), "obstacles": obstacle})
    inspect(here, model_id, found)

    methods = client.get(f"/v1/models/{model_id}").json()["methods"]

    assert methods["gradient"] == {"supported": False, "reason": "aten::sign has no derivative"}
    assert not methods["h-sets"]["supported"]
    assert "image" in methods["h-sets"]["reason"]


def test_a_long_poll_on_a_model_returns_when_it_is_ready(client, here, queue):
    model_id = upload(client).json()["id"]
    thread = when_rung(queue, lambda found: inspect(here, found))

    document = client.get(f"/v1/models/{model_id}?wait=5").json()

    thread.join()
    assert document["status"] == "ready"


def test_models_are_listed_newest_first_in_pages(client):
    ids = [upload(client, image_manifest(name=f"m{i}")).json()["id"] for i in range(3)]

    first = client.get("/v1/models?limit=2")
    rest = client.get(first.json()["next"])

    assert [item["id"] for item in first.json()["items"]] == ids[:0:-1]
    assert [item["id"] for item in rest.json()["items"]] == ids[:1]
    assert first.headers["link"] == f'<{first.json()["next"]}>; rel="next"'
    assert rest.json()["next"] is None


def test_a_deleted_model_is_gone_with_its_bytes(client, here, model_id, settings):
    answer = client.delete(f"/v1/models/{model_id}")

    assert answer.status_code == 204
    assert client.get(f"/v1/models/{model_id}").status_code == 404
    assert kept(settings) == []


def test_a_model_in_use_is_not_deleted(client, here, explain, model_id):
    explain()

    answer = client.delete(f"/v1/models/{model_id}")

    assert answer.status_code == 409
    assert here.store.model(model_id, "local").status is ModelStatus.READY


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "..\\x", "a\x00b", "x" * 3000])
def test_a_file_name_is_never_a_path(client, settings, tmp_path, name):
    before = set(tmp_path.rglob("*"))

    answer = client.post(
        "/v1/models",
        files={"artifact": (name, safetensors()), "manifest": (None, json.dumps(image_manifest()))},
        headers={"Prefer": "wait=0"},
    )

    assert answer.status_code in (201, 422)
    written = {path for path in set(tmp_path.rglob("*")) - before if path.is_file()}
    assert all(settings.data_dir in path.parents for path in written)


def test_an_abandoned_spool_is_emptied_by_the_next_start(settings, queue):
    import os

    from starlette.testclient import TestClient

    from app.main import ABANDONED_SECONDS, create_app

    folder = settings.data_dir / "spool"
    folder.mkdir(parents=True)
    for name, age in (("old", ABANDONED_SECONDS + 60), ("new", 60.0)):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (time.time() - age,) * 2)

    with TestClient(create_app(settings, queue=queue)):
        assert [path.name for path in spooled(settings)] == ["new"]


def test_an_upload_whose_model_is_removed_meanwhile_says_so(client, here, queue, monkeypatch):
    def gone(*_: object) -> None:
        raise NotFound("gone")

    monkeypatch.setattr(here.store, "model", gone)

    assert upload(client, prefer="wait=5").status_code == 409
