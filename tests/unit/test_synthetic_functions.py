"""The NID benchmark's ground truth: which inputs of F1 to F10 interact is asked of the functions themselves."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from benchmarks._nid_sets import correct_before_false
from benchmarks._synthetic import FUNCTIONS, INPUTS, Function

POINTS = 400
ROUNDING = 1e-9
"""A mixed difference of values around 10, in float64, whose terms cancel; a true one is above this by far somewhere."""


def mixed_difference(function: Function, members: tuple[int, ...]) -> float:
    """The largest |Σ ± f| over corners of boxes in `members`: not zero iff there is no sum without joint terms."""
    start, _ = function.draw(POINTS, seed=1)
    end, _ = function.draw(POINTS, seed=2)
    total = torch.zeros(POINTS, dtype=torch.float64)
    for size in range(len(members) + 1):
        for moved in combinations(members, size):
            x = start.clone()
            x[:, list(moved)] = end[:, list(moved)]
            total += (-1) ** size * function.compute([x[:, column] for column in range(INPUTS)])
    return float(total.abs().max())


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda one: one.name)
def test_exactly_the_declared_pairs_of_a_synthetic_function_interact(function: Function):
    found = {pair for pair in combinations(range(INPUTS), 2) if mixed_difference(function, pair) > ROUNDING}

    assert found == function.pairs


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda one: one.name)
def test_every_declared_set_interacts_as_a_whole_and_none_with_one_more(function: Function):
    for members in function.interactions:
        assert mixed_difference(function, members) > ROUNDING
        for other in set(range(INPUTS)) - set(members):
            assert mixed_difference(function, (*members, other)) < ROUNDING


def test_true_sets_count_until_a_false_one_and_parts_of_true_ones_do_not_matter():
    truth = ((0, 1), (2, 3, 4))

    assert correct_before_false([(2, 3), (0, 1), (3, 4), (2, 3, 4), (0, 2)], truth) == 2
    assert correct_before_false([(0, 1), (0, 2), (2, 3, 4)], truth) == 1
    assert correct_before_false([], truth) == 0
