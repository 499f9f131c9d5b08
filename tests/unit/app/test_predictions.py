"""Asking models by rows: what is answered, what is refused and how, and who may ask."""

from __future__ import annotations

import csv
import io
import threading
from typing import Any

import numpy as np
import pytest
import torch

from app.predictor_cache import PredictorCache
from jobs.schemas import Inspection, Manifest
from tests.unit.app.service import features_manifest, inspect, safetensors, upload
from tests.unit.jobs.predictors.l0_models import (
    TRAINING_ROWS,
    VOCABULARY,
    as_trained,
    sets_manifest,
    sets_tensors,
    table_manifest,
    tensors_of,
)
from tests.unit.worker.methods.l0_sign.rows import rows_of
from worker.methods.l0_sign.explain import contributions
from worker.models.formats import write_state

SAME = 1e-6
"""The file's table holds float32 numbers around 1, the network of these tests computes in float64."""

INSPECTION = Inspection(parameters=1, outputs=1, capabilities=(), seconds_forward=0.001, activation_bytes=0)
ROW = {"city": "Oslo", "age": 55, "app": "Gmail"}


def add(client, here, manifest: Manifest, tensors: dict[str, np.ndarray], tenant: str = "local", **headers: str) -> str:
    """Upload a model and let it be found good."""
    artifact = write_state({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})
    answer = upload(client, manifest.model_dump_json(), artifact=artifact, **headers)
    made: str = answer.json()["id"]
    inspect(here, made, INSPECTION, tenant)
    return made


@pytest.fixture
def sets_model(client, here) -> str:
    return add(client, here, sets_manifest(as_trained()), sets_tensors(as_trained()))


@pytest.fixture
def table_model(client, here) -> str:
    model = as_trained()
    return add(client, here, table_manifest(model), tensors_of(model, rows_of(*TRAINING_ROWS)))


def additive(task: str, outputs: int) -> tuple[Manifest, dict[str, np.ndarray]]:
    """Return a model of two columns whose networks are single layers: 2 a, and 3 where the city is Oslo."""
    classes = {"binary": ["no", "yes"], "multiclass": ["low", "mid", "high"]}.get(task)
    architecture = {
        "family": "additive", "task": task, "constant": ["one"], "hidden": [], "main_hidden": [],
        "columns": [{"name": "a"}, {"name": "city", "categories": ["Basel", "Oslo"]}],
        "mean": 10.0 if task == "regression" else 0.0,
    }  # fmt: skip
    weights = np.zeros((3, 1, outputs), np.float32)
    weights[0], weights[2] = 2, 3
    tensors = {
        "mains.0.weight": weights * np.arange(1, outputs + 1, dtype=np.float32),
        "interactions.0.weight": np.zeros((0, 3, outputs), np.float32),
        "interactions.0.bias": np.zeros((0, outputs), np.float32),
        "terms.mean": np.stack([np.zeros(outputs), np.ones(outputs)]),
        "terms.size": np.stack([np.full(outputs, 0.5), np.arange(outputs) + 1.0]),
    }
    shape = {"kind": "row", "shape": [2]}
    return Manifest.model_validate({"architecture": architecture, "input": shape, "classes": classes}), tensors


@pytest.fixture
def ask(client):
    def post(model_id: str, rows: Any, verb: str = "predict", **more: Any):
        return client.post(f"/v1/models/{model_id}:{verb}", json={"rows": rows, **more})

    return post


def test_rows_of_sets_are_predicted_with_probabilities(ask, sets_model):
    document = ask(sets_model, [[3, 10], [], [-5, 99]]).json()

    margins = contributions(as_trained(), rows_of([1, 2], [], [0, -1])).margins
    assert (document["model"], document["task"], document["unit"]) == (sets_model, "binary", "logits")
    for row, margin in zip(document["rows"], margins.tolist(), strict=True):
        score = 1 / (1 + np.exp(-margin))
        assert row["margin"] == pytest.approx(margin, abs=SAME)
        assert row["score"] == pytest.approx(score, abs=SAME)
        assert row["probabilities"] == pytest.approx([1 - score, score], abs=SAME)
        assert row["label"] == document["classes"][margin > 0]
    assert [row["unknown"] for row in document["rows"]] == [[], [], ["99"]]
    assert "empty" in document["rows"][1]["notes"][0]


def test_an_explanation_adds_up_and_names_features_and_fields(ask, sets_model):
    document = ask(sets_model, [[3, 10, 11, 40], []], "explain", top=3).json()

    row, empty = document["rows"]
    assert row["residual"] <= SAME
    assert row["bias"] + row["sum"] == pytest.approx(row["explained"], abs=SAME)
    assert sum(edge["contribution"] for edge in row["edges"]) + row["remainder"] == pytest.approx(row["sum"], abs=1e-12)
    sizes = [abs(edge["contribution"]) for edge in row["edges"]]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == min(3, row["kept"])
    assert (row["possible"], row["target"], row["terms"]) == (10, "yes", None)
    fields = dict(zip(map(str, VOCABULARY), ("app", "app", "app", *["place"] * 4), strict=True))
    for edge in row["edges"]:
        assert 0 < edge["gate"] <= 1
        assert edge["fields"] == [fields[name] for name in edge["features"]]
    assert (empty["edges"], empty["sum"], empty["explained"]) == ([], 0, empty["bias"])


def test_rows_of_a_table_are_objects_by_column(ask, table_model):
    document = ask(table_model, [ROW, {**ROW, "city": "Paris", "age": None}], "explain", top=50).json()

    assert document["rows"][1]["unknown"] == ["city=Paris"]
    names = {name for edge in document["rows"][0]["edges"] for name in edge["features"]}
    assert names <= {"city=Oslo", "age", "app=Gmail"}


@pytest.mark.parametrize(("task", "outputs"), [("regression", 1), ("binary", 1), ("multiclass", 3)])
def test_an_additive_model_answers_with_terms(ask, client, here, task, outputs):
    model_id = add(client, here, *additive(task, outputs))
    scale = 3 if task == "multiclass" else 1
    base = 10 if task == "regression" else 0

    (predicted,) = ask(model_id, [{"a": 1.5, "city": "Oslo", "one": 7}]).json()["rows"]
    (row,) = ask(model_id, [{"a": 1.5, "city": "Oslo"}], "explain").json()["rows"]

    assert predicted["margin"] == row["margin"] == row["explained"] == base + 6 * scale
    assert row["label"] == row["target"] == {"binary": "yes", "multiclass": "high"}.get(task)
    if task == "regression":
        assert (row["score"], row["probabilities"]) == (16, None)
    else:
        logits = np.array([6.0, 12, 18] if task == "multiclass" else [0, 6])
        expected = np.exp(logits) / np.exp(logits).sum()
        assert row["probabilities"] == pytest.approx(expected.tolist())
        assert row["score"] == pytest.approx(expected[-1])
    assert row["terms"] == [
        {"columns": ["a"], "contribution": 3 * scale},
        {"columns": ["city"], "contribution": 3 * scale - 1},
    ]
    assert (row["bias"], row["residual"], row["edges"], row["kept"]) == (base + 1, 0, None, 2)


def test_the_class_to_explain_can_be_chosen_by_name_or_index(ask, client, here):
    model_id = add(client, here, *additive("multiclass", 3))

    by_name, by_index, strange, beyond = (
        ask(model_id, [{"a": 1, "city": "Oslo"}], "explain", target=target) for target in ("mid", 1, "nothing", 3)
    )

    assert by_name.json() == by_index.json()
    (row,) = by_name.json()["rows"]
    assert (row["target"], row["explained"], row["label"], row["margin"]) == ("mid", 10, "high", 15)
    for refused in (strange, beyond):
        assert refused.json()["errors"][0]["pointer"] == "/target"


def test_what_the_model_learned_comes_strongest_first_and_in_pages(client, sets_model):
    path = f"/v1/models/{sets_model}/interactions"
    whole = client.get(path, params={"limit": 1000}).json()

    collected, following = [], f"{path}?limit=4"
    while following:
        page = client.get(following)
        collected += page.json()["items"]
        following = page.json()["next"]
        assert ("link" in page.headers) == (following is not None)

    assert collected == whole["items"]
    assert len(collected) == whole["total"]
    weights = [item["size"] * item["support"] for item in collected]
    assert weights == sorted(weights, reverse=True)
    assert whole["training_rows"] == len(TRAINING_ROWS)
    (pair,) = [item for item in collected if item["features"] == ["3", "10"]]
    assert (pair["support"], pair["fields"], pair["kept_in"]) == (3, ["app", "app"], None)


def test_interactions_of_one_feature_are_means_over_the_rows_that_have_both(client, sets_model):
    items = client.get(f"/v1/models/{sets_model}/interactions", params={"feature": "3"}).json()["items"]

    found = contributions(as_trained(), rows_of(*TRAINING_ROWS))
    values: dict[frozenset[str], list[float]] = {}
    for first, second, value in zip(
        found.rows.features[found.pairs.first].tolist(), found.rows.features[found.pairs.second].tolist(),
        found.values.tolist(), strict=True,
    ):  # fmt: skip
        pair = frozenset("(unknown)" if one < 0 else str(VOCABULARY[one]) for one in (first, second))
        values.setdefault(pair, []).append(value)
    mine = {pair: found for pair, found in values.items() if "3" in pair}
    assert {frozenset(item["features"]) for item in items} == set(mine)
    for item in items:
        expected = mine[frozenset(item["features"])]
        assert item["contribution"] == pytest.approx(np.mean(expected), abs=SAME)
        assert item["support"] == len(expected)


def test_fields_add_their_pairs_up(client, sets_model):
    path = f"/v1/models/{sets_model}/interactions"
    pairs = client.get(path, params={"limit": 1000}).json()["items"]

    fields = client.get(path, params={"by": "field", "feature": "place"}).json()["items"]

    assert {tuple(item["fields"]) for item in fields} == {("app", "place"), ("place",)}
    for item in fields:
        mine = [pair for pair in pairs if None not in pair["fields"] and set(pair["fields"]) == set(item["fields"])]
        rows = sum(pair["support"] for pair in mine)
        assert item["support"] == rows
        mean = sum(pair["contribution"] * pair["support"] for pair in mine) / rows
        assert item["contribution"] == pytest.approx(mean, abs=1e-12)
        assert item["gate"] == pytest.approx(sum(pair["support"] for pair in mine if pair["gate"] > 0) / rows)


def test_confidence_over_seeds_is_told_where_it_is_known(client, here):
    model = as_trained()
    tensors = sets_tensors(model)
    pairs = len(tensors["table.keys"])
    more = {"table.kept": np.full(pairs, 2), "table.spread": np.full(pairs, 0.25)}
    model_id = add(client, here, sets_manifest(model, networks=3), tensors | more)

    document = client.get(f"/v1/models/{model_id}/interactions").json()

    assert document["networks"] == 3
    assert {(item["kept_in"], item["spread"]) for item in document["items"]} == {(2, 0.25)}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"feature": "Gmail"}, ""),
        ({"feature": "app=Gmail"}, ""),
        ({"feature": "age"}, ""),
        ({"feature": "Oslo"}, "several features are called 'Oslo': city=Oslo, app=Oslo"),
        ({"feature": "Atlantis"}, "no feature of the model is called 'Atlantis'"),
        ({"feature": "age=3"}, "no feature"),
        ({"by": "field", "feature": "city"}, ""),
        ({"by": "field", "feature": "Oslo"}, "no field of the model is called 'Oslo'; there are city, age, app"),
        ({"by": "name"}, "query parameter by"),
        ({"limit": 0}, "query parameter limit"),
        ({"cursor": "x"}, "query parameter cursor"),
        ({"feture": "Oslo"}, "query parameter feture"),
    ],
)
def test_features_are_found_by_name(client, table_model, params, words):
    answer = client.get(f"/v1/models/{table_model}/interactions", params=params)

    assert answer.status_code == (422 if words else 200), answer.text
    assert words in answer.text


def test_models_without_fields_say_so(client, here):
    model = as_trained()
    tensors = {name: tensor for name, tensor in sets_tensors(model).items() if name != "field_of"}
    model_id = add(client, here, sets_manifest(model, fields=()), tensors)

    answer = client.get(f"/v1/models/{model_id}/interactions", params={"by": "field"})

    assert (answer.status_code, "no fields" in answer.text) == (422, True)
    assert "query parameter by" in answer.text


@pytest.mark.parametrize(
    ("body", "pointer", "words"),
    [
        ({}, "/rows", "Field required"),
        ({"rows": []}, "/rows", "at least 1"),
        ({"rows": [[3]] * 10_001}, "/rows", "at most 10000"),
        ({"rows": {"a": 1}}, "/rows", "valid"),
        ({"instances": [[3]]}, "", "instances"),
        ({"rows": [[3], [3, "x"]]}, "/rows/1/1", "expected an id"),
        ({"rows": [[3], {"city": "Oslo"}]}, "/rows/1", "expected a list of ids"),
        ({"rows": [[3]], "top": 3}, "/top", "unknown field"),
    ],
)
def test_a_body_that_is_no_request_is_refused_at_its_pointer(client, sets_model, body, pointer, words):
    answer = client.post(f"/v1/models/{sets_model}:predict", json=body)

    assert answer.status_code == 422, answer.text
    assert words in answer.text
    assert any(fault["pointer"].startswith(pointer) for fault in answer.json()["errors"])


@pytest.mark.parametrize("text", ['{"rows": [[3, NaN]]}', '{"rows": [[[3, 1e999]]]}', "x", '{"rows":' + "[" * 5000])
def test_numbers_that_are_none_are_refused(client, sets_model, text):
    answer = client.post(f"/v1/models/{sets_model}:predict", content=text, headers={"Content-Type": "application/json"})

    assert answer.status_code == 422, answer.text


def test_an_explanation_is_bounded(ask, sets_model):
    assert ask(sets_model, [[3]] * 257, "explain").status_code == 422
    many = ask(sets_model, [[3]] * 256, "explain", top=196)

    assert (many.status_code, many.json()["errors"][0]["pointer"]) == (422, "/top")
    assert "target" in ask(sets_model, [[3]], "explain", target=1).json()["errors"][0]["pointer"]


def test_a_body_above_the_cap_is_refused_and_so_is_another_media_type(client, sets_model):
    path = f"/v1/models/{sets_model}:predict"
    json_type = {"Content-Type": "application/json"}

    assert client.post(path, content=b" " * ((8 << 20) + 1), headers=json_type).status_code == 413
    assert client.post(path, content="a,b", headers={"Content-Type": "text/csv"}).status_code == 415


@pytest.mark.parametrize("verb", [":predict", ":explain", "/interactions"])
def test_networks_are_asked_elsewhere(client, here, model_id, verb):
    inspecting = upload(client, features_manifest(), artifact=safetensors(5)).json()["id"]

    def send(model: str):
        url = f"/v1/models/{model}{verb}"
        return client.get(url) if verb[0] == "/" else client.post(url, json={"rows": [[1]]})

    assert send(model_id).status_code == 422
    assert "POST /v1/explanations" in send(model_id).json()["detail"]
    assert (send(inspecting).status_code, send("model_0").status_code) == (409, 404)


def test_no_job_explains_a_model_that_is_asked_by_rows(client, sets_model):
    document = client.get(f"/v1/models/{sets_model}").json()
    answer = client.post(
        "/v1/explanations", json={"method": "profile", "model": sets_model, "input": {"features": [1]}}
    )

    assert all(":explain" in method["reason"] for method in document["methods"].values())
    assert document["links"]["predict"] == f"/v1/models/{sets_model}:predict"
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/method")
    assert ":predict" in answer.json()["detail"]


def test_a_deleted_model_answers_nothing_more(client, ask, sets_model):
    assert ask(sets_model, [[3]]).status_code == 200

    client.delete(f"/v1/models/{sets_model}")

    assert ask(sets_model, [[3]]).status_code == 404


def test_a_model_whose_bytes_are_just_being_deleted_is_not_found(ask, here, sets_model):
    here.artifacts.delete(here.store.model(sets_model, "local").sha256)

    assert ask(sets_model, [[3]]).status_code == 404


def test_predictions_and_interactions_come_as_csv_when_asked(client, ask, sets_model):
    accept = {"Accept": "text/csv, application/json"}
    predictions = client.post(f"/v1/models/{sets_model}:predict", json={"rows": [[3], [99]]}, headers=accept)
    interactions = client.get(f"/v1/models/{sets_model}/interactions?limit=2", headers=accept)

    assert predictions.headers["content-type"].startswith("text/csv")
    first, second = csv.DictReader(io.StringIO(predictions.text))
    expected = ask(sets_model, [[3], [99]]).json()["rows"]
    assert [float(first["score"]), second["unknown"]] == [expected[0]["score"], "99"]
    assert float(first["p(yes)"]) == expected[0]["probabilities"][1]
    assert len(list(csv.DictReader(io.StringIO(interactions.text)))) == 2
    assert 'rel="next"' in interactions.headers["link"]


def test_json_is_answered_to_whoever_does_not_ask_for_csv_first(client, sets_model):
    for accept in ("*/*", "application/json, text/csv", "text/html"):
        answer = client.get(f"/v1/models/{sets_model}/interactions", headers={"Accept": accept})
        assert answer.headers["content-type"] == "application/json"


class CountingStore:
    """Counts how often a model's bytes are asked for."""

    def __init__(self, artifacts: Any) -> None:
        self.artifacts, self.opened = artifacts, 0

    def local_path(self, sha256: str) -> Any:
        self.opened += 1
        return self.artifacts.local_path(sha256)


def test_a_model_is_opened_once_however_many_ask(here, sets_model):
    model, store, cache = here.store.model(sets_model, "local"), CountingStore(here.artifacts), PredictorCache(1 << 20)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(cache.get(model, store))) for _ in range(4)]  # type: ignore[arg-type]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (store.opened, len({id(one) for one in found}), len(found)) == (1, 1, 4)
    assert cache.used_bytes == found[0].size_bytes > 0


def test_the_cache_keeps_to_its_budget(here, sets_model, table_model):
    first, second = (here.store.model(one, "local") for one in (sets_model, table_model))
    size = PredictorCache(1 << 20).get(first, here.artifacts).size_bytes
    store, cache = CountingStore(here.artifacts), PredictorCache(size)

    for model in (first, second, second, first):
        cache.get(model, store)  # type: ignore[arg-type]
        assert cache.used_bytes <= size

    assert store.opened == 3
    nothing = PredictorCache(0)
    assert nothing.get(first, here.artifacts).predict([[3]]).margins.shape == (1, 1)
    assert nothing.used_bytes == 0
