"""Values from elsewhere against the exact ones."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from jobs.errors import InvalidParameters
from worker.methods._games import Game, table
from worker.methods._indices import AnyIndex, index_values
from worker.methods._interchange import to_shapiq, value_function
from worker.methods._masking import Masking
from worker.methods._shared_values import SharedValues
from worker.methods.and_or.comparison import check, compare, details, read

EXACT = 1e-12
N = 5
NAMES = tuple("abcde")


def random_table(n: int = N, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=1 << n))


def shared(index: AnyIndex = "SII", order: int = 2, n: int = N, smallest: int = 0, **data: float) -> dict:
    """A file of values for `data`, such as `_0_1=0.5` for players 0 and 1."""
    metadata = {"index": index, "n_players": n, "max_order": order, "min_order": smallest, "baseline_value": 0.0}
    return {"metadata": metadata, "data": {name.strip("_").replace("_", ","): value for name, value in data.items()}}


def of_table(table: torch.Tensor, index: str, order: int = 2) -> dict:
    return json.loads(json.dumps(to_shapiq(index_values(table, index, order=order))))


@pytest.mark.parametrize("index", ["SV", "BV", "SII", "BII", "k-SII", "STII", "FSII"])
def test_exact_values_agree_exactly(index):
    table = random_table()

    found = compare(SharedValues.model_validate(of_table(table, index)), table)

    assert found.largest_difference == found.rms_difference == 0.0
    assert (found.r_squared, found.missing) == (1.0, 0)
    assert len(found.places) == (N if index in ("SV", "BV") else N + N * (N - 1) // 2)


def test_differences_are_those_of_the_definition():
    table = random_table()
    exact = index_values(table, "SII", order=2)
    document = of_table(table, "SII")
    document["data"]["1,3"] += 0.5
    document["data"]["2"] -= 0.25
    del document["data"]["0,4"]

    found = compare(SharedValues.model_validate(document), table)

    by_set = dict(zip(exact.sets, exact.values.tolist(), strict=True))
    errors = [0.5, 0.25, by_set[0, 4]]
    spread = sum((value - np.mean(list(by_set.values()))) ** 2 for value in by_set.values())
    assert found.missing == 1
    assert found.largest_difference == pytest.approx(max(map(abs, errors)), abs=EXACT)
    assert found.rms_difference == pytest.approx((sum(e**2 for e in errors) / 15) ** 0.5, abs=EXACT)
    assert found.r_squared == pytest.approx(1 - sum(e**2 for e in errors) / spread, abs=EXACT)
    worst = details(found, NAMES)["worst"]
    assert {tuple(one["members"]) for one in worst[:3]} == {(1, 3), (2,), (0, 4)}
    at = next(one for one in worst if one["members"] == [1, 3])
    assert at["players"] == ["b", "d"]
    assert at["given"] - at["exact"] == pytest.approx(0.5, abs=EXACT)


def test_the_moebius_transform_is_compared_with_the_dividends():
    table = torch.tensor([1.0, 2.0, 4.0, 9.0], dtype=torch.float64)  # dividends 1, 1, 3, 4

    found = compare(SharedValues.model_validate(shared("Moebius", 2, 2, _0=1.0, _1=3.0, _0_1=4.0)), table)

    assert found.largest_difference == 0.0
    assert found.exact.tolist() == [1.0, 3.0, 4.0]


def test_sets_below_the_smallest_order_are_not_compared():
    document = of_table(random_table(), "SII")
    document["metadata"]["min_order"] = 2
    document["data"] = {key: value for key, value in document["data"].items() if "," in key}

    found = compare(SharedValues.model_validate(document), random_table())

    assert (len(found.places), found.missing, found.largest_difference) == (10, 0, 0.0)


def test_a_game_without_spread_has_no_r_squared():
    table = torch.tensor([0.0, 1.0, 1.0, 2.0], dtype=torch.float64)

    found = compare(SharedValues.model_validate(shared("SV", 1, 2, _0=1.0, _1=0.5)), table)

    assert found.r_squared is None
    assert check(found).value is None
    assert json.dumps(details(found, ("a", "b")), allow_nan=False)


def test_the_check_informs_and_judges_nothing():
    table = random_table()

    found = check(compare(SharedValues.model_validate(shared(_0=0.1)), table))

    assert found.passed is None
    assert found.value is not None
    assert found.value < 1
    assert "15 sets" in found.meaning


def test_another_game_shows_in_the_baseline():
    table = random_table()
    document = of_table(table, "SV") | {}
    document["metadata"]["baseline_value"] += 2.0

    found = compare(SharedValues.model_validate(document), table)

    assert details(found, NAMES)["baseline_difference"] == pytest.approx(2.0, abs=EXACT)


def test_an_approximator_of_shapiq_is_compared_on_our_game(tmp_path):
    """The whole way: our game handed to shapiq, its estimate saved, sent here, and compared."""
    shapiq = pytest.importorskip("shapiq")
    row = torch.tensor([1.0, 2.0, 4.0, -3.0, 0.5], dtype=torch.float64)
    masking = Masking(input=row, baseline=torch.zeros(()), labels=torch.arange(N))
    game = Game(lambda batch: batch.sum(1, keepdim=True), masking, lambda logits: logits[:, 0])
    estimate = shapiq.KernelSHAP(n=N, random_state=0).approximate(budget=20, game=value_function(game))
    estimate.save(tmp_path / "estimate.json")
    values = SharedValues.model_validate(json.loads((tmp_path / "estimate.json").read_text()))

    spent = game.evaluations
    found = compare(values, table(game))

    assert (found.metadata.index, found.metadata.estimation_budget) == ("SV", 20)
    assert found.largest_difference < 1e-6  # kernel SHAP is exact on a linear game, up to its least squares
    assert spent <= 21  # the budget, and v(∅) once more


SCHEMA = Draft202012Validator(SharedValues.model_json_schema())


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"0": "1"}},
        {"data": {"0": None}},
        {"data": {"0": 1e300}},
        {"data": {"0": 10**400}},
        {"data": {"zero": 1.0}},
        {"data": {"0,": 1.0}},
        {"data": {"0;1": 1.0}},
        {"data": {"-1": 1.0}},
        {"data": {"100": 1.0}},
        {"data": {",".join(["1"] * 21): 1.0}},
        {"data": {str(key): 0.0 for key in range(20_001)}},
        {"data": []},
        {"metadata": {"index": "ELC", "n_players": 5, "max_order": 2}},
        {"metadata": {"index": "SII", "n_players": 21, "max_order": 2}},
        {"metadata": {"index": "SII", "n_players": 5, "max_order": 0}},
        {"metadata": {"index": "SII", "n_players": 5.5, "max_order": 2}},
        {"metadata": {"index": "SII", "n_players": 5}},
        {"metadata": {"index": "SII", "n_players": 5, "max_order": 2, "estimation_budget": -1}},
    ],
)
def test_the_schema_refuses_what_is_no_such_file(change):
    assert not SCHEMA.is_valid(shared(_0=1.0) | change)


def test_fields_of_newer_versions_are_let_through():
    document = shared(_0=1.0) | {"version": "9.9", "timestamp": "now", "created_from": None, "parameters": {}}
    document["metadata"]["interaction_lookup"] = {}

    assert SCHEMA.is_valid(document)
    assert SharedValues.model_validate(document).data == {"0": 1.0}


@pytest.mark.parametrize(
    ("document", "pointer", "words"),
    [
        (shared(_5=1.0), "", "expected players 0 to 4, got 5"),
        (shared(_0_0=1.0), "", "2 different players, got '0,0'"),
        (shared(_0_1_2=1.0), "", "at most 2 different players, got '0,1,2'"),
        (shared(_0_1=1.0, _1_0=2.0), "", "every set once, got '1,0' again"),
        (shared(order=6), "/metadata/max_order", "got 0, 6 and 5"),
        (shared(smallest=3), "/metadata/max_order", "got 3, 2 and 5"),
        (shared() | {"data": {"0\n": 1.0}}, "", "joined by commas"),
    ],
)
def test_what_contradicts_itself_is_refused_with_a_pointer(document, pointer, words):
    values = SharedValues.model_validate(document)

    with pytest.raises(InvalidParameters, match=words) as caught:
        read(values)

    assert caught.value.errors[0].pointer == f"/params/compare_with{pointer}"


def test_values_of_another_game_are_refused():
    with pytest.raises(InvalidParameters, match="expected values of 5 players, as here, got 4") as caught:
        compare(SharedValues.model_validate(shared(n=4, _0=1.0)), random_table())

    assert caught.value.errors[0].pointer == "/params/compare_with/metadata/n_players"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "x"])
def test_numbers_that_are_none_never_get_through(value):
    with pytest.raises(ValidationError):
        SharedValues.model_validate(shared() | {"data": {"0": value}})
