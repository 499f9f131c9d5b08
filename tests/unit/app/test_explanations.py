"""Asking for explanations: validation, reuse, repetition, waiting, limits."""

from __future__ import annotations

import json
import threading
import time

import pytest

from jobs import catalog
from jobs.errors import OutOfMemory, QueueUnavailable
from jobs.quantities import quantities
from jobs.schemas import Cost, Status
from tests.unit.app.service import (
    fail,
    features_manifest,
    finish,
    inline,
    inspect,
    kept,
    png,
    result_files,
    safetensors,
    upload,
    when,
)


def pointers(answer) -> list[str]:
    return [fault["pointer"] for fault in answer.json()["errors"]]


# ---------------------------------------------------------------- what is accepted


def test_an_explanation_is_recorded_queued_and_answered_with_its_job(explain, here, queue, model_id):
    answer = explain(seed=3, tags=["a", "b"], target=7, priority="batch")

    document = answer.json()
    job = here.store.job(document["id"], "local")
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/jobs/{job.id}"
    assert int(answer.headers["retry-after"]) > 0
    assert queue.rung[-1].id == job.id
    assert (job.seed, job.tags, job.priority, job.target.index) == (3, ("a", "b"), "batch", 7)
    assert job.input is not None
    assert here.artifacts.get(job.input.sha256) == png()
    assert (document["status"], document["queue_position"], document["model"]) == ("queued", 0, model_id)
    assert document["created_at"].endswith("Z")


def test_parameters_are_completed_with_defaults_and_preset(explain):
    document = explain(params={"preset": "published", "steps": 5}).json()

    assert document["preset"] == "published"
    assert document["params"] == {
        "preset": "published", "formula": "published", "subsets": 30, "steps": 5, "rows": 10, "prior": "quickshift",
    }  # fmt: skip


def test_a_picture_can_come_as_a_part(client, here, model_id):
    request = json.dumps({"model": model_id, "target": {"index": 1, "against": 2}})
    files = {"request": (None, request), "image": ("../../cat.png", png())}

    answer = client.post("/v1/explanations", files=files)

    assert answer.status_code == 202
    assert answer.json()["target"] == {"index": 1, "against": 2}
    assert here.artifacts.get(answer.json()["input"]["sha256"]) == png()


def test_a_data_url_is_a_picture_too(explain):
    assert explain(input={"image": "data:image/png;base64," + inline()["image"]}).status_code == 202


def test_features_are_stored_as_a_json_list(client, here, features_model_id):
    body = {"model": features_model_id, "method": "gradient", "input": {"features": [1, 2.5, -3, 0]}}

    answer = client.post("/v1/explanations", json=body)

    assert answer.status_code == 202
    assert json.loads(here.artifacts.get(answer.json()["input"]["sha256"])) == [1, 2.5, -3, 0]


def test_a_queue_that_is_away_does_not_lose_the_job(explain, here, queue):
    queue.failure = QueueUnavailable("away")

    answer = explain()

    assert answer.status_code == 202
    assert here.store.job(answer.json()["id"], "local").status is Status.QUEUED


# ---------------------------------------------------------------- what is refused


def test_a_model_that_is_not_inspected_yet_is_a_conflict_to_retry(client):
    made = upload(client, features_manifest(3), artifact=safetensors(9)).json()["id"]

    answer = client.post(
        "/v1/explanations", json={"model": made, "method": "gradient", "input": {"features": [1, 2, 3]}}
    )

    assert answer.status_code == 409
    assert "retry-after" in answer.headers


def test_a_value_that_the_operator_provides_for_is_accepted(settings, model_id, here, explain, monkeypatch):
    monkeypatch.setitem(here.settings.__dict__, "sam_model", "/models/sam")

    assert explain(params={"prior": "sam"}).status_code == 202


def test_a_full_queue_answers_429(explain, here, monkeypatch):
    monkeypatch.setattr(here.store, "queued_count", lambda tenant: here.settings.max_queued_jobs)

    answer = explain()

    assert (answer.status_code, answer.json()["code"]) == (429, "quota-exceeded")
    assert "retry-after" in answer.headers


# ---------------------------------------------------------------- reuse and repetition


def test_an_equal_request_gets_the_earlier_result(explain, here, client):
    first = explain(tags=["one"]).json()
    finish(here, first["id"])

    answer = explain(tags=["two"])

    second = answer.json()
    assert answer.status_code == 200
    assert (second["status"], second["cached"], second["tags"]) == ("succeeded", True, ["two"])
    assert second["id"] != first["id"]
    assert second["cost"]["forwards"] == 31
    assert client.get(second["links"]["result"]).content == client.get(f"/v1/jobs/{first['id']}/result").content


def test_an_equal_request_joins_the_job_under_way(explain, queue):
    first = explain()
    rung = len(queue.rung)

    second = explain(tags=["two"])

    assert second.status_code == 202
    assert second.json()["id"] == first.json()["id"]
    assert len(queue.rung) == rung


def test_who_is_in_a_hurry_does_not_join_the_slow_queue(explain):
    assert explain(priority="batch").json()["id"] != explain(priority="interactive").json()["id"]


def test_a_job_that_is_being_canceled_is_not_joined(explain, client):
    first = explain().json()["id"]
    client.post(f"/v1/jobs/{first}:cancel")

    assert explain().json()["id"] != first


def test_no_cache_computes_again(explain, here):
    first = explain().json()["id"]
    finish(here, first)

    answer = explain(headers={"Cache-Control": "no-cache"})

    assert answer.status_code == 202
    assert not answer.json()["cached"]


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"target": 1}, {"params": {"steps": 7}}, {"input": inline(png(shade=9))}, {"method": "gradient"}],
)
def test_a_request_that_differs_in_what_matters_is_computed(explain, here, changes):
    finish(here, explain().json()["id"])

    assert explain(**changes).status_code == 202


def test_writing_out_a_default_does_not_matter(explain, here):
    finish(here, explain().json()["id"])

    assert explain(params={"steps": 30}).json()["cached"]


def test_a_failed_job_is_not_reused(explain, here):
    fail(here, explain().json()["id"], OutOfMemory("no"))

    assert explain().status_code == 202


def test_results_whose_files_are_gone_are_computed_again(explain, here):
    first = explain().json()["id"]
    finish(here, first, {"result.json": b"{}"})
    here.artifacts.delete(here.store.job(first, "local").artifacts[0].sha256)

    answer = explain()

    assert answer.status_code == 202
    assert len(here.store.jobs("local", limit=10, method="h-sets").items) == 2


def test_a_repeated_request_gets_the_job_of_the_first(explain, here, queue):
    key = {"Idempotency-Key": "abc"}
    first = explain(headers=key | {"Cache-Control": "no-cache"})
    rung = len(queue.rung)
    finish(here, first.json()["id"])

    second = explain(headers=key | {"Cache-Control": "no-cache"})

    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert second.json()["id"] == first.json()["id"]
    assert second.status_code == 200
    assert len(queue.rung) == rung


def test_a_key_that_joined_a_job_leads_to_it_ever_after(explain, here):
    first = explain().json()["id"]
    joined = explain(headers={"Idempotency-Key": "abc"}).json()["id"]
    finish(here, first)

    again = explain(headers={"Idempotency-Key": "abc"})

    assert first == joined == again.json()["id"]
    assert again.headers["idempotency-replayed"] == "true"


def test_a_key_with_another_request_is_refused(explain):
    explain(headers={"Idempotency-Key": "abc"})

    answer = explain(headers={"Idempotency-Key": "abc"}, seed=5)

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-mismatch")


def test_many_equal_requests_at_once_make_one_job(explain, here):
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(explain(headers={"Idempotency-Key": "k"}))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1


# ---------------------------------------------------------------- waiting


def test_prefer_wait_answers_with_the_finished_job(explain, here, queue, model_id):
    thread = when(lambda: queue.rung and queue.rung[-1].kind == "explanation", lambda: finish(here, queue.rung[-1].id))
    answer = explain(headers={"Prefer": "wait=5"})
    thread.join()

    assert answer.status_code == 200
    assert answer.json()["status"] == "succeeded"
    assert answer.headers["preference-applied"] == "wait=5"
    assert "retry-after" not in answer.headers


def test_prefer_wait_answers_202_when_the_time_is_up(explain):
    begun = time.monotonic()

    answer = explain(headers={"Prefer": "wait=1"})

    assert answer.status_code == 202
    assert 0.9 < time.monotonic() - begun < 5


# ---------------------------------------------------------------- estimates


def test_an_estimate_scales_the_probe(client, model_id):
    body = {"model": model_id, "input": inline(), "params": {"steps": 9, "rows": 4}}

    answer = client.post("/v1/explanations:estimate", json=body)

    document = answer.json()
    assert answer.status_code == 200
    assert document["cost"] == {"forwards": 10, "backwards": 10, "hessian_rows": 4}
    assert document["seconds"] == 10 * 0.5 + 10 * 1.0 + 4 * 2.0
    assert document["bytes"] > 1000


def test_an_estimate_refuses_what_the_explanation_would(client, model_id, here, settings):
    before = len(kept(settings))

    answer = client.post("/v1/explanations:estimate", json={"model": model_id, "input": inline(), "target": 99})

    assert (answer.status_code, pointers(answer)) == (422, ["/target/index"])
    assert len(kept(settings)) == before


def test_the_real_catalogue_estimates_every_method(monkeypatch):
    monkeypatch.undo()
    catalog.methods.cache_clear()

    for spec in catalog.methods().values():
        names = quantities(catalog.complete(spec, {}), kind="image", shape=(3, 8, 8), outputs=10)
        assert isinstance(catalog.estimate(spec, names), Cost)


def test_files_of_a_result_are_listed(explain, here, client):
    job_id = explain().json()["id"]
    finish(here, job_id)

    names = {item["name"] for item in client.get(f"/v1/jobs/{job_id}/artifacts").json()["items"]}

    assert names == set(result_files())


@pytest.mark.parametrize(
    ("values", "pointer", "reason"),
    [
        ([1], "/input/features", "expected 2 features, got 1"),
        (["30", "north"], "/input/features/0", "column 'age': expected a number"),
        ([30, "east"], "/input/features/1", "column 'side': expected one of 'north', 'south', got 'east'"),
        ([30, 1], "/input/features/1", "column 'side': expected one of"),
    ],
)
def test_raw_values_that_do_not_fit_their_column_are_refused(client, here, values, pointer, reason):
    columns = [{"name": "age", "mean": 40, "std": 9}, {"name": "side", "categories": ["north", "south"]}]
    manifest = {**features_manifest(3), "features": {"columns": columns}}
    model = upload(client, manifest, artifact=safetensors(9)).json()["id"]
    inspect(here, model)
    body = {"model": model, "method": "gradient", "input": {"features": values}}

    answer = client.post("/v1/explanations", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert reason in answer.json()["detail"]
    for fitting in ([30, "north"], [None, None]):
        assert client.post("/v1/explanations", json={**body, "input": {"features": fitting}}).status_code == 202
