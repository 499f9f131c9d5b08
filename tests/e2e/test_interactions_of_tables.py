"""A table is uploaded, and the columns that act together come back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from tests.e2e.service import Service, running, wait_for

PARAMS = {"trials": 2, "l1": [1e-4, 1e-3], "epochs": 25, "hidden": [16, 8], "batch_size": 40}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("tables")) as service:
        yield service


def csv() -> str:
    draw = np.random.default_rng(0)
    x, side = draw.uniform(-1, 1, (600, 2)), draw.integers(0, 2, 600)
    lines = [
        f"{a:.4f},{'' if row % 50 == 0 else f'{b:.4f}'},{('left', 'right')[s]},7,{20 + 3 * (a if s else -a) + b:.4f}"
        for row, ((a, b), s) in enumerate(zip(x, side, strict=True))
    ]
    return "\n".join(["height,weight,side,version,price", *lines]) + "\n"


@pytest.fixture(scope="module")
def dataset(service: Service) -> str:
    files = {"file": ("rows.csv", csv()), "manifest": (None, json.dumps({"target": "price"}))}
    answer = service.client.post("/v1/datasets", files=files, headers={"Prefer": "wait=60"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["status"] == "ready", answer.text
    return str(answer.json()["id"])


def check_served(service: Service, model: str, job: str) -> None:
    """The additive model predicts the table that it was made from, and takes its predictions apart."""
    rows = [
        dict(zip(("height", "weight", "side", "version", "price"), line.split(","), strict=True))
        for line in csv().splitlines()[1:]
    ]
    sent = [
        {"height": float(row["height"]), "weight": float(row["weight"]) if row["weight"] else None, "side": row["side"]}
        for row in rows
    ]  # fmt: skip
    document = service.client.get(f"/v1/models/{model}").json()
    predicted = service.client.post(document["links"]["predict"], json={"rows": sent}).json()["rows"]
    prices = np.array([float(row["price"]) for row in rows])
    errors = prices - [row["score"] for row in predicted]
    assert errors.var() < 0.2 * prices.var()
    (row,) = service.client.post(document["links"]["explain"], json={"rows": sent[:1]}).json()["rows"]
    assert row["residual"] <= 1e-9
    assert ["height", "side"] in [term["columns"] for term in row["terms"]]
    terms = service.client.get(document["links"]["interactions"], params={"feature": "side"}).json()["items"]
    assert terms[0]["features"] == ["height", "side"]
    assert document["trained_by"] == job
    assert not any(method["supported"] for method in document["methods"].values())


def test_columns_that_act_together_are_found_over_http(service: Service, dataset: str) -> None:
    request = {"method": "nid", "dataset": dataset, "params": {**PARAMS, "known": [["height", "side"]]}}
    posted = service.client.post("/v1/trainings", json=request)
    assert posted.status_code == 202, posted.text
    job = service.finished(posted.json()["id"])
    assert job["status"] == "succeeded", job

    result = service.client.get(f"/v1/jobs/{job['id']}/result").json()
    names = result["players"]["names"]
    strongest = next(one for one in result["interactions"] if one["kind"] == "pair")
    assert [names[member] for member in strongest["members"]] == ["height", "side"]
    assert result["details"]["trusted"], result["checks"]
    assert result["details"]["constant_columns"] == ["version"]
    check_served(service, result["model"], job["id"])
    for name in ("heatmap.png", "ranking.png", "cutoff.png", "shapes.png", "training.png"):
        picture = service.client.get(f"/v1/jobs/{job['id']}/artifacts/{name}")
        assert Image.open(BytesIO(picture.content)).size[0] > 400, name
    shapes = service.client.get(f"/v1/jobs/{job['id']}/artifacts/shapes.json").json()
    assert {"side", "height"} <= {main["name"] for main in shapes["mains"]}


def test_progress_names_epochs_and_networks_and_a_search_can_be_canceled(service: Service, dataset: str) -> None:
    request = {"method": "nid", "dataset": dataset, "params": {**PARAMS, "epochs": 1000, "patience": 1000}}
    job_id = service.client.post("/v1/trainings", json=request).json()["id"]

    def measured() -> dict[str, object] | None:
        progress = service.job(job_id)["progress"]
        return progress if progress.get("metrics") and progress["done"] else None

    progress = wait_for(measured)
    assert (progress["stage"], progress["total"]) == ("train", 1000)
    assert progress["metrics"]["networks_training"] == 4  # type: ignore[index]
    assert service.client.post(f"/v1/jobs/{job_id}:cancel").status_code in (200, 202)
    assert service.finished(job_id)["status"] == "canceled"


def test_a_table_with_one_column_that_varies_is_refused_with_a_reason(service: Service) -> None:
    rows = "a,b,y\n" + "\n".join(f"{row},7,{row % 11}" for row in range(40)) + "\n"
    files = {"file": ("rows.csv", rows), "manifest": (None, json.dumps({"target": "y", "task": "regression"}))}
    made = service.client.post("/v1/datasets", files=files, headers={"Prefer": "wait=60"}).json()

    job = service.client.post("/v1/trainings", json={"method": "nid", "dataset": made["id"]}).json()
    job = service.finished(job["id"])

    assert job["status"] == "failed"
    assert "two columns or more" in job["error"]["detail"]


def test_a_table_with_too_few_rows_is_refused_at_once(service: Service) -> None:
    files = {"file": ("rows.csv", "a,b,y\n1,2,3\n2,3,4\n"), "manifest": (None, json.dumps({"target": "y"}))}
    made = service.client.post("/v1/datasets", files=files, headers={"Prefer": "wait=60"}).json()

    answer = service.client.post("/v1/trainings", json={"method": "nid", "dataset": made["id"]})

    assert answer.status_code == 422
    assert "30" in answer.text


def test_an_onnx_file_is_read_and_its_interactions_come_back_at_once(service: Service) -> None:
    """y = relu(x0 + x1) - relu(x2), and x3 as it is."""
    weights = numpy_helper.from_array(np.array([[1, 1, 0, 0], [0, 0, 1, 0.1]], np.float32), "W")
    last = numpy_helper.from_array(np.array([[1, -1, 0, 0, 0, 1]], np.float32), "V")
    nodes = [
        helper.make_node("Gemm", ["x", "W"], ["h"], transB=1), helper.make_node("Relu", ["h"], ["a"]),
        helper.make_node("Concat", ["a", "x"], ["both"], axis=1),
        helper.make_node("Gemm", ["both", "V"], ["y"], transB=1),
    ]  # fmt: skip
    described = [("x", ("batch", 4)), ("y", ("batch", 1))]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in described]
    file = helper.make_model(helper.make_graph(nodes, "network", ends[:1], ends[1:], [weights, last]))
    files = {"artifact": file.SerializeToString(), "manifest": json.dumps({"architecture": {"family": "onnx"}})}

    model = service.client.post("/v1/models", files=files, headers={"Prefer": "wait=60"}).json()
    request = {"method": "nid", "model": model["id"]}
    answer = service.client.post("/v1/explanations", json=request, headers={"Prefer": "wait=60"})

    assert [one["type"] for one in model["manifest"]["architecture"]["nodes"]] == ["linear", "relu", "concat", "linear"]
    assert model["methods"]["nid"]["supported"]
    assert answer.status_code == 200
    found = service.client.get(f"/v1/jobs/{answer.json()['id']}/result").json()["interactions"]
    assert [one["members"] for one in found] == [[0, 1], [2, 3]]
    assert [one["strength"] for one in found] == pytest.approx([1.0, 0.1])
