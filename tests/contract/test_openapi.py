"""The API does what its description says: every answer fits the schema of its status, whatever is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx2
import pytest
import schemathesis
from fastapi.openapi.models import OpenAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from app.main import create_app
from jobs import catalog
from jobs.settings import Settings
from tests.unit.app.service import BASE_URL, RecordingQueue, finish, inline, inspect, png, read_dataset, upload
from tests.unit.app.test_predictions import add
from tests.unit.jobs.predictors.l0_models import (
    TRAINING_ROWS,
    as_trained,
    sets_manifest,
    sets_tensors,
    table_manifest,
    tensors_of,
)
from tests.unit.worker.methods.l0_sign.rows import rows_of

EXAMPLES = 20  # an operation; enough for every keyword of its schemas to be met by some value

REFERENCE = "#/components/schemas/"


class Conforming:
    """A client that compares every answer with the description."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.document = client.get("/openapi.json").json()
        self.covered: set[tuple[str, str, int]] = set()

    def send(self, method: str, path: str, url: str, **options: object) -> httpx2.Response:
        """Send a request to `url`, which the description knows as `path`."""
        answer = self.client.request(method, url, **options)
        self.check(method, path, answer)
        return answer

    def check(self, method: str, path: str, answer: httpx2.Response) -> None:
        assert answer.status_code < 500, answer.text
        responses = self.document["paths"][path][method.lower()]["responses"]
        assert str(answer.status_code) in responses, (
            f"{method} {path} answered {answer.status_code}: {answer.text[:300]}"
        )
        content = responses[str(answer.status_code)].get("content", {})
        media_type = answer.headers.get("content-type", "").partition(";")[0]
        assert media_type in content if content else not answer.content
        if media_type.endswith("json"):
            self._validate(answer, content[media_type]["schema"])
        self.covered.add((method, path, answer.status_code))

    def _validate(self, answer: httpx2.Response, schema: object) -> None:
        root = {"$ref": "#/wanted", "wanted": schema, "components": self.document["components"]}
        value = json.loads(answer.text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
        Draft202012Validator(root).validate(value)


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[Conforming]:
    chosen = Settings(data_dir=tmp_path_factory.mktemp("data"), reaper_interval_seconds=3600.0, max_queued_jobs=10_000)
    with TestClient(create_app(chosen, queue=RecordingQueue()), base_url=BASE_URL) as client:
        yield Conforming(client)


@pytest.fixture(scope="module")
def model_id(service) -> str:
    made: str = upload(service.client).json()["id"]
    inspect(service.client.app.state.gateway, made)
    return made


def operations(document: dict) -> Iterator[tuple[str, str, dict]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_the_description_is_valid_openapi_3_1(service):
    assert service.document["openapi"].startswith("3.1")
    OpenAPI.model_validate(service.document)
    for schema in service.document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_operation_ids_are_unique_and_everything_is_tagged_and_summarised(service):
    found = list(operations(service.document))
    ids = [operation["operationId"] for _, _, operation in found]

    assert len(set(ids)) == len(ids)
    assert all(operation["tags"] and operation["summary"] for _, _, operation in found)


def test_clients_can_rely_on_the_operation_ids(service):
    """Generated clients name their functions by them: changing one breaks callers."""
    assert {operation["operationId"] for _, _, operation in operations(service.document)} == {
        "uploadModel", "listModels", "readModel", "deleteModel", "listMethods", "readMethod", "createExplanation",
        "estimateExplanation", "listJobs", "readJob", "deleteJob", "readResult", "listArtifacts", "readArtifact",
        "cancelJob", "retryJob", "scoreSet", "predictStates", "uploadDataset", "listDatasets",
        "readDataset", "deleteDataset", "createTraining", "listTrainingMethods", "readTrainingMethod",
        "predictRows", "explainRows", "listInteractions", "listJobInteractions", "live", "ready", "liveV2", "readyV2",
    }  # fmt: skip


def test_every_reference_leads_somewhere(service):
    def references(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from [inner] if key == "$ref" and isinstance(inner, str) else references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    named = set(references(service.document))

    assert named
    assert {name.removeprefix(REFERENCE) for name in named} <= set(service.document["components"]["schemas"])


def test_the_parameters_of_every_method_are_described(service):
    schemas = service.document["components"]["schemas"]

    for spec in catalog.methods().values():
        described = schemas[f"{spec.id}.params"]
        assert set(described.get("properties", {})) == set(spec.parameters.get("properties", {}))


def test_problems_are_described_for_everything_below_v1(service):
    for _, path, operation in operations(service.document):
        if path.startswith("/v1/"):
            assert {"401", "403", "422", "503"} <= set(operation["responses"])
            assert operation["security"]


def test_the_life_of_a_job_is_as_described(service, model_id):
    """Every kind of answer of every operation that a quiet server gives, once."""
    here = service.client.app.state.gateway
    send = service.send
    body = {"model": model_id, "method": "integrated-gradients", "input": inline()}
    job, other = (
        send("POST", "/v1/explanations", "/v1/explanations", json=body | {"seed": seed}).json()["id"] for seed in (1, 2)
    )
    send("POST", "/v1/explanations", "/v1/explanations", json=body | {"seed": "x"})
    send("POST", "/v1/explanations", "/v1/explanations", content="x")
    send("POST", "/v1/explanations", "/v1/explanations", json=body | {"model": "model_0"})
    files = {"request": (None, json.dumps({"model": model_id})), "image": ("x", png())}
    send("POST", "/v1/explanations:estimate", "/v1/explanations:estimate", files=files)
    send("GET", "/v1/jobs/{job_id}/result", f"/v1/jobs/{job}/result")
    send("DELETE", "/v1/jobs/{job_id}", f"/v1/jobs/{job}")
    finish(here, job)
    etag = send("GET", "/v1/jobs/{job_id}", f"/v1/jobs/{job}").headers["etag"]
    send("GET", "/v1/jobs/{job_id}", f"/v1/jobs/{job}", headers={"If-None-Match": etag})
    send("POST", "/v1/explanations", "/v1/explanations", json=body | {"seed": 1})
    for name in ("result.json", "saliency.png", "report.html", "path_gradients.npy", "nothing.png"):
        send("GET", "/v1/jobs/{job_id}/artifacts/{name}", f"/v1/jobs/{job}/artifacts/{name}")
    send("GET", "/v1/jobs/{job_id}/result", f"/v1/jobs/{job}/result")
    send("GET", "/v1/jobs/{job_id}/artifacts", f"/v1/jobs/{job}/artifacts")
    send("POST", "/v1/jobs/{job_id}/sets", f"/v1/jobs/{other}/sets", json={"members": [0]})
    send("POST", "/v1/jobs/{job_id}/states", f"/v1/jobs/{other}/states", json={"present": [[0]]})
    send("POST", "/v1/jobs/{job_id}/states", f"/v1/jobs/{job}/states", json={"present": [[0, "x"]]})
    send("POST", "/v1/jobs/{job_id}:cancel", f"/v1/jobs/{other}:cancel")
    send("POST", "/v1/jobs/{job_id}:cancel", f"/v1/jobs/{job}:cancel")
    send("GET", "/v1/jobs/{job_id}/result", f"/v1/jobs/{other}/result")
    send("POST", "/v1/jobs/{job_id}:retry", f"/v1/jobs/{other}:retry")
    send("POST", "/v1/jobs/{job_id}:retry", f"/v1/jobs/{job}:retry")
    send("DELETE", "/v1/jobs/{job_id}", f"/v1/jobs/{job}")
    send("DELETE", "/v1/jobs/{job_id}", f"/v1/jobs/{job}")
    send("DELETE", "/v1/models/{model_id}", f"/v1/models/{model_id}")
    for method, path in (("GET", "/v1/models/{model_id}"), ("GET", "/v1/methods/{method}")):
        send(method, path, path.partition("{")[0] + "nothing")
    for path in ("/v1/models", "/v1/jobs", "/v1/methods", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"):
        send("GET", path, path)
    send("GET", "/v1/methods/{method}", "/v1/methods/h-sets")
    send("GET", "/v1/jobs", "/v1/jobs?limit=0")


def test_the_life_of_a_dataset_and_a_training_is_as_described(service):
    here, send = service.client.app.state.gateway, service.send
    files = {"file": ("x", b"a,y\n1,2\n3,4\n")}
    made = send("POST", "/v1/datasets", "/v1/datasets", files=files, headers={"Prefer": "wait=0"}).json()["id"]
    send("POST", "/v1/datasets", "/v1/datasets", files=files, headers={"Prefer": "wait=0"})
    send("POST", "/v1/datasets", "/v1/datasets", files={"file": ("x", b"")})
    send("POST", "/v1/datasets", "/v1/datasets", content="x")
    layers = {"family": "sequential", "layers": [{"type": "linear", "outputs": 1}]}
    body = {"method": "classifier", "dataset": made, "architecture": layers}
    send("POST", "/v1/trainings", "/v1/trainings", json=body)
    read_dataset(here, made)
    etag = send("GET", "/v1/datasets/{dataset_id}", f"/v1/datasets/{made}").headers["etag"]
    send("GET", "/v1/datasets/{dataset_id}", f"/v1/datasets/{made}", headers={"If-None-Match": etag})
    send("GET", "/v1/datasets", "/v1/datasets")
    job = send("POST", "/v1/trainings", "/v1/trainings", json=body).json()["id"]
    send("POST", "/v1/trainings", "/v1/trainings", json={**body, "dataset": "dataset_0"})
    send("POST", "/v1/trainings", "/v1/trainings", json={**body, "params": {"epochs": 0}})
    send("GET", "/v1/jobs/{job_id}", f"/v1/jobs/{job}")
    send("DELETE", "/v1/datasets/{dataset_id}", f"/v1/datasets/{made}")
    send("POST", "/v1/jobs/{job_id}:cancel", f"/v1/jobs/{job}:cancel")
    send("POST", "/v1/jobs/{job_id}:retry", f"/v1/jobs/{job}:retry")
    send("GET", "/v1/trainings/methods", "/v1/trainings/methods")
    send("GET", "/v1/trainings/methods/{method}", "/v1/trainings/methods/classifier")
    send("GET", "/v1/trainings/methods/{method}", "/v1/trainings/methods/nothing")
    send("GET", "/v1/datasets/{dataset_id}", "/v1/datasets/nothing")
    send("DELETE", "/v1/datasets/{dataset_id}", "/v1/datasets/nothing")


def test_answers_for_rows_are_as_described(service):
    here, send = service.client.app.state.gateway, service.send
    model = as_trained()
    made = add(service.client, here, sets_manifest(model), sets_tensors(model))
    at = f"/v1/models/{made}"
    for rows in ([[3, 10, 99], []], [[3, "x"]], "x", [[[3, 2]]]):
        for verb in (":predict", ":explain"):
            send("POST", f"/v1/models/{{model_id}}{verb}", at + verb, json={"rows": rows})
    for query in ("", "?by=field", "?feature=3&limit=1", "?feature=x", "?limit=0"):
        send("GET", "/v1/models/{model_id}/interactions", f"{at}/interactions{query}")
    csv = {"Accept": "text/csv"}
    send("POST", "/v1/models/{model_id}:predict", f"{at}:predict", json={"rows": [[3]]}, headers=csv)
    send("GET", "/v1/models/{model_id}/interactions", f"{at}/interactions", headers=csv)
    send("GET", "/v1/models/{model_id}", at)


# ---------------------------------------------------------------- fuzzing

fuzzed = settings(
    max_examples=EXAMPLES,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)


def test_no_request_that_follows_the_description_breaks_the_server(service, model_id):
    schema = schemathesis.openapi.from_dict(service.document)
    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @fuzzed
        def conforms(case: schemathesis.Case) -> None:
            _send(service, case)

        conforms()


def _send(service: Conforming, case: schemathesis.Case) -> None:
    options = case.as_transport_kwargs(base_url=BASE_URL)
    sent = {name: options[name] for name in ("params", "headers", "json", "data", "files") if options.get(name)}
    sent["headers"] = {**sent.get("headers", {}), "Prefer": "wait=0"}
    if "files" in sent:
        sent["files"] = [(name, (None, _text(content))) for name, content in sent["files"]]
    answer = service.client.request(options["method"], options["url"], **sent)
    if answer.status_code not in (405, 404):  # an id that is empty or holds a slash leads to another route
        service.check(options["method"], case.operation.path, answer)
    assert answer.status_code < 500


def _text(content: object) -> str | bytes:
    """A part as it is sent; the generator leaves JSON parts, and tuples with a file name, as they are in Python."""
    value = content[1] if isinstance(content, tuple) else content
    return value if isinstance(value, str | bytes) else json.dumps(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
FIELDS = st.sampled_from(
    ["method", "model", "input", "target", "params", "seed", "priority", "deadline_seconds", "tags", "x"]
)


@given(changes=st.dictionaries(FIELDS, JSON, max_size=4))
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
def test_no_json_breaks_the_server(service, model_id, changes):
    body = {"model": model_id, "method": "integrated-gradients", "input": inline()} | changes

    for path in ("/v1/explanations", "/v1/explanations:estimate"):
        service.send("POST", path, path, json=body)


@pytest.fixture(scope="module")
def row_models(service) -> list[str]:
    """Ready models that are asked by rows: of sets, with values, and of a table."""
    model, here = as_trained(), service.client.app.state.gateway
    valued = sets_manifest(model, valued=True), sets_tensors(model)
    table = table_manifest(model), tensors_of(model, rows_of(*TRAINING_ROWS))
    return [add(service.client, here, *made) for made in (valued, table)]


CELLS = st.none() | st.booleans() | st.sampled_from(["Oslo", "Gmail", ""]) | st.integers() | st.floats(allow_nan=False)
ROWS = (
    st.lists(st.integers(-5, 12) | st.lists(CELLS, max_size=3) | CELLS, max_size=5)
    | st.fixed_dictionaries({"city": CELLS, "age": CELLS, "app": CELLS}, optional={"x": CELLS})
    | JSON
)


@given(
    rows=st.lists(ROWS, max_size=3) | JSON,
    top=st.integers(-1, 30) | CELLS,
    verb=st.sampled_from(["predict", "explain"]),
)
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_no_rows_break_the_server(service, row_models, rows, top, verb):
    body = {"rows": rows} | ({"top": top} if verb == "explain" else {})

    for model in row_models:
        at = f"/v1/models/{model}:{verb}"
        text = json.dumps(body).replace("Infinity", "1e999")
        json_type = {"Content-Type": "application/json"}
        service.send("POST", f"/v1/models/{{model_id}}:{verb}", at, content=text, headers=json_type)


@given(
    body=st.binary(max_size=300), media_type=st.sampled_from(["application/json", "multipart/form-data; boundary=b"])
)
@settings(max_examples=100, suppress_health_check=list(HealthCheck))
def test_no_bytes_break_the_server(service, body, media_type):
    for path in ("/v1/explanations", "/v1/models", "/v1/datasets", "/v1/trainings"):
        service.send("POST", path, path, content=body, headers={"Content-Type": media_type})
