"""Rules of the catalogue: parameters that do not go together, or not with the input, are refused before a job."""

from __future__ import annotations

import pytest

from jobs import catalog
from tests.unit.app.service import features_manifest, inspect, safetensors, upload


@pytest.fixture
def ask(client, here):
    """Ask for a method with parameters, of a model of eight features; keyword arguments change the body."""
    made = upload(client, features_manifest(8), artifact=safetensors(5)).json()["id"]
    inspect(here, made)

    def post(params, *, route="", **changes):
        body = {"model": made, "input": {"features": [0.5] * 8}, "params": params, **changes}
        return client.post(f"/v1/explanations{route}", json=body)

    return post


@pytest.fixture
def real_catalogue(monkeypatch):
    """The methods as they are, in place of the few that other tests are about."""
    monkeypatch.undo()
    for cached in (catalog.methods, catalog._validator):
        cached.cache_clear()


def pointers(answer):
    return [fault["pointer"] for fault in answer.json()["errors"]]


def test_a_broken_rule_is_refused_at_its_parameter(ask):
    answer = ask({"pairs": 9}, method="profile")

    assert (answer.status_code, pointers(answer)) == (422, ["/params/pairs"])


def test_every_broken_rule_is_named(ask):
    answer = ask({"pairs": 9}, method="profile", target={"index": 0, "against": 1})

    assert pointers(answer) == ["/params/pairs", "/params/pairs"]


def test_an_estimate_is_refused_likewise(ask):
    assert ask({"pairs": 9}, method="profile", route=":estimate").status_code == 422


@pytest.mark.parametrize(
    ("params", "parameter"),
    [
        ({"count": 9}, "count"),
        ({"count": 3, "groups": [[0], [1]]}, "count"),
        ({"players": "grid"}, "players"),
        ({"layer": "0"}, "layer"),
        ({"baseline": "blur"}, "baseline"),
        ({"baseline": "given"}, "baseline_values"),
        ({"baseline": "given", "baseline_values": [0.0]}, "baseline_values"),
        ({"baseline_values": [0.0] * 8}, "baseline"),
        ({"player_baselines": ["zeros"] * 9}, "player_baselines"),
        ({"prior": "given"}, "regions"),
    ],
)
def test_the_real_methods_of_games_refuse_what_runners_would(ask, real_catalogue, params, parameter):
    answer = ask(params, method="and-or")

    assert answer.status_code == 422
    assert f"/params/{parameter}" in pointers(answer)


def test_the_real_and_or_is_estimated_by_its_players(ask, real_catalogue):
    all_columns, some, groups = (
        ask(params, method="and-or", route=":estimate").json()["cost"]["forwards"]
        for params in ({}, {"count": 3}, {"groups": [[0, 1], [2]]})
    )

    assert all_columns - some == 2**8 - 2**3
    assert some - groups == 2**3 - 2**2
