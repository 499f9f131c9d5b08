"""Who may talk to the service, how much, and what a browser may do with it."""

from __future__ import annotations

import hashlib
import json

import pytest
from starlette.testclient import TestClient

from app.docs_page import docs_page
from app.guard import is_loopback
from app.main import create_app
from tests.unit.app.service import image_manifest, inspect, safetensors, upload
from tests.unit.app.test_predictions import add
from tests.unit.jobs.predictors.l0_models import as_trained, sets_manifest, sets_tensors


def test_an_open_service_must_not_be_reachable_from_elsewhere(settings):
    with pytest.raises(ValueError, match="INTERPLAY_API_KEYS"):
        create_app(settings.model_copy(update={"host": "0.0.0.0"}))


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.0.0.1:8000", True), ("localhost:1", True), ("LOCALHOST", True), ("[::1]:8000", True),
     ("127.8.8.8", True), ("evil.example", False), ("localhost.evil.example", False), ("127.0.0.1.evil.example", False),
     ("192.168.1.5:8000", False), ("", False), ("[", False), ("a@127.0.0.1", False), ("127.0.0.1/evil", False),
     ("0.0.0.0", False), ("127.0.0.1:x", True)],
)  # fmt: skip
def test_only_names_of_this_machine_are_loopback(host, expected):
    assert is_loopback(host) is expected


def test_a_rebound_name_is_refused(client):
    answer = client.get("/v1/jobs", headers={"Host": "evil.example:8000"})

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:8000"])
def test_a_page_of_another_origin_cannot_post(client, origin, settings):
    answer = client.post("/v1/models", headers={"Origin": origin}, files={"artifact": ("m", b"x")})

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_a_page_of_this_service_can_post(client):
    answer = client.post("/v1/explanations", json={}, headers={"Origin": "http://127.0.0.1:8000"})

    assert answer.status_code == 422


# ---------------------------------------------------------------- keys


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@pytest.fixture
def keyed(settings, queue):
    keys = {digest("alpha"): "team-a", digest("beta").upper(): "team-b"}
    exposed = settings.model_copy(update={"api_keys": keys, "host": "0.0.0.0"})
    with TestClient(create_app(exposed, queue=queue), base_url="http://interplay.example") as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic YTpi"}, {"X-API-Key": ""}, {"X-API-Key": "gamma"},
     {"X-API-Key": digest("alpha")}, {"Authorization": "Bearer"},
     {"Authorization": "Bearer \xe4\xf6".encode("latin-1")}],
)  # fmt: skip
def test_without_a_known_key_there_is_no_answer(keyed, headers):
    for path in ("/v1/jobs", "/v1/methods", "/v1/models", "/v1/jobs/job_0", "/v1/methods/h-sets"):
        answer = keyed.get(path, headers=headers)

        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "headers", [{"Authorization": "Bearer alpha"}, {"authorization": "bearer beta"}, {"X-API-Key": "alpha"}]
)
def test_with_a_known_key_there_is(keyed, headers):
    assert keyed.get("/v1/jobs", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/v2/health/live", "/v2/health/ready", "/docs", "/openapi.json"]
)
def test_health_and_documentation_need_no_key(keyed, path):
    assert keyed.get(path).status_code == 200


def test_an_upload_without_a_key_is_refused_before_it_is_read(keyed):
    def body():
        yield b"x"
        raise AssertionError("the body was read on")

    answer = keyed.post("/v1/models", content=body(), headers={"Content-Type": "multipart/form-data; boundary=b"})

    assert answer.status_code == 401


def test_another_tenant_sees_nothing(keyed):
    alpha, beta = {"X-API-Key": "alpha"}, {"X-API-Key": "beta"}
    here = keyed.app.state.gateway
    model_id = upload(keyed, **alpha).json()["id"]
    inspect(here, model_id, tenant="team-a")
    body = {"model": model_id, "input": {"image": "x"}}
    job_path = keyed.get(f"/v1/models/{model_id}", headers=alpha).json()["links"]["inspection"]

    seen = {
        f"/v1/models/{model_id}": ("GET", "DELETE"),
        job_path: ("GET", "DELETE"),
        f"{job_path}/result": ("GET",),
        f"{job_path}/artifacts": ("GET",),
        f"{job_path}/artifacts/result.json": ("GET",),
        f"{job_path}:cancel": ("POST",),
        f"{job_path}:retry": ("POST",),
    }
    for path, methods in seen.items():
        for method in methods:
            assert keyed.request(method, path, headers=beta).status_code == 404, path
    assert keyed.post("/v1/explanations", json=body, headers=beta).status_code == 404
    assert keyed.post(f"{job_path}/sets", json={"members": [1]}, headers=beta).status_code == 404
    assert keyed.get("/v1/models", headers=beta).json()["items"] == []
    assert keyed.get("/v1/jobs", headers=beta).json()["items"] == []
    assert keyed.get(f"/v1/models/{model_id}", headers=alpha).status_code == 200


def test_rows_are_answered_to_the_model_s_own_tenant_only(keyed):
    alpha, beta = {"X-API-Key": "alpha"}, {"X-API-Key": "beta"}
    manifest, tensors = sets_manifest(as_trained()), sets_tensors(as_trained())
    made = add(keyed, keyed.app.state.gateway, manifest, tensors, tenant="team-a", **alpha)
    asked = [("POST", ":predict"), ("POST", ":explain"), ("GET", "/interactions")]

    def answers(headers: dict[str, str]) -> list[int]:
        return [
            keyed.request(verb, f"/v1/models/{made}{path}", headers=headers, json={"rows": [[3]]}).status_code
            for verb, path in asked
        ]

    assert (answers(alpha), answers(beta), answers({})) == ([200] * 3, [404] * 3, [401] * 3)


def test_equal_models_of_two_tenants_are_two_models(keyed):
    answers = [upload(keyed, **{"X-API-Key": key}) for key in ("alpha", "beta")]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["id"] != answers[1].json()["id"]


# ---------------------------------------------------------------- bodies


@pytest.mark.parametrize("path", ["/v1/explanations", "/v1/jobs/job_0:retry", "/v1/jobs/job_0/sets", "/v1/models"])
def test_a_body_that_announces_too_much_is_refused_at_once(client, path):
    answer = client.post(path, content=b"x", headers={"Content-Length": str(10**12)})

    assert (answer.status_code, answer.json()["code"]) == (413, "input-too-large")


def test_a_body_without_a_length_is_cut_off_at_the_cap(client):
    sent = 0

    def endless():
        nonlocal sent
        while sent < 100:
            sent += 1
            yield b" " * 1_000_000

    answer = client.post("/v1/explanations", content=endless(), headers={"Content-Type": "application/json"})

    assert answer.status_code == 413


def test_every_answer_forbids_sniffing(client):
    for path in ("/docs", "/v1/jobs", "/nowhere", "/openapi.json"):
        assert client.get(path).headers["x-content-type-options"] == "nosniff"


def test_the_documentation_loads_nothing_from_elsewhere(client):
    answer = client.get("/docs")

    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text
    assert "//cdn" not in answer.text
    assert client.get("/", follow_redirects=False).headers["location"] == "/docs"


def test_the_documentation_shows_markdown_and_escapes_the_rest():
    info = {"title": "<b>", "version": "1", "description": "What they do *together*, `a < b`.\n\nMore: 2 * 3 * 4."}

    page = docs_page({"info": info, "paths": {}, "components": {"schemas": {}}})

    assert "<p>What they do <em>together</em>, <code>a &lt; b</code>.</p><p>More: 2 * 3 * 4.</p>" in page
    assert "<b>" not in page


def test_ready_says_what_is_away(client, here, queue):
    from jobs.errors import QueueUnavailable

    queue.failure = QueueUnavailable("no broker")

    for path in ("/readyz", "/v2/health/ready"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (503, "queue-unavailable")
    assert client.get("/healthz").status_code == 200


def test_an_upload_by_chunks_is_taken(client):
    boundary = b"b"
    parts = (
        b'--b\r\nContent-Disposition: form-data; name="manifest"\r\n\r\n' + json.dumps(image_manifest()).encode(),
        b'\r\n--b\r\nContent-Disposition: form-data; name="artifact"\r\n\r\n',
        *(bytes([byte]) for byte in safetensors()),
        b"\r\n--b--\r\n",
    )

    answer = client.post(
        "/v1/models",
        content=iter(parts),
        headers={"Content-Type": f"multipart/form-data; boundary={boundary.decode()}", "Prefer": "wait=0"},
    )

    assert answer.status_code == 201
    assert answer.json()["sha256"] == hashlib.sha256(safetensors()).hexdigest()
