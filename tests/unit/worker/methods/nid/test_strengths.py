import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.reference import nid as reference
from worker.methods.nid import ranking
from worker.methods.nid.averages import Average
from worker.methods.nid.ranking import Ranked, rank_any_order, without_redundant
from worker.methods.nid.strengths import influence, pairwise_strengths

EXACT = 1e-12
"""Sums of some dozens of float64 products of numbers around 1, in another order."""

AVERAGES: tuple[Average, ...] = (
    "minimum", "maximum", "root-mean-square", "arithmetic", "geometric", "harmonic",
)  # fmt: skip
VANISHING: tuple[Average, ...] = ("minimum", "geometric", "harmonic")

averages = st.sampled_from(AVERAGES)
seeds = st.integers(0, 2**32 - 1)


def network(seed: int, *sizes: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(out, into, generator=generator, dtype=torch.float64) for into, out in pairwise(sizes)]


def sets_of(first: Tensor, z: Tensor, average: Average) -> dict[tuple[int, ...], float]:
    return {one.members: one.strength for one in rank_any_order(first, z, most=1000, average=average)}


def pairs_of(strengths: Tensor) -> dict[tuple[int, int], float]:
    p = len(strengths)
    return {(i, j): float(strengths[i, j]) for i in range(p) for j in range(i + 1, p)}


@given(seeds)
def test_influence_sums_over_all_paths(seed: int):
    _, *later = network(seed, 4, 5, 3, 2)

    z = influence(later)

    expected = [reference.influence([matrix.tolist() for matrix in later], unit) for unit in range(5)]
    assert z.tolist() == pytest.approx(expected, rel=EXACT)


def test_influence_of_an_ensemble_is_that_of_its_members():
    members = [network(seed, 4, 5, 3, 1)[1:] for seed in range(3)]

    together = influence([torch.stack(matrices) for matrices in zip(*members, strict=True)])

    torch.testing.assert_close(together, torch.stack([influence(member) for member in members]))


@given(seeds, averages)
def test_pairs_match_the_paper(seed: int, average: Average):
    first, *later = network(seed, 6, 5, 1)
    z = influence(later)

    strengths = pairwise_strengths(first, z, average=average)

    expected = reference.pairwise(first.tolist(), z.tolist(), average)
    assert pairs_of(strengths) == pytest.approx(expected, rel=EXACT)
    assert torch.equal(strengths, strengths.T)


@given(seeds, averages)
def test_sets_of_any_size_match_algorithm_1(seed: int, average: Average):
    first, *later = network(seed, 5, 7, 1)
    z = influence(later)

    ranked = rank_any_order(first, z, most=1000, average=average)

    expected = dict(reference.any_order(first.tolist(), z.tolist(), average))
    assert {one.members: one.strength for one in ranked} == pytest.approx(expected, rel=EXACT)
    assert [one.strength for one in ranked] == sorted((one.strength for one in ranked), reverse=True)


@given(seeds, st.integers(1, 40))
def test_equal_weights_and_equal_sets_come_in_the_order_of_algorithm_1(seed: int, most: int):
    """Whole numbers up to 3: sums are exact, and ties are everywhere."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(-3, 4, (7, 5), generator=generator).double()
    z = torch.randint(0, 3, (7,), generator=generator).double()

    ranked = rank_any_order(first, z, most=most)

    expected = reference.any_order(first.tolist(), z.tolist(), "minimum")[:most]
    assert [(one.members, one.strength) for one in ranked] == expected


def test_strengths_are_to_the_last_bit_those_of_a_dictionary():
    first, *later = network(0, 30, 40, 1)
    z = influence(later)

    ranked = rank_any_order(first, z, most=300)

    expected = reference.any_order(first.tolist(), z.tolist(), "minimum")[:300]
    assert [(one.members, one.strength) for one in ranked] == expected


def test_no_more_and_no_larger_sets_than_asked_for():
    first, *later = network(0, 8, 20, 1)
    z = influence(later)

    everything = rank_any_order(first, z, most=1000)

    assert rank_any_order(first, z, most=3) == everything[:3]
    assert rank_any_order(first, z, most=1000, largest=3) == [one for one in everything if len(one.members) <= 3]


@given(seeds)
def test_a_set_below_a_superset_is_redundant(seed: int):
    first, *later = network(seed, 5, 7, 1)
    ranking = rank_any_order(first, influence(later), most=1000)

    kept = without_redundant(ranking)

    assert [one.members for one in kept] == reference.without_redundant([one.members for one in ranking])


def test_a_subset_above_its_superset_stays():
    ranking = [Ranked((0, 1), 3.0), Ranked((0, 1, 2), 2.0), Ranked((1, 2), 1.0), Ranked((2, 3), 0.5)]

    assert without_redundant(ranking) == [ranking[0], ranking[1], ranking[3]]


def test_a_hash_that_confuses_sets_is_replaced(monkeypatch: pytest.MonkeyPatch):
    first, *later = network(0, 6, 9, 1)
    expected = rank_any_order(first, influence(later), most=50)
    hashes = ranking._prefix_hashes
    monkeypatch.setattr(ranking, "_prefix_hashes", lambda places, seed: hashes(places, seed=seed) * (seed > 0))

    assert rank_any_order(first, influence(later), most=50) == expected


@given(seeds, st.sampled_from(VANISHING))
def test_an_input_without_weights_interacts_with_nothing(seed: int, average: Average):
    first, *later = network(seed, 5, 7, 1)
    first[:, 2] = 0

    assert not pairwise_strengths(first, influence(later), average=average)[2].any()
    assert all(2 not in one.members for one in rank_any_order(first, influence(later), most=1000, average=average))


@given(seeds, st.permutations(range(5)), averages)
def test_renaming_inputs_renames_pairs(seed: int, order: list[int], average: Average):
    first, *later = network(seed, 5, 7, 1)
    z = influence(later)

    renamed = pairwise_strengths(first[:, order], z, average=average)

    torch.testing.assert_close(renamed, pairwise_strengths(first, z, average=average)[order][:, order])


@given(seeds, st.permutations(range(7)), averages)
def test_the_order_of_units_does_not_matter(seed: int, order: list[int], average: Average):
    first, second = network(seed, 5, 7, 1)

    shuffled = pairwise_strengths(first[order], influence([second[:, order]]), average=average)

    torch.testing.assert_close(shuffled, pairwise_strengths(first, influence([second]), average=average))


@given(seeds, st.floats(0.01, 100), averages)
def test_scaling_a_unit_up_and_its_output_down_changes_nothing(seed: int, scale: float, average: Average):
    first, second = network(seed, 5, 7, 1)
    scaled_first, scaled_second = first.clone(), second.clone()
    scaled_first[3] *= scale
    scaled_second[:, 3] /= scale

    scaled = pairwise_strengths(scaled_first, influence([scaled_second]), average=average)

    torch.testing.assert_close(scaled, pairwise_strengths(first, influence([second]), average=average))


@given(seeds, st.permutations(range(5)), averages)
def test_renaming_inputs_renames_sets(seed: int, order: list[int], average: Average):
    first, *later = network(seed, 5, 7, 1)
    z = influence(later)

    renamed = rank_any_order(first[:, order], z, most=1000, average=average)

    back = {tuple(sorted(order[member] for member in one.members)): one.strength for one in renamed}
    assert back == pytest.approx(sets_of(first, z, average), rel=EXACT)


@given(seeds, st.permutations(range(7)), st.floats(0.01, 100), averages)
def test_neither_the_order_of_units_nor_their_scale_matters_to_sets(
    seed: int, order: list[int], scale: float, average: Average
):
    first, second = network(seed, 5, 7, 1)
    other_first, other_second = first[order].clone(), second[:, order].clone()
    other_first[3] *= scale
    other_second[:, 3] /= scale

    found = sets_of(other_first, influence([other_second]), average)

    assert found == pytest.approx(sets_of(first, influence([second]), average), rel=EXACT)


@given(st.floats(0.01, 10), st.floats(0.01, 10), st.sampled_from([(1, 1), (1, -1), (-1, 1), (-1, -1)]))
def test_the_product_term_of_a_relu_is_appendix_b_s_and_the_minimum_is_near_it(a: float, b: float, signs):
    """The x1·x2 term of the best quadratic fit of relu(a x1 + b x2) on [-1, 1]², and its share of the minimum."""
    small, large = sorted((a, b))

    fitted = product_term(signs[0] * a, signs[1] * b)

    assert abs(fitted) == pytest.approx(0.75 * (1 - small**2 / (5 * large**2)) * small, rel=EXACT)
    strength = float(pairwise_strengths(torch.tensor([[a, b]], dtype=torch.float64), torch.ones(1))[0, 1])
    assert 0.6 * strength * (1 - EXACT) <= abs(fitted) <= 0.75 * strength * (1 + EXACT)


def product_term(a: float, b: float) -> float:
    """∫∫ x y relu(a x + b y) over ∫∫ (x y)², exactly.

    On the square, x y is orthogonal to 1, x, y, x² and y², so that its coefficient needs no other. Along the steeper
    input the kink lies inside the square, and what is beyond it is a polynomial, for which Gauss's rule is exact.
    """
    if abs(a) < abs(b):
        a, b = b, a
    nodes, weights = np.polynomial.legendre.leggauss(4)
    total = 0.0
    for y, weight in zip(nodes, weights, strict=True):
        kink, end = -b * y / a, math.copysign(1.0, a)
        x = (kink + end) / 2 + (end - kink) / 2 * nodes
        total += weight * abs(end - kink) / 2 * float((weights * x * y * (a * x + b * y)).sum())
    return total / (4 / 9)
