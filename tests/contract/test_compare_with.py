"""Values from elsewhere at the gateway: what the catalogue's schema and rules refuse before a job exists."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from jobs.settings import Settings
from tests.unit.app.service import BASE_URL, RecordingQueue, features_manifest, inspect, safetensors, upload

PLAYERS = 4


@pytest.fixture(scope="module")
def post(tmp_path_factory) -> Iterator[Any]:
    chosen = Settings(data_dir=tmp_path_factory.mktemp("data"), reaper_interval_seconds=3600.0)
    with TestClient(create_app(chosen, queue=RecordingQueue()), base_url=BASE_URL) as client:
        model = upload(client, features_manifest(PLAYERS), artifact=safetensors(5)).json()["id"]
        inspect(client.app.state.gateway, model)
        body = {"model": model, "method": "and-or", "input": {"features": [1.0, 2.0, 3.0, 4.0]}}

        def post(values: object, **params: object) -> Any:
            text = json.dumps(body | {"params": {"compare_with": values, **params}})
            return client.post("/v1/explanations", content=text, headers={"Content-Type": "application/json"})

        yield post


def values(data: object = None, **metadata: object) -> dict[str, Any]:
    return {
        "object_name": "InteractionValues",
        "version": "9.9",
        "metadata": {"index": "k-SII", "n_players": PLAYERS, "max_order": 2, "estimation_budget": 12} | metadata,
        "data": {"Empty": 0.5, "0": 1.0, "1,3": -2.0} if data is None else data,
    }


def test_a_file_of_the_same_players_is_taken(post):
    assert post(values()).status_code == 202
    assert post(None).status_code == 202


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        (values(n_players=5), ""),
        (values(n_players=3), ""),
        (values(n_players=21), "/metadata/n_players"),
        (values(n_players="4"), "/metadata/n_players"),
        (values(index="ELC"), "/metadata/index"),
        (values(max_order=0), "/metadata/max_order"),
        (values({"0": "1"}), "/data/0"),
        (values({"0": 1e300}), "/data/0"),
        (values({"0": 10**400}), "/data/0"),
        (values({"x": 1.0}), "/data"),
        (values({"0, 1": 1.0}), "/data"),
        (values({str(key): 0.0 for key in range(20_001)}), "/data"),
        (values([1.0]), "/data"),
        ({"data": {}}, ""),
        ([], ""),
        ("x", ""),
    ],
)
def test_what_is_no_such_file_is_refused_with_a_pointer(post, given, pointer):
    answer = post(given)

    assert answer.status_code == 422
    pointers = [fault["pointer"] for fault in answer.json()["errors"]]
    assert any(found.startswith(f"/params/compare_with{pointer}") for found in pointers), answer.text


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_json_has_not_are_refused(post, number):
    assert post(values({"0": number})).status_code == 422


def test_groups_count_as_players(post):
    assert post(values(n_players=2), groups=[[0, 1], [2]]).status_code == 202
    assert post(values(), groups=[[0, 1], [2]]).status_code == 422


def test_a_megabyte_of_parameters_is_too_much(post):
    answer = post(values() | {"description": "x" * (1 << 20)})

    assert answer.status_code == 413
