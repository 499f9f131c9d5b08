"""Profiles by order, on interactions small enough to add up by hand."""

import pytest
import torch

from worker.methods.and_or import orders

ROUNDING = 1e-12


def interactions(conjunctions, disjunctions, n=3):
    atoms = torch.zeros(2, 2**n, dtype=torch.float64)
    for kind, given in enumerate((conjunctions, disjunctions)):
        for members, strength in given.items():
            atoms[kind, members] = strength
    return atoms


ATOMS = interactions({0: 9.0, 0b001: 1.0, 0b010: -2.0, 0b011: 3.0, 0b111: -0.5}, {0b101: 0.25, 0b110: -4.0})


def test_strength_is_added_up_by_order_and_sign_without_the_empty_atom():
    profile = orders.order_profile(ATOMS)

    assert profile.tolist() == [[1.0, 3.25, 0.0], [2.0, 4.0, 0.5]]


def test_what_is_not_salient_is_left_out_of_the_profile():
    profile = orders.order_profile(ATOMS, threshold=0.5)

    assert profile.tolist() == [[1.0, 3.0, 0.0], [2.0, 4.0, 0.0]]
    assert int(orders.salient(ATOMS, 0.5).sum()) == 4


def test_a_batch_of_profiles_is_that_of_its_samples():
    both = orders.order_profile(torch.stack([ATOMS, 2 * ATOMS]))

    torch.testing.assert_close(both[1], 2 * orders.order_profile(ATOMS), atol=ROUNDING, rtol=0)


def test_the_mean_order_weighs_orders_by_strength():
    assert orders.mean_order(orders.order_profile(ATOMS)).item() == pytest.approx((3 + 2 * 7.25 + 3 * 0.5) / 10.75)
    assert orders.mean_order(torch.zeros(2, 5)).item() == 0


def test_the_threshold_averages_over_samples():
    tables = torch.tensor([[1.0, 7.0, 7.0, 3.0], [5.0, 7.0, 7.0, 1.0]])

    assert orders.salience_threshold(tables) == pytest.approx(0.02 * 3)


def test_the_normaliser_is_the_salient_strength_of_single_players():
    samples = torch.stack([ATOMS, 3 * ATOMS])

    assert orders.normaliser(samples, threshold=0.0) == pytest.approx(6.0)
    assert orders.normaliser(samples, threshold=1.5) == pytest.approx((2 + 9) / 2)


def test_without_a_salient_single_player_nothing_is_normalised():
    with pytest.raises(ValueError, match="expected a salient interaction of order 1, got none above 100"):
        orders.normaliser(ATOMS[None], threshold=100.0)


def test_jaccard_compares_mean_strengths_sign_by_sign():
    others = interactions({0b001: 0.5, 0b010: 2.0, 0b011: 3.0}, {0b101: 0.25})

    similarity = orders.jaccard_by_order(ATOMS[None], others[None])

    # Order 1: 0.5 shared of 1 (+, {0}), 2 (-, {1}), 2 (+, {1}). Order 2: 3.25 shared, 4 not. Order 3: none shared.
    torch.testing.assert_close(similarity, torch.tensor([0.5 / 5, 3.25 / 7.25, 0.0], dtype=torch.float64))


def test_equal_sets_and_empty_orders_are_alike():
    assert orders.jaccard_by_order(ATOMS[None], torch.stack([ATOMS, ATOMS])).tolist() == [1, 1, 1]
    assert orders.jaccard_by_order(torch.zeros(1, 2, 8), torch.zeros(1, 2, 8)).tolist() == [1, 1, 1]
