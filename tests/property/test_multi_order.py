"""Axioms and identities of multi-order interactions, over random games."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import multi_order as reference
from worker.methods._indices import index_values
from worker.methods.multi_order import exact

ROUNDING = 1e-12
"""The issue's bound in float64, for games of values around 1; what is measured is 1e-14 and below."""


@st.composite
def games(draw, most: int = 8):
    n = draw(st.integers(2, most))
    seed = draw(st.integers(0, 2**32 - 1))
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(2**n))


@given(games(most=7))
def test_interactions_match_the_paper(table):
    found = exact.multi_order(table).numpy()

    np.testing.assert_allclose(found, reference.multi_order(table), rtol=0, atol=ROUNDING)


@given(games(most=10))
def test_the_mean_over_orders_is_the_shapley_interaction_index(table):
    mean = exact.shapley_interaction_index(exact.multi_order(table))

    pairs = index_values(table, "SII", order=2)
    for (i, j), value in zip([s for s in pairs.sets if len(s) == 2], pairs.of_order(2), strict=True):
        assert mean[i, j] == pytest.approx(float(value), abs=ROUNDING)


@pytest.mark.parametrize("n", [3, 6, 9])
def test_the_mean_over_orders_is_shapiq_s_interaction_index(n):
    shapiq = pytest.importorskip("shapiq")
    table = np.random.default_rng(n).standard_normal(2**n)

    mean = exact.shapley_interaction_index(exact.multi_order(torch.from_numpy(table)))

    computer = shapiq.ExactComputer(lambda present: table[present.astype(int) @ (1 << np.arange(n))], n_players=n)
    theirs = computer("SII", order=2)
    for i in range(n):
        for j in range(i + 1, n):
            assert float(mean[i, j]) == pytest.approx(theirs[(i, j)], abs=ROUNDING)


@given(games(most=12))
def test_own_effects_and_interactions_add_up_to_the_output(table):
    """Efficiency, Eq. 5."""
    residual = exact.efficiency_residual(table, exact.multi_order(table))

    assert abs(float(residual)) <= ROUNDING


@given(games(most=9), st.data())
def test_the_modulation_signal_is_a_triangle_of_interactions(table, data):
    """Theorem 2, with the players' own effects where k1 = 0."""
    n = len(table).bit_length() - 1
    smaller = data.draw(st.integers(0, n - 1))
    larger = data.draw(st.integers(smaller + 1, n))
    interactions = exact.multi_order(table)

    found = exact.output_difference(table, smaller, larger)

    weights = exact.output_difference_weights(n, smaller, larger)
    expected = (weights * interactions.sum(dim=(-1, -2))).sum()
    if smaller:
        expected += (1 - larger / smaller) * table[0]
    else:
        expected += larger / n * exact.efficiency_parts(table, interactions)[0].sum()
    # The factor k2/k1 multiplies v(S1), and its rounding with it.
    assert float(found - expected) == pytest.approx(0, abs=ROUNDING * (1 + larger / max(smaller, 1)))


@given(games(most=9))
def test_the_modulation_residual_of_all_sizes_is_rounding_and_of_other_interactions_is_not(table):
    interactions = exact.multi_order(table)

    n = len(table).bit_length() - 1
    assert exact.modulation_residual(table, interactions) <= ROUNDING * n
    assert exact.modulation_residual(table, interactions + 1) > 0.1


@given(games(most=6), st.data())
def test_the_modulation_signal_is_equation_14(table, data):
    n = len(table).bit_length() - 1
    smaller = data.draw(st.integers(0, n - 1))
    larger = data.draw(st.integers(smaller + 1, n))

    found = float(exact.output_difference(table, smaller, larger))

    assert found == pytest.approx(reference.mean_over_nested_pairs(table, smaller, larger), abs=ROUNDING)


@given(games(most=8), st.randoms(use_true_random=False))
def test_renaming_players_renames_interactions(table, random):
    n = len(table).bit_length() - 1
    names = list(range(n))
    random.shuffle(names)
    index = torch.arange(2**n)
    moved = sum(((index >> old) & 1) << new for new, old in enumerate(names))
    renamed = torch.empty_like(table)
    renamed[moved] = table

    found = exact.multi_order(renamed)

    expected = exact.multi_order(table)[:, names][:, :, names]
    torch.testing.assert_close(found, expected, rtol=0, atol=ROUNDING)


@given(games(most=8))
def test_a_player_that_changes_nothing_interacts_with_nobody(table):
    """Null player, appended as the last."""
    found = exact.multi_order(torch.cat([table, table]))

    assert float(found[:, -1].abs().max()) <= ROUNDING


@given(games(most=8), st.floats(-3, 3))
def test_interactions_are_linear_in_the_game(table, factor):
    other = table.flip(0)

    found = exact.multi_order(factor * table + other)

    expected = factor * exact.multi_order(table) + exact.multi_order(other)
    torch.testing.assert_close(found, expected, rtol=0, atol=ROUNDING)
