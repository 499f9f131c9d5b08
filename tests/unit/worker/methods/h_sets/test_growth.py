from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import h_sets as reference
from worker.methods.h_sets.detection import asymmetry, find_sets
from worker.methods.h_sets.growth import Grown, Rule, grow_all, strengths
from worker.methods.h_sets.seeds import best_outside, best_per_region

RULE = Rule(threshold=0.5, set_size=10, max_rows=5)
PUBLISHED = Rule(
    threshold=0.5, threshold_kind="min-max", spread="anywhere", search="depth-first", keep_seed=False, set_size=10,
    max_rows=1000,
)  # fmt: skip


def hessian(seed: int, players: int = 30, *, ties: bool = False) -> np.ndarray:
    """Return a random symmetric matrix with heavy tails, so that few entries pass; `ties` makes many equal."""
    H = np.random.default_rng(seed).standard_t(2, size=(players, players))
    H = H + H.T
    return np.round(H) if ties else H


def rows_of(H: np.ndarray):
    return lambda indices: H[list(indices)]


def grow(H: np.ndarray, seed: int, regions: np.ndarray, rule: Rule) -> Grown:
    return grow_all([seed], rows_of(H), regions=regions, rule=rule)[0]


cases = st.tuples(st.integers(0, 10_000), st.integers(0, 29), st.booleans())


@given(cases, st.sampled_from([0.2, 0.5, 0.8]), st.integers(1, 20), st.integers(1, 8))
def test_a_set_grows_as_in_algorithm_1(case, threshold, size, rows):
    number, seed, ties = case
    H, regions = hessian(number, ties=ties), np.arange(30) % 2

    found = grow(H, seed, regions, replace(RULE, threshold=threshold, set_size=size, max_rows=rows))

    members, used = reference.grow(H, seed, list(regions), threshold=threshold, set_size=size, max_rows=rows)
    assert (list(found.members), found.rows) == (members, used)


@given(cases, st.sampled_from([0.5, 0.8, 0.95]), st.integers(1, 30))
def test_a_published_set_grows_as_in_the_code(case, threshold, size):
    number, seed, ties = case
    H = hessian(number, ties=ties)

    found = grow(H, seed, np.zeros(30, dtype=int), replace(PUBLISHED, threshold=threshold, set_size=size))

    assert list(found.members) == reference.published_grow(H, seed, threshold=threshold, set_size=size)


@given(cases, st.randoms(use_true_random=False))
def test_renaming_features_renames_members(case, random):
    """Equivariance: growing must not care in which order features come (there are no ties here)."""
    number, seed, _ = case
    H, regions = hessian(number), np.arange(30) % 2
    order = list(range(30))
    random.shuffle(order)
    place = np.argsort(order)

    found = grow(H, seed, regions, RULE)
    renamed = grow(H[np.ix_(order, order)], int(place[seed]), regions[order], RULE)

    assert [order[member] for member in renamed.members] == list(found.members)


@given(cases, st.floats(1e-6, 1e6))
def test_scaling_the_output_changes_no_set(case, scale):
    number, seed, _ = case
    H, regions = hessian(number), np.zeros(30, dtype=int)

    assert grow(H, seed, regions, RULE).members == grow(H * scale, seed, regions, RULE).members


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_sets_grow_in_lockstep_as_they_would_alone(number, sets):
    H, regions = hessian(number), np.arange(30) % 6
    seeds = list(range(sets))

    together = grow_all(seeds, rows_of(H), regions=regions, rule=RULE)

    alone = [grow(H, seed, regions, RULE) for seed in seeds]
    assert [found.members for found in together] == [found.members for found in alone]


def test_members_keep_to_their_region_unless_told_otherwise():
    H, regions = hessian(1), np.arange(30) % 3
    generous = replace(RULE, threshold=0.05, set_size=20, max_rows=1)

    inside = grow(H, 4, regions, generous)
    preferring = grow(H, 4, regions, replace(generous, spread="prefer"))
    anywhere = grow(H, 4, regions, replace(generous, spread="anywhere"))

    assert {regions[member] for member in inside.members} == {1}
    assert len({regions[member] for member in anywhere.members}) == 3
    # Of one row's candidates, those of the region come first.
    outside = [regions[member] != 1 for member in preferring.members]
    assert True in outside
    assert outside == sorted(outside)


@pytest.mark.parametrize(
    ("rule", "stopped", "size", "rows"),
    [
        (replace(RULE, set_size=3), "full", 3, 1),
        (replace(RULE, set_size=1), "full", 1, 1),
        (replace(RULE, max_rows=1), "row-budget", 4, 1),
        (RULE, "exhausted", 4, 4),
    ],
)
def test_a_set_says_why_it_stopped(rule, stopped, size, rows):
    H = np.zeros((6, 6))
    H[:4, :4] = 1

    found = grow(H, 0, np.zeros(6, dtype=int), rule)

    assert (found.stopped, len(found.members), found.rows) == (stopped, size, rows)


@pytest.mark.parametrize(
    "rule", [RULE, PUBLISHED, replace(RULE, threshold_kind="quantile"), replace(RULE, threshold=0)]
)
def test_a_row_of_zeros_leaves_the_seed_alone(rule):
    found = grow(np.zeros((6, 6)), 2, np.zeros(6, dtype=int), rule)

    assert (found.members, found.stopped, found.rows) == ((2,), "exhausted", 1)


@pytest.mark.parametrize(
    ("kind", "threshold", "passing"),
    [
        ("absolute", 1.5, [0, 3]),
        ("relative", 0.5, [0, 3]),
        ("relative", 0.2, [0, 1, 3]),
        ("quantile", 0.75, [3]),
        ("quantile", 0.5, [0, 3]),
        ("min-max", 0.5, [1, 3]),
        ("min-max", 0.7, [3]),
    ],
)
def test_a_threshold_is_in_its_own_unit(kind, threshold, passing):
    row = np.array([-2.2, 1.2, 0.0, 4.0, -0.5])

    _, passes = strengths(row, threshold=threshold, kind=kind)

    assert np.flatnonzero(passes).tolist() == passing


def test_the_best_feature_seeds_each_region_best_region_first():
    scores = np.array([0.1, 5.0, 3.0, 3.0, -1.0, 9.0])
    regions = np.array([0, 0, 1, 1, 2, -1])

    assert best_per_region(scores, regions) == [1, 2, 4]
    assert best_outside(scores, regions, [1, 2]) == 3
    assert best_outside(scores, regions, range(5)) is None


def test_without_a_prior_seeds_lie_outside_of_earlier_sets():
    H = np.kron(np.eye(3), np.ones((2, 2)))
    scores = np.array([6.0, 5, 4, 3, 2, 1])
    regions = np.zeros(6, dtype=int)

    once = find_sets(scores, regions, rows_of(H), sets=5, rule=RULE)
    often = find_sets(scores, regions, rows_of(H), sets=5, rule=RULE, reseed=True)

    assert [found.members for found in once] == [(0, 1)]
    assert [found.members for found in often] == [(0, 1), (2, 3), (4, 5)]


def test_asymmetry_is_a_share_of_the_largest_entry():
    H = np.array([[1.0, 2.0], [1.0, -4.0]])
    regions = np.arange(2)

    found = grow_all([0, 1], rows_of(H), regions=regions, rule=RULE)

    assert asymmetry(found) == 0.25
    assert asymmetry(found[:1]) is None
    assert asymmetry(grow_all([0, 1], rows_of(H * 0), regions=regions, rule=RULE)) is None
