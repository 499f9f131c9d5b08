"""Requests that name several inputs and several checkpoints of one model."""

from __future__ import annotations

import json

import pytest

from jobs.errors import UnsupportedModel
from jobs.schemas import MAX_CHECKPOINTS, MAX_SAMPLES, Capability
from tests.unit.app.service import (
    INSPECTION,
    fail,
    features_manifest,
    finish,
    image_manifest,
    inline,
    inspect,
    kept,
    png,
    refuse,
    safetensors,
    upload,
)

MIB = 1 << 20
FEATURES = {"features": [1.0, 2.0, 3.0, 4.0]}


def pointers(answer) -> list[str]:
    return [fault["pointer"] for fault in answer.json()["errors"]]


@pytest.fixture
def checkpoint(client, here):
    """Upload one more model of pictures; each call gives another."""
    sizes = iter(range(100, 200))

    def add(manifest=None, inspection=INSPECTION) -> str:
        made: str = upload(client, manifest, artifact=safetensors(next(sizes))).json()["id"]
        if inspection is not None:
            inspect(here, made, inspection)
        return made

    return add


@pytest.fixture
def follow(explain):
    def post(**changes: object):
        return explain(**{"method": "profile", **changes})

    return post


# ---------------------------------------------------------------- what is accepted


def test_checkpoints_and_samples_are_recorded_in_their_order(follow, here, checkpoint, model_id):
    earlier = [checkpoint(), checkpoint()][::-1]
    shades = [inline(png(shade=shade)) for shade in (9, 5)]

    document = follow(checkpoints=earlier, samples=shades).json()

    job = here.store.job(document["id"], "local")
    assert (job.model_id, list(job.checkpoint_ids)) == (model_id, earlier)
    assert [here.artifacts.get(one.sha256) for one in job.samples] == [png(shade=9), png(shade=5)]
    assert document["checkpoints"] == earlier
    assert [one["sha256"] for one in document["samples"]] == [one.sha256 for one in job.samples]


def test_a_single_input_has_no_samples(explain):
    document = explain().json()

    assert (document["samples"], document["checkpoints"]) == ([], [])


def test_further_pictures_can_come_as_parts(client, here, model_id):
    request = json.dumps({"model": model_id, "method": "profile"})
    shades = [png(shade=9), png(shade=5)]
    files = [("request", (None, request)), ("image", ("x.png", png())), *(("sample", ("x", one)) for one in shades)]

    answer = client.post("/v1/explanations", files=files)

    assert answer.status_code == 202
    job = here.store.job(answer.json()["id"], "local")
    assert [here.artifacts.get(one.sha256) for one in job.samples] == shades


def test_features_come_as_samples_too(client, here, features_model_id):
    body = {"model": features_model_id, "method": "profile", "input": FEATURES, "samples": [{"features": [0, 0, 0, 1]}]}

    answer = client.post("/v1/explanations", json=body)

    assert answer.status_code == 202
    assert json.loads(here.artifacts.get(answer.json()["samples"][0]["sha256"])) == [0, 0, 0, 1]


def test_as_many_as_the_envelope_allows(follow, checkpoint):
    samples = [inline(png(shade=shade)) for shade in range(MAX_SAMPLES)]

    assert follow(samples=samples).status_code == 202


def test_a_method_says_whether_it_takes_a_series(client):
    series = {item["id"]: item["series"] for item in client.get("/v1/methods").json()["items"]}

    assert series == {"h-sets": [], "gradient": [], "profile": ["samples", "checkpoints"]}


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("name", ["samples", "checkpoints"])
def test_a_method_of_one_input_refuses_a_series(explain, checkpoint, name):
    given = {"samples": [inline()], "checkpoints": [checkpoint()]}[name]

    answer = explain(method="h-sets", **{name: given})

    assert (answer.status_code, pointers(answer)) == (422, [f"/{name}"])


@pytest.mark.parametrize(
    ("samples", "pointer"),
    [
        ([inline(), FEATURES], "/samples/1/features"),
        ([{}], "/samples/0"),
        ([None], "/samples/0"),
        ("image", "/samples"),
        ([inline(), {"image": "not base64!"}], "/samples/1/image"),
        ([inline(png()[:-5])], "/samples/0/image"),
        ([inline()] * (MAX_SAMPLES + 1), "/samples"),
    ],
)
def test_a_sample_at_fault_is_named(follow, settings, samples, pointer):
    follow()
    before = len(kept(settings))

    answer = follow(samples=samples)

    assert answer.status_code == 422
    assert pointer in pointers(answer)
    assert len(kept(settings)) == before


def test_samples_are_of_the_models_kind(client, features_model_id):
    body = {"model": features_model_id, "method": "profile", "input": FEATURES, "samples": [FEATURES, inline()]}

    answer = client.post("/v1/explanations", json=body)

    assert (answer.status_code, pointers(answer)) == (422, ["/samples/1/image"])


def test_samples_of_more_bytes_together_than_one_input_may_have_are_refused(client, model_id):
    """Each is below the limit of 1 MiB; the body is too, as its cap leaves room for base64."""
    padded = [png() + bytes(400_000 + extra) for extra in range(3)]
    files = [("image", ("x.png", png())), *(("sample", ("x", one)) for one in padded)]
    request = json.dumps({"model": model_id, "method": "profile"})

    answer = client.post("/v1/explanations", files=[("request", (None, request)), *files])

    assert (answer.status_code, answer.json()["code"], pointers(answer)) == (413, "input-too-large", ["/samples"])


def test_one_part_too_many_ends_the_request(client, model_id):
    request = json.dumps({"model": model_id, "method": "profile"})
    files = [("request", (None, request)), ("image", ("x", png())), *[("sample", ("x", png()))] * (MAX_SAMPLES + 1)]

    answer = client.post("/v1/explanations", files=files)

    assert (answer.status_code, pointers(answer)) == (422, ["/sample"])
    assert str(MAX_SAMPLES) in answer.json()["detail"]


def test_samples_come_in_one_way(client, model_id):
    request = json.dumps({"model": model_id, "method": "profile", "samples": [inline()]})
    files = [("request", (None, request)), ("image", ("x", png())), ("sample", ("x", png()))]

    answer = client.post("/v1/explanations", files=files)

    assert (answer.status_code, pointers(answer)) == (422, ["/samples"])


def test_a_broken_part_is_named_by_its_place(client, model_id):
    request = json.dumps({"model": model_id, "method": "profile"})
    files = [("image", ("x", png())), ("sample", ("x", png())), ("sample", ("x", png()[:-5]))]

    answer = client.post("/v1/explanations", files=[("request", (None, request)), *files])

    assert (answer.status_code, pointers(answer)) == (422, ["/sample/1"])


def test_a_checkpoint_is_there_once_and_is_not_the_model(follow, checkpoint, model_id):
    earlier = checkpoint()

    for given in ([earlier, earlier], [earlier, model_id]):
        answer = follow(checkpoints=given)
        assert (answer.status_code, pointers(answer)) == (422, ["/checkpoints/1"])


def test_an_unknown_checkpoint_is_not_found(follow, checkpoint):
    answer = follow(checkpoints=[checkpoint(), "model_0"])

    assert (answer.status_code, pointers(answer)) == (404, ["/checkpoints/1"])


def test_too_many_checkpoints_are_refused_before_any_is_looked_up(follow):
    answer = follow(checkpoints=[f"model_{number}" for number in range(MAX_CHECKPOINTS + 1)])

    assert (answer.status_code, pointers(answer)) == (422, ["/checkpoints"])


def test_a_checkpoint_under_inspection_is_a_conflict_to_retry(follow, checkpoint):
    answer = follow(checkpoints=[checkpoint(inspection=None)])

    assert (answer.status_code, pointers(answer)) == (409, ["/checkpoints/0"])
    assert "retry-after" in answer.headers


def test_a_checkpoint_that_cannot_be_used_is_refused(follow, here, checkpoint):
    broken = checkpoint(inspection=None)
    refuse(here, broken, UnsupportedModel("its weights do not fit"))

    answer = follow(checkpoints=[broken])

    assert (answer.status_code, pointers(answer)) == (422, ["/checkpoints/0"])
    assert "do not fit" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("manifest", "inspection", "word"),
    [
        (features_manifest(), INSPECTION, "input"),
        (image_manifest(input={"kind": "image", "shape": [3, 9, 9]}), INSPECTION, "input"),
        (image_manifest(preprocessing={"resize": 20}), INSPECTION, "preprocessing"),
        (image_manifest(classes=["a", "b"]), INSPECTION, "classes"),
        (None, INSPECTION.model_copy(update={"outputs": 9}), "9 outputs"),
        (None, INSPECTION.model_copy(update={"capabilities": (Capability.GRADIENT,)}), "forward"),
    ],
)
def test_a_checkpoint_is_of_one_kind_with_the_model(follow, checkpoint, manifest, inspection, word):
    answer = follow(checkpoints=[checkpoint(manifest, inspection)])

    assert (answer.status_code, pointers(answer)) == (422, ["/checkpoints/0"])
    assert word in answer.json()["detail"]


def test_an_option_that_needs_more_of_the_model_says_so(follow, client, here, checkpoint):
    body = {"method": "profile", "input": inline(), "params": {"noise": [0.1]}}
    forward_only = checkpoint(inspection=INSPECTION.model_copy(update={"capabilities": (Capability.FORWARD,)}))

    answer = client.post("/v1/explanations", json={**body, "model": forward_only})

    assert (answer.status_code, answer.json()["code"]) == (422, "unsupported-model")
    assert pointers(answer) == ["/params/noise"]
    assert follow(params={"noise": [0.1]}).status_code == 202
    assert client.post("/v1/explanations", json={**body, "model": forward_only, "params": {}}).status_code == 202


# ---------------------------------------------------------------- life of the job


def test_a_checkpoint_is_kept_while_the_job_is_unfinished(client, here, follow, checkpoint):
    earlier = checkpoint()
    job_id = follow(checkpoints=[earlier]).json()["id"]

    assert client.delete(f"/v1/models/{earlier}").status_code == 409
    finish(here, job_id)
    assert client.delete(f"/v1/models/{earlier}").status_code == 204
    assert client.get(f"/v1/jobs/{job_id}").json()["checkpoints"] == [earlier]


def test_a_series_that_differs_in_what_matters_is_computed(follow, here, checkpoint):
    one, two = checkpoint(), checkpoint()
    given = {"checkpoints": [one, two], "samples": [inline(png(shade=1)), inline(png(shade=2))]}
    finish(here, follow(**given).json()["id"])

    assert follow(**given).json()["cached"]
    for change in ({"checkpoints": [two, one]}, {"checkpoints": [one]}, {"samples": given["samples"][:1]}):
        assert follow(**{**given, **change}).status_code == 202


def test_the_same_bytes_in_another_place_are_another_request(follow, here):
    shades = [inline(png(shade=1)), inline(png(shade=2))]
    finish(here, follow(input=shades[0], samples=shades[1:]).json()["id"])

    assert follow(input=shades[1], samples=shades[:1]).status_code == 202


def test_a_key_knows_the_parts_of_a_request(client, model_id):
    def post(shade: int):
        request = json.dumps({"model": model_id, "method": "profile"})
        files = [("request", (None, request)), ("image", ("x", png())), ("sample", ("x", png(shade=shade)))]
        return client.post("/v1/explanations", files=files, headers={"Idempotency-Key": "abc"})

    first = post(1)

    assert post(1).json()["id"] == first.json()["id"]
    assert post(2).json()["code"] == "idempotency-mismatch"


def test_a_retried_job_has_the_same_series(client, here, follow, checkpoint):
    earlier = checkpoint()
    first = follow(checkpoints=[earlier], samples=[inline(png(shade=1))]).json()
    fail(here, first["id"], UnsupportedModel("no"))

    again = client.post(f"/v1/jobs/{first['id']}:retry").json()

    assert again["id"] != first["id"]
    assert (again["checkpoints"], again["samples"]) == (first["checkpoints"], first["samples"])


def test_the_bytes_of_samples_live_as_long_as_a_job_needs_them(client, here, follow):
    job = follow(samples=[inline(png(shade=1))]).json()
    finish(here, job["id"], {})

    assert client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert not here.artifacts.exists(job["samples"][0]["sha256"])


def test_an_estimate_counts_samples_and_checkpoints(client, model_id, checkpoint):
    body = {
        "model": model_id, "method": "profile", "input": inline(), "samples": [inline(), inline()],
        "checkpoints": [checkpoint()], "params": {"players": 3, "noise": [0.1, 0.2, 0.3]},
    }  # fmt: skip

    document = client.post("/v1/explanations:estimate", json=body).json()

    assert document["cost"]["forwards"] == 2**3 * 3 * (2 + 3)
    assert document["seconds"] == 2**3 * 3 * 5 * 0.5


def test_several_equal_samples_are_several_samples(here, follow):
    job = follow(samples=[inline(), inline()]).json()

    assert len(job["samples"]) == 2
    finish(here, job["id"])
