"""Tables: what is found in them, and what is said of bad ones."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

from jobs.errors import InputTooLarge, InvalidInput
from worker.datasets import csv_text, tables

HOUSES = "rooms,sea,price\n3,near,10.5\n4,far,8.25\n,near,12\n5,,7\n"


def test_a_table_is_described_column_by_column(read):
    found, _ = read(HOUSES)

    rooms, sea, price = found.columns
    assert (found.kind, found.format, found.rows, found.task, found.target) == (
        "table", "csv", 4, "regression", "price",
    )  # fmt: skip
    assert (rooms.type, rooms.missing, rooms.mean, rooms.minimum, rooms.maximum) == ("numeric", 1, 4.0, 3.0, 5.0)
    assert rooms.std == pytest.approx((2 / 3) ** 0.5)
    assert (sea.type, sea.missing, sea.cardinality, sea.categories) == ("categorical", 1, 2, ("far", "near"))
    assert price.missing == 0
    assert any("no target was named" in warning for warning in found.warnings)
    assert any("'rooms' lacks a value in 1 of 4 rows" in warning for warning in found.warnings)


def test_a_table_is_read_as_tensors_with_gaps_marked(read):
    _, table = read(HOUSES, target="price")

    rooms, sea = table.features
    torch.testing.assert_close(rooms.values, torch.tensor([3.0, 4, torch.nan, 5]).double(), equal_nan=True)
    assert sea.values.tolist() == [1, 0, 1, -1]
    assert sea.categories == ("far", "near")
    assert table.labels.values.tolist() == [10.5, 8.25, 12.0, 7.0]


def test_a_table_reads_the_same_in_many_portions(read, monkeypatch):
    rows = "".join(f"{i % 7},{'abc'[i % 3]},{i / 10}\n" for i in range(2000))
    whole, tensors = read("a,b,y\n" + rows)
    monkeypatch.setattr(csv_text, "BLOCK_BYTES", 1000)
    parts, in_parts = read("a,b,y\n" + rows)

    assert parts.model_copy(update={"columns": ()}) == whole.model_copy(update={"columns": ()})
    assert parts.columns[0].mean == pytest.approx(whole.columns[0].mean, abs=1e-12)
    assert parts.columns[0].std == pytest.approx(whole.columns[0].std, abs=1e-12)
    for one, other in zip(tensors.features, in_parts.features, strict=True):
        assert torch.equal(one.values, other.values)


@pytest.mark.parametrize(
    ("labels", "manifest", "task", "classes"),
    [
        ("0101", {}, "binary", ("0", "1")),
        ("1232", {}, "multiclass", ("1", "2", "3")),
        ("1232", {"task": "regression"}, "regression", ()),
        ("abab", {}, "binary", ("a", "b")),
        ("abca", {}, "multiclass", ("a", "b", "c")),
    ],
)
def test_the_task_is_inferred_and_can_be_set(read, labels, manifest, task, classes):
    found, table = read("x,y\n" + "".join(f"{i}.5,{label}\n" for i, label in enumerate(labels)), **manifest)

    assert (found.task, found.classes) == (task, classes)
    if classes:
        assert [classes[code] for code in table.labels.values] == list(labels)
        assert sum(found.class_counts) == len(labels)


@pytest.mark.parametrize(
    ("text", "manifest", "reason"),
    [
        ("1,2\n3,4\n5,6\n", {}, "only numbers, no names"),
        ("a,b\n1,2\n", {}, "at least 2 rows"),
        ("a,b\n", {}, "no rows"),
        ("\n", {}, "first row is empty"),
        ("\ra,b", {}, "first row is no CSV"),
        ("a,b\n,1\n,2\n", {}, "no column but the target has a value"),
        ("a,b\n1,\n2,\n", {}, "target 'b' has no value in any of 2"),
        ("a,b\n1,5\n2,5\n", {}, "target 'b' is constant"),
        ("a,b\n1,5\n2,\n3,4\n", {}, "target 'b' lacks a value in 1 of 3"),
        ("a,b\n1,2\n3,4\n", {"target": "c"}, "no target column 'c'; the columns are a, b"),
        ("a,b\n1,2\n3,4\n", {"columns": {"z": "numeric"}}, "declares a column 'z'"),
        ("a,b\ninf,2\n3,4\n", {}, "column 'a', row 1: expected a finite number"),
        ("a,b\n1,2\n3\n5,6\n", {}, "row 2: expected 2 cells"),
        ("a,a\n1,2\n3,4\n", {}, "'a' twice"),
        ("a\n1\n2\n", {}, "at least one more column"),
        (b"a,b\n1,2\ncaf\xe9,3\n", {}, "line 3 is not utf-8"),
        ("a,b\n1,2\n".encode("utf-16"), {}, "not utf-8|UTF-16"),
        ("a,b\nx,u\ny,v\n", {"task": "regression"}, "regression needs numbers"),
        ("a,b\nx,u\ny,v\nz,w\n", {"task": "binary"}, "two classes for the task binary, got 3"),
        ("a,b\nx,1\n2,2\n", {"columns": {"a": "numeric"}}, "column 'a', row 1: expected a number"),
        ("a,b\n" + "1,2\n" * 99 + "oops,3\n", {}, "column 'a', row 100: .*got 'oops'"),
        ("a,b\n" + "x" * 300 + ",2\ny,3\n", {}, "column 'a'.*at most 200 characters"),
    ],
)
def test_a_bad_table_is_refused_with_the_place_and_the_reason(read, text, manifest, reason):
    with pytest.raises(InvalidInput, match=reason):
        read(text, **manifest)


@pytest.mark.parametrize(
    ("text", "manifest", "warning"),
    [
        ("a,b,y\n7,1,1.5\n7,2,2.5\n", {}, "'a' has one value only"),
        ("a,b,y\nx,1,1.5\n2,2,2.5\nz,3,0.5\n", {}, "'a' mixes text and 1 numbers"),
        ("a,b,y\nu,1,1.5\nv,2,2.5\n", {}, "another text in every row"),
        (",b,y\n1,1,1.5\n2,2,2.5\n", {}, "are called unnamed 0"),
        ("a,b,y\n,1,1.5\n,2,2.5\n", {}, "'a' has no value in any row"),
    ],
)
def test_what_may_surprise_is_a_warning(read, text, manifest, warning):
    found, _ = read(text, **manifest)

    assert any(warning in given for given in found.warnings), found.warnings


def test_columns_can_be_declared(read):
    found, table = read("id,code,y\n1,3,0.5\n2,3,1.5\n3,4,2.5\n", columns={"id": "ignore", "code": "categorical"})

    assert [column.type for column in found.columns] == ["ignore", "categorical", "numeric"]
    assert [feature.name for feature in table.features] == ["code"]
    assert table.features[0].categories == ("3", "4")


def test_a_table_without_header_and_with_another_delimiter_is_read(read):
    found, table = read("1;x;2.5\n2;y;3.5\n", header=False, target="c2")

    assert [column.name for column in found.columns] == ["c0", "c1", "c2"]
    assert table.labels.values.tolist() == [2.5, 3.5]


def test_latin_1_is_read_when_it_is_declared(read):
    found, _ = read("a,y\ncaf\xe9,1.5\nth\xe9,2.5\n".encode("latin-1"), encoding="latin-1")

    assert found.columns[0].categories == ("caf\xe9", "th\xe9")


def test_texts_that_stand_for_no_value_can_be_declared(read):
    found, _ = read("a,y\n-,1.5\n2,2.5\n", missing=["-"])

    assert (found.columns[0].type, found.columns[0].missing) == ("numeric", 1)


def test_a_hundred_thousand_categories_are_taken_with_a_warning(read):
    rows = "".join(f"c{i % 99_999},{i % 2}.5\n" for i in range(100_000))
    found, _ = read("a,y\n" + rows)

    assert found.columns[0].cardinality == 99_999
    assert len(found.columns[0].categories) == 100
    assert any("99999 categories" in warning for warning in found.warnings)


def test_more_cells_than_are_taken_are_refused(read, monkeypatch):
    monkeypatch.setattr("worker.datasets._reading.MAX_CELLS", 5)

    with pytest.raises(InputTooLarge, match="at most 5 numbers"):
        read(HOUSES)


def parquet(**columns: pa.Array) -> bytes:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def test_parquet_reads_like_csv(read):
    data = parquet(
        rooms=pa.array([3, 4, None, 5]), sea=pa.array(["near", "far", "near", None]).dictionary_encode(),
        new=pa.array([True, False, True, True]), price=pa.array([10.5, 8.25, 12, 7]),
    )  # fmt: skip
    found, table = read(data)
    rooms, sea, new = (feature.values.tolist() for feature in table.features)

    assert [column.type for column in found.columns] == ["numeric", "categorical", "categorical", "numeric"]
    assert (sea, table.features[1].categories) == ([1, 0, 1, -1], ("far", "near"))
    assert (new, table.features[2].categories) == ([1, 0, 1, 1], ("false", "true"))
    assert str(rooms) == "[3.0, 4.0, nan, 5.0]"


def test_parquet_columns_that_are_neither_numbers_nor_text_must_be_ignored(read):
    data = parquet(when=pa.array([1, 2], pa.timestamp("s")), x=pa.array([1, 2]), y=pa.array([1.5, 2.5]))

    with pytest.raises(InvalidInput, match=r"column 'when'.*timestamp"):
        read(data)
    assert read(data, columns={"when": "ignore"})[0].columns[0].type == "ignore"


def test_damaged_parquet_is_refused(read):
    whole = parquet(x=pa.array(range(1000)), y=pa.array([i / 3 for i in range(1000)]))
    for data in (whole[:50] + whole[-8:], whole[:40] + b"\xff" * 200 + whole[240:]):
        with pytest.raises(InvalidInput, match="Parquet"):
            read(data)


def test_nothing_of_the_rows_is_held_beyond_a_portion(read, monkeypatch):
    """Reading in portions of one row gives the same answer, so no reader looks beyond its portion."""
    monkeypatch.setattr(tables, "_ROWS_AT_ONCE", 1)
    found, table = read(parquet(a=pa.array(["u", "v", "u"]), y=pa.array([0.5, 1.5, 2.5])))

    assert found.rows == 3
    assert table.features[0].values.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("text", "manifest", "pointer"),
    [
        ("a,y\n1,2\n3,4.5\n", {"target": "price"}, "/target"),
        ("a,y\n1,2\n3,2\n", {"target": "y"}, "/target"),
        ("a,y\n1,\n3,2\n", {"target": "y"}, "/target"),
        ("a,y\n1,u\n3,v\n", {"target": "y", "task": "regression"}, "/task"),
        ("1,2\n3,4\n", {}, "/header"),
        ("a,y\né,1\no,2\n".encode("latin-1"), {"target": "y"}, "/encoding"),
        ("a,y\n1,2\n3,4\n", {"target": "y", "columns": {"b": "numeric"}}, "/columns"),
    ],
)
def test_a_fault_that_the_manifest_can_mend_names_its_field(read, text, manifest, pointer):
    with pytest.raises(InvalidInput) as refused:
        read(text, **manifest)

    assert [fault.pointer for fault in refused.value.errors] == [pointer]


@pytest.mark.parametrize("text", ["a,y", "a,y\n", "a,y\r\n\r\n"])
def test_names_without_rows_are_no_table(read, text):
    with pytest.raises(InvalidInput, match="no rows; add rows"):
        read(text, target="y")


def test_decimal_commas_are_no_categories(read):
    with pytest.raises(InvalidInput, match="decimal points"):
        read("a;y\n0,5;1\n0,75;2\n", target="y")

    found, _ = read("a;y\n0,5;1\n0,75;2\n", target="y", columns={"a": "categorical"})
    assert found.columns[0].type == "categorical"
