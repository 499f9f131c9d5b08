from itertools import combinations_with_replacement

import pytest
import torch
from hypothesis import given

from tests.unit.worker.methods.l0_sign.rows import FEATURES, batches, rows_of
from worker.methods.l0_sign.pairs import LONGEST, Rows, as_sets, distinct_pairs, features_of, pair_keys, pairs_of


@given(batches)
def test_every_pair_of_every_row_is_listed_once(batch):
    rows = rows_of(*batch)
    starts = rows.offsets.tolist()

    pairs = pairs_of(rows)

    expected = [
        (at, starts[at] + i, starts[at] + j)
        for at, row in enumerate(batch)
        for i, j in combinations_with_replacement(range(len(row)), 2)
    ]
    assert list(zip(pairs.row.tolist(), pairs.first.tolist(), pairs.second.tolist(), strict=True)) == expected
    assert pairs.apart.tolist() == [i != j for _, i, j in expected]


@given(batches)
def test_a_distinct_pair_stands_for_every_pair_with_its_features_and_product(batch):
    entries = sum(map(len, batch))
    rows = rows_of(*batch, values=[(-1.0) ** at * (1 + at % 3) for at in range(entries)])
    pairs = pairs_of(rows)

    distinct = distinct_pairs(rows, pairs, features=FEATURES)

    known = [feature if feature >= 0 else FEATURES for feature in rows.features.tolist()]
    product = torch.ones(0) if distinct.product is None else distinct.product
    found = list(zip(distinct.low.tolist(), distinct.high.tolist(), product.tolist(), strict=True))
    assert len(set(found)) == len(found)
    for first, second, which in zip(*(x.tolist() for x in (pairs.first, pairs.second, distinct.of_pair)), strict=True):
        times = float(rows.values[first] * rows.values[second])
        assert found[which] == (*sorted((known[first], known[second])), times)


def test_a_pair_that_many_rows_share_is_distinct_once():
    rows = rows_of([0, 1, 2], [2, 1], [1, 0])

    distinct = distinct_pairs(rows, pairs_of(rows), features=FEATURES)

    assert len(distinct.of_pair) == 12
    assert list(zip(distinct.low.tolist(), distinct.high.tolist(), strict=True)) == [
        (0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2),
    ]  # fmt: skip


def test_keys_tell_their_features():
    rows = rows_of([4, -1, 0])

    low, high = features_of(pair_keys(rows, pairs_of(rows), features=FEATURES), features=FEATURES)

    assert list(zip(low.tolist(), high.tolist(), strict=True)) == [(4, 4), (4, 7), (0, 4), (7, 7), (0, 7), (0, 0)]


def test_a_repeated_feature_counts_once_and_the_unknown_are_one():
    rows = as_sets(rows_of([3, 1, 3, -1, -1], [], [2]))

    assert rows.offsets.tolist() == [0, 3, 3, 4]
    assert rows.features.tolist() == [-1, 1, 3, 2]
    assert rows.values is None


def test_values_of_a_repeated_feature_add_up():
    rows = as_sets(rows_of([3, 1, 3], values=[0.5, -2.0, 1.0]))

    assert rows.features.tolist() == [1, 3]
    assert rows.values.tolist() == [-2.0, 1.5]


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_values_that_are_no_numbers_are_refused(value):
    with pytest.raises(ValueError, match=f"expected finite values, got {value}"):
        as_sets(rows_of([3, 1], values=[0.5, value]))


def test_a_row_of_ten_thousand_features_is_refused():
    rows = Rows(offsets=torch.tensor([0, 10_000]), features=torch.arange(10_000))

    with pytest.raises(ValueError, match=f"expected at most {LONGEST} features a row, got 10000"):
        pairs_of(rows)


@given(batches)
def test_rows_can_be_taken_in_any_order(batch):
    rows = rows_of(*batch, values=[float(at) for at in range(sum(map(len, batch)))])

    taken = rows.take(torch.arange(len(batch)).flip(0)).take(torch.arange(len(batch)).flip(0))

    assert taken.offsets.tolist() == rows.offsets.tolist()
    assert taken.features.tolist() == rows.features.tolist()
    assert taken.values.tolist() == rows.values.tolist()
