"""Feature sets and libfm rows."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.errors import InputTooLarge, InvalidInput
from worker.datasets import sets


def rows_of(data):
    bounds = data.offsets.unfold(0, 2, 1)
    return [data.vocabulary[data.features[begin:end].long()].tolist() for begin, end in bounds]


def test_sets_of_ids_keep_their_order_and_lengths(read):
    found, data = read("1 7 3 900000\n0 3\n0\n1.0 7 7\n", format="sets")

    assert (found.kind, found.rows, found.features, found.entries) == ("sets", 4, 3, 6)
    assert (found.shortest, found.longest, found.task, found.class_counts) == (0, 3, "binary", (2, 2))
    assert rows_of(data) == [[7, 3, 900000], [3], [], [7, 7]]
    assert data.values is None
    assert data.labels.values.tolist() == [1, 0, 0, 1]
    assert any("1 of 4 rows have a label and no id" in warning for warning in found.warnings)
    assert any("1 of 4 rows hold an id more than once" in warning for warning in found.warnings)


def test_libfm_rows_carry_values_and_fields(read):
    found, data = read("-1 2:0.5 4:1\n1 3:2 5:-1\n")

    assert (found.format, found.valued, found.fields) == ("libfm", True, ("field 0", "field 1"))
    assert data.values.tolist() == [0.5, 1, 2, -1]
    assert data.labels.classes == ("-1", "1")
    assert read("1 2:1 4:1\n0 3:1 5:1\n", fields=["user", "item"])[0].fields == ("user", "item")


def test_rows_read_the_same_in_many_portions(read, monkeypatch):
    random = np.random.default_rng(0)
    lines = [f"{i % 2} " + " ".join(map(str, random.integers(0, 50, i % 9))) for i in range(300)]
    whole, tensors = read("\n".join(lines), format="sets")
    monkeypatch.setattr(sets, "PORTION_BYTES", 64)
    parts, in_parts = read("\n".join(lines) + "\n", format="sets")

    assert parts == whole
    assert rows_of(in_parts) == rows_of(tensors)


@pytest.mark.parametrize(
    ("text", "format", "reason"),
    [
        ("1 2:1\n0 3\n", "libfm", "row 2, entry 1: expected id:value, got '3'"),
        ("1 2:1\n0 3:inf\n", "libfm", "row 2, entry 1: expected a finite value, got 'inf'"),
        ("1 -4\n0 3\n", "sets", "row 1, entry 1: expected an id from 0"),
        ("1 4\nx 3\n", "sets", "row 2, label: expected a finite number, got 'x'"),
        ("1 4\nnan 3\n", "sets", "row 2, label"),
        ("1 4\n\n0 3\n", "sets", "row 2 is blank"),
        ("1 4\n1 3\n", "sets", "at least two classes"),
        ("1\n0\n", "sets", "no id in the whole file"),
        ("\n", "sets", "no id in the whole file"),
        (" \n", "libfm", "no id in the whole file"),
        ("1 4\n0 99999999999999999999999\n", "sets", "row 2, entry 1: expected an id"),
    ],
)
def test_a_bad_row_is_named(read, text, format, reason):
    with pytest.raises(InvalidInput, match=reason):
        read(text, format=format)


def test_a_row_of_ten_thousand_ids_is_taken_with_a_warning(read):
    found, _ = read("1 " + " ".join(map(str, range(10_000))) + "\n0 1\n", format="sets")

    assert found.longest == 10_000
    assert any("longest row has 10000 ids" in warning for warning in found.warnings)


def test_rows_above_the_limits_are_refused(read, monkeypatch):
    monkeypatch.setattr(sets, "MAX_ENTRIES_OF_A_ROW", 3)
    with pytest.raises(InputTooLarge, match="row 2: expected at most 3 ids, got 4"):
        read("1 1\n0 1 2 3 4\n", format="sets")
    monkeypatch.setattr(sets, "MAX_FEATURES", 2)
    with pytest.raises(InputTooLarge, match="at most 2 different ids"):
        read("1 1\n0 1 2 3\n", format="sets")


def test_fields_that_do_not_fit_the_rows_are_refused(read):
    with pytest.raises(ValueError, match="different names of fields"):
        read("1 2:1 4:1\n0 3:1 5:1\n", fields=["a", "a"])
    with pytest.raises(InvalidInput, match="names 3 fields, but rows have 2 to 2 ids"):
        read("1 2:1 4:1\n0 3:1 5:1\n", fields=["a", "b", "c"])


def test_other_labels_are_amounts_or_classes(read):
    amounts, _ = read("0 1\n1 2\n0.5 2\n", format="sets")
    assert amounts.task == "regression"
    assert any("the label 0.5 is no whole number" in warning for warning in amounts.warnings)
    assert not read("0.5 1\n3 2\n", format="sets", task="regression")[0].warnings
    found, _ = read("1 1\n2 2\n3 2\n1 1\n", format="sets")
    assert found.task == "multiclass"
    assert any("set task to regression" in warning for warning in found.warnings)


def test_ids_of_portions_are_united_as_sets_are():
    draw = np.random.default_rng(0)
    known = np.empty(0, dtype=np.int64)
    for _ in range(20):
        ids = draw.integers(0, 60, 10)
        expected = np.union1d(known, ids)
        known = sets.united(known, ids)
        assert np.array_equal(known, expected)
    assert np.array_equal(sets.united(known, np.empty(0, dtype=np.int64)), known)
