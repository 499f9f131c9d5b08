"""Index values against definitions and against shapiq."""

from __future__ import annotations

import json
from itertools import product
from typing import get_args

import numpy as np
import pytest
import torch

from tests.reference import indices as reference
from worker.methods._indices import Index, bernoulli, index_values, subsets
from worker.methods._interchange import from_shapiq, to_shapiq

AGREEMENT = 1e-10
"""The issue's bound; games of values around 1, n up to 9."""

DEFINITIONS = {
    "SV": lambda v, members, order: reference.sii(v, members),
    "BV": lambda v, members, order: reference.bii(v, members),
    "SII": lambda v, members, order: reference.sii(v, members),
    "BII": lambda v, members, order: reference.bii(v, members),
    "k-SII": reference.k_sii,
    "STII": reference.stii,
}


def random_table(n: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(2**n))


@pytest.mark.parametrize(("index", "order"), [*product(DEFINITIONS, (1, 2, 3, 5))])
def test_indices_match_their_definitions(index, order):
    table = random_table(5, seed=order)
    v = reference.game(table)

    found = index_values(table, index, order=order)

    expected = [DEFINITIONS[index](v, frozenset(members), found.order) for members in found.sets]
    np.testing.assert_allclose(found.values, expected, rtol=0, atol=AGREEMENT)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_fsii_is_the_constrained_least_squares_fit(order):
    table = random_table(5, seed=order)

    found = index_values(table, "FSII", order=order)

    expected = reference.fsii(reference.game(table), order)
    np.testing.assert_allclose(found.values, [expected[frozenset(s)] for s in found.sets], rtol=0, atol=1e-8)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("index", ["SV", "k-SII", "STII", "FSII"])
def test_efficient_indices_add_up_to_the_output(index, order):
    table = random_table(9, seed=order)

    found = index_values(table, index, order=order)

    assert float(found.values.sum()) == pytest.approx(float(table[-1] - table[0]), abs=AGREEMENT)


def shapiq_values(computer, index, order):
    """Let shapiq compute; its least squares for FSII stop at 2e-9, so there its dividends are converted instead."""
    from shapiq.game_theory.moebius_converter import MoebiusConverter

    if index == "FSII":
        return MoebiusConverter(computer("Moebius", computer.n_players))("FSII", order)
    return computer(index, order=1 if index in ("SV", "BV") else order)


@pytest.mark.parametrize(("index", "order"), [*product(get_args(Index), (1, 2, 3))])
def test_indices_match_shapiq(index, order, tmp_path):
    """Both ways: shapiq reads what we write and agrees with it, and we read what shapiq writes."""
    shapiq = pytest.importorskip("shapiq")
    n = 8
    table = random_table(n, seed=17)
    powers = 1 << np.arange(n)
    computer = shapiq.ExactComputer(lambda x: table.numpy()[x @ powers], n_players=n)
    theirs = shapiq_values(computer, index, order)

    ours = index_values(table, index, order=order)
    (tmp_path / "ours.json").write_text(json.dumps(to_shapiq(ours)))
    read = shapiq.InteractionValues.load(tmp_path / "ours.json")
    theirs.save(tmp_path / "theirs.json")
    back = from_shapiq(json.loads((tmp_path / "theirs.json").read_text()))

    np.testing.assert_allclose([theirs[members] for members in ours.sets], ours.values, rtol=0, atol=AGREEMENT)
    np.testing.assert_array_equal([read[members] for members in ours.sets], ours.values)
    assert read.baseline_value == ours.baseline_value
    assert back.sets == ours.sets
    np.testing.assert_allclose(back.values, ours.values, rtol=0, atol=AGREEMENT)


def test_a_round_trip_through_json_loses_nothing():
    ours = index_values(random_table(6), "k-SII", order=3)

    back = from_shapiq(json.loads(json.dumps(to_shapiq(ours, evaluations=64))))

    assert (back.index, back.players, back.order, back.sets) == ("k-SII", 6, 3, ours.sets)
    assert back.baseline_value == ours.baseline_value
    assert torch.equal(back.values, ours.values)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"metadata": {"n_players": 2}, "data": {}},
        {"metadata": 3, "data": {}},
        {
            "metadata": {"n_players": 2, "max_order": 1, "index": "SV", "baseline_value": 0},
            "data": {"0,x": 1.0},
        },
        {"metadata": {"n_players": 2, "max_order": 1, "index": "SV", "baseline_value": 0}, "data": {"2": 1.0}},
    ],
)
def test_other_documents_are_refused(document):
    with pytest.raises(ValueError, match="expected"):
        from_shapiq(document)


def test_unknown_indices_and_orders_are_refused():
    with pytest.raises(ValueError, match="expected one of SV"):
        index_values(random_table(3), "CHII")
    with pytest.raises(ValueError, match="expected an order of 1 to 3 players, got 4"):
        index_values(random_table(3), "SII", order=4)


def test_bernoulli_numbers_begin_as_in_the_books():
    assert [str(bernoulli(k)) for k in range(5)] == ["1", "-1/2", "1/6", "0", "-1/30"]


def test_sets_come_by_size_then_lexicographic():
    assert subsets(3, 2) == ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2))
