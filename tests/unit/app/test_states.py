"""Asking a finished job's logical model about masked states."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from tests.unit.app.service import finish, npy

EXACT = 1e-12
"""Sums of a few float64 numbers around 1, in another order."""

PLAYERS = 5
NAMES = ("age", "income", "rooms", "the", "the")


def arrays() -> tuple[np.ndarray, np.ndarray]:
    """Random atoms and values of five players."""
    random = np.random.default_rng(3)
    atoms = random.normal(size=(2, 1 << PLAYERS))
    atoms[:, 0] = 0
    return atoms, random.normal(size=1 << PLAYERS)


def logical_files(**changes: Any) -> dict[str, bytes]:
    """What an and-or job keeps; two players have the same name."""
    atoms, table = arrays()
    result = {"unit": "log-odds", "players": {"kind": "feature", "shape": [PLAYERS], "names": NAMES} | changes}
    return {
        "result.json": json.dumps(result).encode(),
        "atoms.npy": npy(atoms),
        "table.npy": npy(table),
    }


@pytest.fixture
def job_id(explain) -> str:
    made: str = explain().json()["id"]
    return made


@pytest.fixture
def ask(client, here, job_id):
    finish(here, job_id, logical_files())

    def post(**body: Any):
        return client.post(f"/v1/jobs/{job_id}/states", json=body)

    return post


def test_every_state_has_the_prediction_by_definition(ask):
    atoms, table = arrays()
    states = [[player for player in range(PLAYERS) if bits >> player & 1] for bits in range(1 << PLAYERS)]

    document = ask(present=states, top=100).json()

    assert (document["unit"], document["players"]) == ("log-odds", PLAYERS)
    assert document["constant"] == table[0]
    for bits, found in enumerate(document["states"]):
        ands = [float(atoms[0, s]) for s in range(1, 1 << PLAYERS) if s & bits == s]
        ors = [float(atoms[1, s]) for s in range(1, 1 << PLAYERS) if s & bits]
        assert found["present"] == states[bits]
        assert found["prediction"] == pytest.approx(table[0] + sum(ands) + sum(ors), abs=EXACT)
        assert found["value"] == table[bits]
        assert found["difference"] == pytest.approx(found["value"] - found["prediction"], abs=EXACT)
        assert len(found["triggered"]) == len(ands) + len(ors)
        assert found["remainder"] == pytest.approx(0, abs=EXACT)


def test_states_are_given_by_index_or_name_and_by_who_is_absent(ask):
    by_name = ask(present=[["age", 3, "rooms"]]).json()

    assert by_name == ask(present=[[3, 2, 0]]).json() == ask(absent=[["income", 4]]).json()
    assert by_name["states"][0]["present"] == [0, 2, 3]


def test_the_strongest_triggered_interactions_are_named(ask):
    (state,) = ask(present=[["age", "rooms"]], top=3).json()["states"]

    strengths = [abs(atom["strength"]) for atom in state["triggered"]]
    assert strengths == sorted(strengths, reverse=True)
    assert len(strengths) == 3
    for atom in state["triggered"]:
        assert atom["names"] == [NAMES[member] for member in atom["members"]]
        assert atom["order"] == len(atom["members"])
        assert atom["kind"] == ("main" if atom["order"] == 1 else atom["kind"]) != "set"
        assert atom["kind"] != "and" or set(atom["members"]) <= {0, 2}
        assert set(atom["members"]) & {0, 2}


def test_with_nothing_listed_the_remainder_is_everything(ask):
    (state,) = ask(absent=[[]], top=0).json()["states"]

    assert state["triggered"] == []
    assert state["remainder"] == pytest.approx(state["prediction"] - arrays()[1][0], abs=EXACT)


@pytest.mark.parametrize(
    ("body", "pointer", "words"),
    [
        ({}, "", "exactly one of present and absent"),
        ({"present": [[0]], "absent": [[0]]}, "", "exactly one of present and absent"),
        ({"present": []}, "/present", "at least 1"),
        ({"present": [[0]] * 257}, "/present", "at most 256"),
        ({"present": [list(range(65))]}, "/present/0", "at most 64"),
        ({"present": [[0], [1, 5]]}, "/present/1/1", "from 0 to 4, got 5"),
        ({"absent": [[-1]]}, "/absent/0/0", "from 0 to 4, got -1"),
        ({"present": [[10**30]]}, "/present/0/0", "from 0 to 4"),
        ({"present": [[0, 1, 0]]}, "/present/0/2", "0 twice"),
        ({"present": [[0, "age"]]}, "/present/0/1", "'age' twice"),
        ({"present": [["Age"]]}, "/present/0/0", "'Age'; there are 'age', 'income', 'rooms', 'the'"),
        ({"present": [["the"]]}, "/present/0/0", r"players \[3, 4\] are all named 'the'"),
        ({"present": [["x" * 201]]}, "/present/0/0", ""),
        ({"present": [[True]]}, "/present/0/0", ""),
        ({"present": [[1.0]]}, "/present/0/0", ""),
        ({"present": [[None]]}, "/present/0/0", ""),
        ({"present": [0]}, "/present/0", ""),
        ({"present": [[0]], "top": 101}, "/top", "100"),
        ({"present": [[0]], "top": -1}, "/top", ""),
        ({"states": [[0]]}, "/states", "unknown field"),
    ],
)
def test_what_is_no_state_of_the_job_is_refused(ask, body, pointer, words):
    answer = ask(**body)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    (fault, *_) = answer.json()["errors"]
    assert fault["pointer"] == pointer
    assert re.search(words, fault["detail"])


@pytest.mark.parametrize("body", [b"", b"[]", b'{"present": [[NaN]]}', b'{"present": ' + b"[" * 5000, b"\xff"])
def test_bodies_that_are_no_request_are_refused(client, here, job_id, ask, body):
    answer = client.post(f"/v1/jobs/{job_id}/states", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 422


def test_players_without_names_are_asked_for_by_index(client, here, job_id):
    finish(here, job_id, logical_files(names=None))

    named = client.post(f"/v1/jobs/{job_id}/states", json={"present": [["age"]]})
    numbered = client.post(f"/v1/jobs/{job_id}/states", json={"present": [[0]]})

    assert named.status_code == 422
    assert "no names, only indices" in named.json()["detail"]
    assert {atom["names"] for atom in numbered.json()["states"][0]["triggered"]} == {None}


def test_a_job_without_a_logical_model_is_a_conflict(client, here, job_id):
    unfinished = client.post(f"/v1/jobs/{job_id}/states", json={"present": [[0]]})
    finish(here, job_id)
    other = client.post(f"/v1/jobs/{job_id}/states", json={"present": [[0]]})

    assert (unfinished.status_code, unfinished.json()["code"]) == (409, "not-finished")
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert "only a finished and-or job" in other.json()["detail"]
    assert client.post("/v1/jobs/job_0/states", json={"present": [[0]]}).status_code == 404


def test_a_job_that_can_be_asked_says_where(client, ask, job_id):
    links = client.get(f"/v1/jobs/{job_id}").json()["links"]

    assert links["states"] == f"/v1/jobs/{job_id}/states"
    assert "sets" not in links


def test_a_store_that_is_no_folder_answers_the_same(ask, here, monkeypatch):
    first = ask(present=[[0, 1]]).json()

    monkeypatch.setattr(here.artifacts, "local_path", lambda sha256: None)

    assert ask(present=[[0, 1]]).json() == first


def test_files_that_are_deleted_meanwhile_are_not_found(ask, here, job_id):
    for artifact in here.store.job(job_id, "local").artifacts:
        here.artifacts.delete(artifact.sha256)

    assert ask(present=[[0]]).status_code == 404
