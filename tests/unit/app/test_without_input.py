"""Methods that explain a network itself: a request holds no input, and one that does is refused."""

from __future__ import annotations

import pytest

from jobs import catalog
from jobs.schemas import Capability
from tests.unit.app.service import INSPECTION, features_manifest, inspect, safetensors, upload


@pytest.fixture
def ask(client, here, monkeypatch):
    """Ask the real `nid` of a model of eight features."""
    monkeypatch.undo()
    for cached in (catalog.methods, catalog._validator):
        cached.cache_clear()

    def post(*, found=INSPECTION, **changes):
        made = upload(client, features_manifest(8), artifact=safetensors(5)).json()["id"]
        inspect(here, made, found)
        return client.post("/v1/explanations", json={"method": "nid", "model": made, **changes})

    return post


def test_a_network_is_explained_without_an_input(ask):
    answer = ask()

    assert answer.status_code == 202
    assert answer.json()["input"] is None


def test_an_input_is_refused_where_none_is_used(ask):
    answer = ask(input={"features": [0.0] * 8})

    assert answer.status_code == 422
    assert "leave the input out" in answer.json()["detail"]


def test_a_method_that_needs_an_input_says_so(ask):
    assert ask(method="integrated-gradients").status_code == 422


def test_a_network_that_cannot_be_read_is_refused_with_the_reason(ask):
    reason = "it has a layer norm; use and-or instead"
    found = INSPECTION.model_copy(
        update={"capabilities": (Capability.FORWARD,), "obstacles": {Capability.MIXING_LAYER: reason}}
    )
    answer = ask(found=found)

    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (422, "unsupported-model", reason)


def test_scales_for_other_inputs_are_refused(ask):
    assert ask(params={"scale": [1.0]}).json()["errors"][0]["pointer"] == "/params/scale"


@pytest.mark.parametrize(
    ("groups", "pointer"),
    [
        ([{"inputs": [0, 8]}], "0/inputs/1"),
        ([{"inputs": ["feature 1", "nobody"]}], "0/inputs/1"),
        ([{"inputs": [0, 1]}, {"inputs": [2, "feature 1"]}], "1/inputs/1"),
        ([{"name": "colour", "inputs": [0, 1]}, {"name": "colour", "inputs": [2, 3]}], "1/name"),
        ([{"inputs": [0, 1], "shares": [1]}], "0/shares"),
        ([{"inputs": [0, 1], "shares": [0, 0]}], "0/shares"),
        ([{"inputs": [0, 1], "kind": "numbers", "shares": [1, 1]}], "0/shares"),
    ],
)
def test_groups_that_do_not_fit_the_inputs_are_refused_before_a_job(ask, client, groups, pointer):
    answer = ask(params={"groups": groups})

    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [f"/params/groups/{pointer}"]
    assert [job for job in client.get("/v1/jobs").json()["items"] if job["kind"] != "inspection"] == []


def test_groups_by_number_and_by_name_are_taken(ask):
    groups = [{"inputs": [0, "feature 1"], "shares": [1, 0]}, {"name": "place", "inputs": [6, 7], "kind": "numbers"}]

    assert ask(params={"groups": groups}).status_code == 202
