"""What is refused before anything is kept or queued. One gateway serves all these tests: none of them changes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest
from starlette.testclient import TestClient

from app.inputs import FLOAT32_MAX
from app.main import create_app
from jobs.schemas import Job
from jobs.settings import Settings
from tests.unit.app.service import (
    BASE_URL,
    RecordingQueue,
    features_manifest,
    image_manifest,
    inline,
    inspect,
    kept,
    png,
    safetensors,
    spooled,
    upload,
)


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Settings:
    folder = tmp_path_factory.mktemp("data")
    return Settings(data_dir=folder, reaper_interval_seconds=3600.0, max_input_mib=1, max_model_mib=1)


@pytest.fixture(scope="module")
def queue() -> RecordingQueue:
    return RecordingQueue()


@pytest.fixture(scope="module")
def client(settings, queue) -> Iterator[TestClient]:
    with TestClient(create_app(settings, queue=queue), base_url=BASE_URL) as client:
        yield client


@pytest.fixture(scope="module")
def model_id(client) -> str:
    return ready(client, image_manifest(), safetensors())


@pytest.fixture(scope="module")
def features_model_id(client) -> str:
    return ready(client, features_manifest(), safetensors(5))


def ready(client: TestClient, manifest: object, artifact: bytes) -> str:
    made: str = upload(client, manifest, artifact=artifact).json()["id"]
    inspect(client.app.state.gateway, made)
    return made


@pytest.fixture
def rung(queue, model_id) -> list[Job]:
    return queue.rung


@pytest.fixture
def explain(client, model_id):
    def post(headers: Mapping[str, str] | None = None, **changes: object):
        body = {"model": model_id, "input": inline(), **changes}
        return client.post("/v1/explanations", json=body, headers=dict(headers or {}))

    return post


@pytest.fixture(autouse=True)
def nothing_is_kept(settings, model_id, features_model_id) -> Iterator[None]:
    before = kept(settings)
    yield
    assert sorted(kept(settings)) == sorted(before)
    assert spooled(settings) == []


def pointers(answer) -> list[str]:
    return [fault["pointer"] for fault in answer.json()["errors"]]


@pytest.mark.parametrize(
    ("changes", "status", "pointer"),
    [
        ({"methd": "h-sets"}, 422, "/methd"),
        ({"seed": "3"}, 422, "/seed"),
        ({"seed": -1}, 422, "/seed"),
        ({"seed": 2**63}, 422, "/seed"),
        ({"seed": True}, 422, "/seed"),
        ({"params": []}, 422, "/params"),
        ({"params": {"stepz": 3}}, 422, "/params/stepz"),
        ({"params": {"steps": 0}}, 422, "/params/steps"),
        ({"params": {"steps": "30"}}, 422, "/params/steps"),
        ({"params": {"preset": "mine"}}, 422, "/params/preset"),
        ({"params": {"region": {"size": "x"}}}, 422, "/params/region/size"),
        ({"params": {"prior": "sam"}}, 422, "/params/prior"),
        ({"target": 10}, 422, "/target/index"),
        ({"target": -1}, 422, "/target"),
        ({"target": "cat"}, 422, "/target"),
        ({"target": {"index": 1, "against": 10}}, 422, "/target/against"),
        ({"target": {"index": 1, "against": 1}}, 422, "/target"),
        ({"input": None}, 422, "/input"),
        ({"input": {}}, 422, "/input"),
        ({"input": {"image": "a", "features": [1]}}, 422, "/input"),
        ({"input": {"features": [1.0]}}, 422, "/input/features"),
        ({"input": {"image": "not base64!"}}, 422, "/input/image"),
        ({"input": {"image": "ünïcode"}}, 422, "/input/image"),
        ({"input": {"image": ""}}, 422, "/input/image"),
        ({"input": inline(b"GIF89a")}, 422, "/input/image"),
        ({"input": inline(png()[:-5])}, 422, "/input/image"),
        ({"input": inline(png(1, 1))}, 422, "/input/image"),
        ({"priority": "urgent"}, 422, "/priority"),
        ({"deadline_seconds": 0}, 422, "/deadline_seconds"),
        ({"deadline_seconds": 1e9}, 422, "/deadline_seconds"),
        ({"tags": [""]}, 422, "/tags/0"),
        ({"tags": ["x"] * 17}, 422, "/tags"),
        ({"tags": ["x" * 65]}, 422, "/tags/0"),
    ],
)
def test_a_field_at_fault_is_named(explain, rung, changes, status, pointer):
    before = len(rung)

    answer = explain(**changes)

    assert answer.status_code == status
    assert pointer in pointers(answer)
    assert len(rung) == before


@pytest.mark.parametrize(
    "body", ["", "{", "null", "[]", '{"model": NaN}', '{"model": "\\ud800"}', "[" * 100_000, "\x00"]
)
def test_a_body_that_is_no_object_is_refused(client, body):
    answer = client.post("/v1/explanations", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid-parameters"


def test_a_form_from_another_page_is_refused_by_its_media_type(client):
    answer = client.post("/v1/explanations", content="{}", headers={"Content-Type": "text/plain"})

    assert answer.status_code == 415


@pytest.mark.parametrize(
    ("values", "pointer"),
    [
        ([1, 2, 3], "/input/features"),
        ([1, 2, 3, 4, 5], "/input/features"),
        ([1, 2, 3, 2 * FLOAT32_MAX], "/input/features/3"),
        ([1, "2", 3, 4], "/input/features/1"),
        ([1, None, 3, 4], "/input/features/1"),
    ],
)
def test_features_that_do_not_fit_are_refused(client, features_model_id, values, pointer):
    body = {"model": features_model_id, "method": "gradient", "input": {"features": values}}

    answer = client.post("/v1/explanations", json=body)

    assert answer.status_code == 422
    assert pointer in pointers(answer)


def test_numbers_beyond_float64_are_refused(client, features_model_id):
    body = f'{{"model": "{features_model_id}", "method": "gradient", "input": {{"features": [1, 2, 3, 1e999]}}}}'

    answer = client.post("/v1/explanations", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 422


def test_a_picture_for_a_model_of_features_is_refused(client, features_model_id):
    answer = client.post("/v1/explanations", json={"model": features_model_id, "method": "gradient", "input": inline()})

    assert (answer.status_code, pointers(answer)) == (422, ["/input/image"])


def test_a_method_that_cannot_explain_the_model_says_why(client, features_model_id):
    answer = client.post("/v1/explanations", json={"model": features_model_id, "input": {"features": [1, 2, 3, 4]}})

    assert (answer.status_code, answer.json()["code"]) == (422, "unsupported-model")
    assert "image" in answer.json()["detail"]


@pytest.mark.parametrize(("method", "status"), [("h-set", 422), ("", 422), ("x" * 65, 422)])
def test_an_unknown_method_is_refused(explain, method, status):
    assert explain(method=method).status_code == status


def test_an_unknown_model_is_not_found(explain):
    assert explain(model="model_0").status_code == 404


def test_a_picture_of_too_many_pixels_is_refused_by_its_header(explain):
    assert explain(
        input=inline(png(8, 8).replace(b"\x00\x00\x00\x08\x00\x00\x00\x08", b"\x00\x00\x4e\x20" * 2))
    ).status_code in (413, 422)


def test_a_picture_of_too_many_bytes_is_refused(client, model_id):
    files = {"request": (None, json.dumps({"model": model_id})), "image": ("x", bytes(1_100_000))}

    assert client.post("/v1/explanations", files=files).status_code == 413


def test_a_picture_twice_is_refused(client, model_id):
    files = {"request": (None, json.dumps({"model": model_id, "input": inline()})), "image": ("x", png())}

    answer = client.post("/v1/explanations", files=files)

    assert (answer.status_code, pointers(answer)) == (422, ["/input"])


@pytest.mark.parametrize("key", ["", "x" * 201, "a b", "tab\there"])
def test_a_malformed_key_is_refused(explain, key):
    assert explain(headers={"Idempotency-Key": key}).status_code == 422


def test_an_unknown_architecture_is_answered_with_close_names(client):
    answer = upload(client, {"architecture": "resnet-18"})

    assert answer.status_code == 422
    assert "did you mean resnet18" in answer.json()["detail"]
    assert answer.json()["errors"][0]["pointer"] == "/architecture"


@pytest.mark.parametrize(
    ("manifest", "pointer"),
    [
        ("{", None),
        ("[]", ""),
        ('{"architecture": "resnet18", "extra": 1}', "/extra"),
        ("{}", "/architecture"),
        ('{"architecture": 3}', "/architecture"),
        ('{"architecture": {"family": "resnet"}}', "/architecture"),
        ('{"architecture": {"family": "sequential", "layers": []}}', "/architecture/layers"),
        ('{"architecture": {"family": "sequential", "layers": [{"type": "lstm"}]}}', "/architecture/layers/0/type"),
        ('{"architecture": {"family": "torchvision"}}', "/architecture/name"),
        ('{"architecture": "resnet18", "input": {"shape": [3, 0, 5]}}', "/input/shape/1"),
        ('{"architecture": "resnet18", "preprocessing": {"std": [0, 1, 1]}}', "/preprocessing"),
        ('{"architecture": "resnet18", "preprocessing": {"mean": [NaN, 1, 1]}}', None),
        (json.dumps({"architecture": "resnet18", "classes": ["cat", "x" * 201]}), "/classes/1"),
        (
            json.dumps(features_manifest(1) | {"input": {"kind": "features", "shape": [1], "names": ["x" * 201]}}),
            "/input/names/0",
        ),
        (b"\xff\xfe".decode("latin-1"), None),
    ],
)
def test_a_manifest_at_fault_is_refused_with_a_pointer(client, manifest, pointer):
    answer = upload(client, manifest)

    assert answer.status_code == 422
    pointers = [fault["pointer"] for fault in answer.json()["errors"]]
    assert pointers[:1] == ([] if pointer is None else [pointer])


def test_a_manifest_of_a_hundred_thousand_names_is_read_and_a_larger_one_refused(client):
    # An unknown architecture is noticed only once the manifest has been read.
    read, refused = (
        upload(client, image_manifest(architecture="resnet-18", classes=["x" * letters] * 100_000))
        for letters in (30, 50)
    )

    assert (read.json()["code"], refused.json()["code"]) == ("unsupported-model", "input-too-large")


def test_a_hostile_artifact_leaves_nothing_behind(client):
    answer = upload(client, artifact=b"\x80\x02cposix\nsystem\n.")

    assert answer.status_code == 422
    assert answer.json()["code"] == "unsafe-model"


def test_an_artifact_beyond_the_cap_is_refused_while_it_arrives(client):
    answer = upload(client, artifact=safetensors(300_000))

    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"manifest": (None, "{}")}, "artifact"),
        ({"artifact": ("m", b"x")}, "manifest"),
        ({"artifact": ("m", b"x"), "manifest": (None, "{}"), "evil": (None, "x")}, "evil"),
        ([("artifact", ("m", b"x")), ("artifact", ("m", b"x")), ("manifest", (None, "{}"))], "twice"),
    ],
)
def test_parts_that_are_missing_unknown_or_twice_there_are_named(client, files, said):
    answer = client.post("/v1/models", files=files)

    assert answer.status_code == 422
    assert said in answer.json()["detail"]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=", b"x"),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b"no boundary in here"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="artifact"\r\n\r\nabc'),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"X: y\r\n" * 100),
        ("multipart/form-data; boundary=b", b"--b\r\nX: " + b"y" * 10_000),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\nno name\r\n--b--\r\n"),
        (f"multipart/form-data; boundary={'b' * 300}", b"x"),
    ],
)
def test_a_malformed_multipart_body_is_refused(client, content_type, body):
    answer = client.post("/v1/models", content=body, headers={"Content-Type": content_type})

    assert answer.status_code == 422
