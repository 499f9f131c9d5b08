"""The list of a finished job's interactions."""

from __future__ import annotations

import csv
import json

import pytest

from tests.unit.app.service import finish

NAMES = ("longitude", "latitude", "age")


def interaction(kind: str, *members: int, strength: float) -> dict[str, object]:
    return {
        "kind": kind, "members": members, "order": len(members), "strength": strength, "standard_error": None,
        "details": {"selected_in": 5},
    }  # fmt: skip


FOUND = [
    interaction("pair", 0, 1, strength=1.0),
    interaction("pair", 1, 2, strength=0.25),
    interaction("set", 0, 1, 2, strength=0.5),
]


def files(names: tuple[str, ...] | None = NAMES) -> dict[str, bytes]:
    result = {"method": "nid", "unit": "of the strongest", "players": {"names": names}, "interactions": FOUND}
    return {"result.json": json.dumps(result).encode()}


@pytest.fixture
def job_id(explain) -> str:
    made: str = explain().json()["id"]
    return made


@pytest.fixture
def listed(client, here, job_id):
    finish(here, job_id, files())

    def get(**parameters: object):
        return client.get(f"/v1/jobs/{job_id}/interactions", params=parameters)

    return get


def ranks(response) -> list[int]:
    return [item["rank"] for item in response.json()["items"]]


def test_all_interactions_come_in_the_result_s_order_with_their_members_names(listed):
    document = listed().json()

    assert (document["method"], document["unit"], document["total"]) == ("nid", "of the strongest", 3)
    assert [item["names"] for item in document["items"]] == [
        ["longitude", "latitude"], ["latitude", "age"], ["longitude", "latitude", "age"],
    ]  # fmt: skip
    assert document["items"][0]["details"] == {"selected_in": 5}
    assert document["next"] is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"kind": "pair"}, [1, 2]),
        ({"order": 3}, [3]),
        ({"member": "age"}, [2, 3]),
        ({"member": "0"}, [1, 3]),
        ({"member": "age", "kind": "pair"}, [2]),
        ({"member": "nobody"}, []),
    ],
)
def test_a_query_leaves_what_fits_it(listed, query, expected):
    assert ranks(listed(**query)) == expected


def test_pages_lead_through_all_that_fits(listed, client):
    first = listed(kind="pair", limit=1)
    following = client.get(first.json()["next"])

    assert ranks(first) == [1]
    assert first.headers["Link"] == f'<{first.json()["next"]}>; rel="next"'
    assert ranks(following) == [2]
    assert following.json()["next"] is None


def test_a_spreadsheet_gets_lines(client, here, job_id):
    finish(here, job_id, files(names=None))

    answer = client.get(f"/v1/jobs/{job_id}/interactions", headers={"Accept": "text/csv"})

    assert answer.headers["Content-Type"].startswith("text/csv")
    lines = list(csv.DictReader(answer.text.splitlines()))
    assert lines[2] == {
        "rank": "3", "kind": "set", "order": "3", "members": "0 & 1 & 2", "strength": "0.5", "standard_error": "",
    }  # fmt: skip


def test_a_job_that_has_not_ended_is_a_conflict(client, job_id):
    assert client.get(f"/v1/jobs/{job_id}/interactions").status_code == 409


@pytest.mark.parametrize("query", [{"limit": 0}, {"kind": "trio"}, {"cursor": "-1"}, {"colour": "red"}])
def test_a_query_that_means_nothing_is_refused(listed, query):
    assert listed(**query).status_code == 422
