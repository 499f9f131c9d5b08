"""What of a dataset becomes a feature, which features are known, and what cannot be learned from."""

from itertools import pairwise

import pytest
import torch

from jobs.errors import InputTooLarge, InvalidInput
from tests.unit.worker.trainings.l0_sign.planted import FIRST_ID, number, sets, table, text
from worker.methods.l0_sign.pairs import LONGEST
from worker.trainings._data import Data
from worker.trainings.l0_sign import L0SignParams
from worker.trainings.l0_sign import logs as under_test
from worker.trainings.l0_sign.logs import UNKNOWN, Log, log_of
from worker.trainings.l0_sign.material import PAIRS_A_STEP, class_weights, material_of, portions


def log(data: Data, *, train: int, least_support: int = 1, published: bool = False) -> Log:
    return log_of(data, torch.arange(train), least_support=least_support, published=published)


def rows_in(log: Log) -> list[list[int]]:
    offsets = log.rows.offsets.tolist()
    return [log.rows.features[begin:end].tolist() for begin, end in pairwise(offsets)]


def ids(*rows: list[int], **changes: object) -> object:
    offsets = torch.tensor([0, *(len(row) for row in rows)]).cumsum(0)
    features = torch.tensor([one for row in rows for one in row], dtype=torch.int32)
    return sets(torch.arange(len(rows)) % 2, offsets=offsets, features=features, **changes)


def test_features_in_few_training_rows_are_unknown_and_join_in_a_row():
    found = log(ids([3, 5], [3, 5, 7], [3, 7, 8], [8, 9]), train=3, least_support=2)

    assert found.vocabulary.tolist() == [FIRST_ID + 3, FIRST_ID + 5, FIRST_ID + 7]
    assert rows_in(found) == [[0, 1], [0, 1, 2], [-1, 0, 2], [-1]]
    assert found.support.tolist() == [3, 2, 2, 1]
    assert found.names([1, 3]) == [str(FIRST_ID + 5), UNKNOWN]


def test_a_feature_that_comes_only_in_later_rows_is_unknown():
    found = log(ids([0], [0], [1]), train=2)

    assert rows_in(found) == [[0], [0], [-1]]


def test_an_empty_row_stays_a_row_and_a_repeated_id_counts_once():
    found = log(ids([], [2, 1, 2]), train=2)

    assert rows_in(found) == [[], [0, 1]]
    assert found.support.tolist() == [1, 1, 0]


def test_values_of_a_repeated_id_add_up_and_may_be_negative():
    found = log(ids([2, 1, 2], values=torch.tensor([0.5, -3.0, 1.0])), train=1)

    assert found.rows.values.tolist() == [-3.0, 1.5]


def test_a_published_log_keeps_order_and_repeats_and_drops_values():
    found = log(ids([2, 1, 2], values=torch.tensor([0.5, -3.0, 1.0])), train=1, published=True)

    assert rows_in(found) == [[1, 0, 1]]
    assert found.rows.values is None
    assert "every value counts as 1" in found.notes[0]


def test_infinite_values_are_refused():
    with pytest.raises(InvalidInput, match="expected finite values, got inf"):
        log(ids([1], values=torch.tensor([float("inf")])), train=1)


def test_without_a_frequent_id_there_is_nothing_to_learn():
    with pytest.raises(InvalidInput, match="no id is in 2 of the rows"):
        log(ids([1], [2]), train=2, least_support=2)


def test_an_id_belongs_to_the_field_in_which_it_stands():
    found = log(ids([3, 5], [4, 5], fields=("user", "item")), train=2)

    assert found.fields == ("user", "item")
    assert found.field_of.tolist() == [0, 0, 1]
    assert found.by_field.features.tolist() == [0, 2, 1, 2]


def test_ids_that_change_their_field_leave_no_fields():
    found = log(ids([3, 5], [5, 3], fields=("a", "b")), train=2)

    assert found.fields == ()
    assert found.field_of is found.by_field is None
    assert "no view by field" in found.notes[0]


def test_a_table_has_a_feature_for_each_category_and_each_column_of_numbers():
    data = table(
        torch.tensor([0, 1, 0, 1]),
        text("city", [0, 1, -1, 2], ("Bonn", "Rome", "York")),
        number("age", [10.0, 30.0, float("nan"), 50.0]),
        text("side", [1, 1, 0, 0], ("n", "s")),
    )

    found = log(data, train=4)

    assert found.encoding.names == ("city=Bonn", "city=Rome", "city=York", "age", "side=n", "side=s")
    assert found.names([3, 6]) == ["age", UNKNOWN]
    assert rows_in(found) == [[0, 3, 5], [1, 3, 5], [4], [2, 3, 4]]
    assert found.fields == ("city", "age", "side")
    assert found.field_of.tolist() == [0, 0, 0, 1, 2, 2]
    assert found.support.tolist() == [1, 1, 1, 3, 2, 2, 0]
    assert found.by_field is None
    column = found.encoding.columns[1]
    assert (column.mean, column.std) == (30.0, pytest.approx((800 / 3) ** 0.5))
    assert found.rows.values[1] == pytest.approx(-20 / column.std)
    assert [float(found.rows.values[place]) for place in (0, 2)] == [1.0, 1.0]


def test_rare_categories_of_a_table_are_unknown_but_one_at_least_is_known():
    data = table(
        torch.tensor([0, 1, 0]), text("city", [0, 1, 1], ("Bonn", "Rome")), text("user", [0, 1, 2], ("u", "v", "w"))
    )

    found = log(data, train=3, least_support=2)

    assert [column.categories for column in found.encoding.columns] == [("Rome",), ("u",)]
    assert rows_in(found) == [[-1, 1], [-1, 0], [-1, 0]]
    assert found.rows.values is None
    assert found.by_field.features.tolist() == [-1, 1, 0, -1, 0, -1]


def test_a_table_with_more_categories_than_a_manifest_lists_is_refused(monkeypatch):
    monkeypatch.setattr(under_test, "_MOST_CATEGORIES", 1)

    with pytest.raises(InputTooLarge, match="'city' has 2 categories in 1 training rows or more, expected at most 1"):
        log(table(torch.tensor([0, 1]), text("city", [0, 1], ("Bonn", "Rome"))), train=2)


def material(data: Data, **params: object):
    return material_of(data, L0SignParams(**params), seed=0)  # type: ignore[arg-type]


def many(labels: torch.Tensor, classes: tuple[str, ...] = ("no", "yes"), **changes: object) -> Data:
    return sets(labels, classes, **changes)


def test_labels_that_cannot_be_learned_are_refused():
    with pytest.raises(InvalidInput, match="two classes, got 3"):
        material(many(torch.arange(30) % 3, ("a", "b", "c")))
    with pytest.raises(InvalidInput, match="got only 'yes'"):
        material(many(torch.ones(30, dtype=torch.int64)))
    with pytest.raises(InvalidInput, match="an output for each; got numbers"):
        material(many(torch.randn(30, dtype=torch.float64), ()), compat="published")
    with pytest.raises(InvalidInput, match="the same in all rows"):
        material(many(torch.ones(30, dtype=torch.float64), ()))


def test_every_part_has_rows_of_both_classes():
    labels = (torch.arange(40) < 7).long()
    parts = material(many(labels)).parts

    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [28, 6, 6]
    assert all(len(torch.unique(labels[part])) == 2 for part in (parts.train, parts.validation, parts.test))
    together = torch.cat([parts.train, parts.validation, parts.test]).sort().values
    assert torch.equal(together, torch.arange(40))
    with pytest.raises(InvalidInput, match=r"too few rows: no \(38\), yes \(2\)"):
        material(many((torch.arange(40) < 2).long()))


def test_other_seeds_draw_other_parts():
    data = many(torch.arange(40) % 2)
    one, same, other = (material_of(data, L0SignParams(), seed=seed).parts.test for seed in (1, 1, 2))

    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_numbers_are_standardised_by_the_training_rows():
    found = material(many(torch.arange(40, dtype=torch.float64), ()))

    assert float(found.targets[found.parts.train].mean()) == pytest.approx(0, abs=1e-6)
    assert float(found.targets[found.parts.train].std(correction=0)) == pytest.approx(1, rel=1e-6)
    assert float(found.targets[3]) * found.std + found.mean == pytest.approx(3, abs=1e-5)


def long_rows(length: int, rows: int = 40) -> Data:
    return sets(
        torch.arange(rows) % 2, offsets=torch.arange(rows + 1) * length,
        features=torch.arange(length).repeat(rows).int(), vocabulary=torch.arange(length),
    )  # fmt: skip


def test_rows_too_long_to_be_paired_are_refused():
    with pytest.raises(InputTooLarge, match=f"row 1 has {LONGEST + 1} different features, expected at most {LONGEST}"):
        material(long_rows(LONGEST + 1))


def test_a_batch_with_too_many_pairs_is_refused_with_one_that_fits():
    pairs = LONGEST * (LONGEST + 1) // 2

    with pytest.raises(InputTooLarge, match=f"a batch_size of {PAIRS_A_STEP // pairs} fits"):
        material(long_rows(LONGEST), batch_size=40)


def test_portions_hold_every_row_once_and_few_pairs_at_once():
    rows = material(long_rows(LONGEST), batch_size=1).log.rows
    which = torch.tensor([3, 1, 9, 2, 5, 20, 30, 31, 32, 33, 34])

    parts = list(portions(rows, which, most=100))

    assert torch.equal(torch.cat(parts), which)
    assert [len(part) for part in parts] == [8, 3]
    assert [len(part) for part in portions(rows, which, most=4)] == [4, 4, 3]


def test_balanced_classes_count_the_same():
    assert class_weights(torch.tensor([0, 0, 0, 1])).tolist() == pytest.approx([2 / 3, 2.0])


@pytest.mark.parametrize(("rows", "batch"), [(40, 32), (3000, 64), (10_000, 256), (60_000, 1024)])
def test_unless_told_a_batch_is_small_enough_for_some_steps_an_epoch(rows, batch):
    assert material(long_rows(1, rows)).batch == batch
    assert material(long_rows(1, rows), batch_size=7).batch == 7


def test_unless_told_a_batch_of_long_rows_fits_in_memory():
    assert material(long_rows(LONGEST, rows=1600)).batch == PAIRS_A_STEP // (LONGEST * (LONGEST + 1) // 2) < 64


def test_a_column_of_identifiers_is_not_learned_by_heart():
    names = tuple(f"u{row}" for row in range(20))
    found = log(table(torch.arange(20) % 2, text("id", [*range(20)], names)), train=12, least_support=2)

    assert found.features == 1
    assert found.support.tolist() == [1, 11]
    assert any("No category of 'id' is in 2 training rows" in note for note in found.notes)


def test_a_number_beyond_float32_is_refused_by_the_name_of_its_column():
    with pytest.raises(InvalidInput, match=r"the column 'big' holds 1e\+300, expected numbers up to 3.4e\+38"):
        log(table(torch.arange(4) % 2, number("big", [1.0, 1e300, 2.0, float("nan")])), train=4)
