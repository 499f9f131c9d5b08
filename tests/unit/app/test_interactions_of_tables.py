"""Requests for the real `nid` of a table: what contradicts itself or the columns is refused before a job exists."""

from __future__ import annotations

import pytest

from jobs import catalog
from jobs.datasets import Column, DatasetInspection
from tests.unit.app.service import read_dataset, upload_dataset

COLUMNS = tuple(Column(name=name, type="numeric", missing=0, constant=False) for name in ("age", "rooms"))
FOUND = DatasetInspection(kind="table", format="csv", task="regression", rows=100, columns=COLUMNS, target="price")


@pytest.fixture
def train(client, here, monkeypatch):
    monkeypatch.undo()
    for cached in (catalog.trainings, catalog._validator):
        cached.cache_clear()
    dataset = upload_dataset(client).json()["id"]
    read_dataset(here, dataset, FOUND)

    def post(**params):
        return client.post("/v1/trainings", json={"method": "nid", "dataset": dataset, "params": params})

    return post


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"l1": [1e-4, 0.0001]}, "l1"),
        ({"compare": ["fast", "fast"]}, "compare"),
        ({"validation": 0.45, "test": 0.45}, "test"),
        ({"known": [["age", "rooms"], ["age", "roms"]]}, "known/1/1"),
        ({"known": [["age", "age"]]}, "known/0"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_place(train, client, params, pointer):
    answer = train(**params)

    assert answer.status_code == 422
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [f"/params/{pointer}"]
    assert [job for job in client.get("/v1/jobs").json()["items"] if job["kind"] != "inspection"] == []


def test_what_can_be_done_is_taken(train):
    assert train(l1=[1e-4, 1e-3], validation=0.4, test=0.4, known=[["age", "rooms"]]).status_code == 202
