"""L0-SIGN's predictions and explanations in NumPy: against torch, against scalars, and on rows of every sort."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.errors import InputTooLarge, InvalidParameters, UnsupportedModel
from jobs.predictors import predictor_of
from tests.unit.jobs.predictors.l0_models import (
    TRAINING_ROWS,
    VOCABULARY,
    as_trained,
    sets_manifest,
    sets_predictor,
    sets_tensors,
    table_predictor,
)
from tests.unit.worker.methods.l0_sign.rows import FEATURES, oracle, rows_of
from worker.methods.l0_sign.explain import contributions
from worker.methods.l0_sign.pairs import as_sets

SAME = 1e-6
"""The file's table holds float32 numbers around 1, the networks here compute in float64."""
EXACT = 1e-12
"""Sums of a few float64 numbers around 1, in another order."""

DESIGNS = [
    {},
    {"mean": "nodes"},
    {"gated": False},
    {"compat": "published"},
    {"compat": "published", "gated": False},
    {"embedding": 3, "edge_embedding": 5, "hidden": 4},
]
UNKNOWN_ID = 12345

features = st.lists(st.integers(-1, FEATURES - 1), unique=True, max_size=6)


def ids(row):
    return [UNKNOWN_ID if feature < 0 else VOCABULARY[feature] for feature in row]


@pytest.mark.parametrize("design", DESIGNS, ids=str)
@given(rows=st.lists(features, min_size=1, max_size=4))
@settings(max_examples=15)
def test_margins_are_those_of_torch_and_of_the_slow_oracle(design, rows):
    model = as_trained(**design)
    predictor = sets_predictor(model)

    margins = predictor.predict([ids(row) for row in rows]).margins[:, 0]

    given_rows = rows_of(*rows)
    np.testing.assert_allclose(margins, contributions(model, given_rows).margins, rtol=0, atol=SAME)
    for row, margin in zip(rows, margins, strict=True):
        outputs = oracle(model).row([(feature, 1.0) for feature in row], 0, None).outputs
        assert margin == pytest.approx(outputs[-1] - outputs[0] if len(outputs) == 2 else outputs[0], abs=SAME)


@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_every_edge_contributes_what_torch_says_and_all_add_up(design):
    model = as_trained(**design)
    row = [0, 2, 1, -1, 4]
    found, predicted = sets_predictor(model).explain([ids(row)], output=None, top=100)

    torch_says = contributions(model, rows_of(row))
    expected = {
        frozenset((row[int(i)], row[int(j)])): (float(gate), float(value))
        for i, j, gate, value in zip(
            torch_says.pairs.first, torch_says.pairs.second, torch_says.gates, torch_says.values, strict=True
        )
        if gate > 0
    }
    names = {**{str(id): place for place, id in enumerate(VOCABULARY)}, "(unknown)": -1}
    got = {frozenset(names[name] for name in part.features): (part.gate, part.contribution) for part in found[0].parts}
    assert got.keys() == expected.keys()
    for pair, numbers in got.items():
        assert numbers == pytest.approx(expected[pair], abs=SAME)
    assert (found[0].kept, found[0].possible) == (len(expected), 15)
    assert found[0].bias + sum(part.contribution for part in found[0].parts) == pytest.approx(
        found[0].margin, abs=EXACT
    )
    assert found[0].bias + found[0].total == pytest.approx(found[0].margin, abs=EXACT)
    assert found[0].margin == pytest.approx(predicted.margins[0, 0], abs=SAME)


def test_a_wrong_table_shows_where_the_prediction_stands_beside_the_network():
    model = as_trained()
    tensors = sets_tensors(model)
    tensors["table.scores"] = tensors["table.scores"] + np.float32(0.5)

    found, predicted = predictor_of(sets_manifest(model), tensors).explain([ids([0, 1, 2])], output=None, top=1)

    assert abs(predicted.margins[0, 0] - found[0].margin) > 0.01


@pytest.mark.parametrize("trained", [(), TRAINING_ROWS, [list(range(-1, FEATURES))]], ids=["none", "some", "all"])
def test_pairs_that_the_table_lacks_are_computed(trained):
    model = as_trained()
    rows = [list(row) for length in range(4) for row in itertools.combinations(range(-1, FEATURES), length)]

    margins = sets_predictor(model, trained).predict([ids(row) for row in rows]).margins[:, 0]

    np.testing.assert_allclose(margins, contributions(model, rows_of(*rows)).margins, rtol=0, atol=SAME)


def test_the_order_of_a_row_makes_no_difference_but_to_a_published_network():
    row = ids([4, 0, 3, 1])
    same, other = (
        sets_predictor(as_trained(**design)).predict([row, row[::-1]]).margins[:, 0]
        for design in ({}, {"compat": "published"})
    )

    assert same[0] == pytest.approx(same[1], abs=EXACT)
    assert other[0] != pytest.approx(other[1], abs=1e-3)


def test_values_multiply_embeddings():
    model = as_trained()
    predictor = sets_predictor(model, valued=True)
    row, values = [0, 2, 5], [0.5, -2.0, 1.0]

    margins = predictor.predict([[[VOCABULARY[one], value] for one, value in zip(row, values, strict=True)]]).margins

    expected = contributions(model, rows_of(row, values=values)).margins
    np.testing.assert_allclose(margins[:, 0], expected, rtol=0, atol=SAME)
    (found,), _ = predictor.explain(
        [[[VOCABULARY[one], value] for one, value in zip(row, values, strict=True)]], output=None, top=9
    )
    assert found.bias + found.total == pytest.approx(found.margin, abs=SAME)


def test_values_of_a_repeated_id_add_up_and_plain_repeats_count_once():
    valued, plain = sets_predictor(as_trained(), valued=True), sets_predictor(as_trained())

    twice = valued.predict([[[3, 0.25], 10, [3, 0.5]], [[3, 0.75], 10]])
    once = plain.predict([[3, 10, 3, 3], [3, 10]])

    for found in (twice, once):
        assert found.margins[0] == pytest.approx(found.margins[1], abs=EXACT)
        assert "epeated" in found.remarks[0].notes[0]
        assert found.remarks[1].notes == ()


def test_an_empty_row_is_given_the_bias_and_an_unknown_id_is_named():
    predictor = sets_predictor(as_trained())

    found = predictor.predict([[], [3, UNKNOWN_ID, 3**30]])

    assert found.margins[0, 0] == predictor.bias[0]
    assert "empty" in found.remarks[0].notes[0]
    assert found.remarks[1].unknown == (str(UNKNOWN_ID), str(3**30))
    (explained,), _ = predictor.explain([[]], output=None, top=5)
    assert (explained.margin, explained.total, explained.kept) == (predictor.bias[0], 0.0, 0)


def test_many_rows_in_portions_have_the_same_margins_as_one_by_one(monkeypatch):
    predictor = sets_predictor(as_trained())
    rows = [ids(row) for length in range(5) for row in itertools.combinations(range(-1, FEATURES), length)]
    together = predictor.predict(rows).margins

    monkeypatch.setattr("jobs.predictors.l0_sign._PAIRS_AT_ONCE", 7)

    np.testing.assert_allclose(predictor.predict(rows).margins, together, rtol=0, atol=EXACT)


@pytest.mark.parametrize(
    ("row", "pointer", "words"),
    [
        ("3", "/rows/1", "expected a list of ids"),
        ({"3": 1}, "/rows/1", "expected a list of ids"),
        ([3, "10"], "/rows/1/1", "got '10'"),
        ([3.0], "/rows/1/0", "got 3.0"),
        ([True], "/rows/1/0", "got True"),
        ([None], "/rows/1/0", "got None"),
        ([2**63], "/rows/1/0", "below 2"),
        ([[3]], "/rows/1/0", r"got \[3\]"),
        ([[3, 1, 1]], "/rows/1/0", r"got \[3, 1, 1\]"),
        ([[3, math.inf]], "/rows/1/0", "finite|whole number"),
        ([[3, 10**400]], "/rows/1/0", "got"),
        ([[3, 2]], "/rows/1/0", "learned from none"),
        (list(range(1001)) + list(range(9000)), "/rows/1", "at most 1000 different features"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_row_is_refused_at_its_pointer(row, pointer, words):
    trained = sets_predictor(as_trained())
    vocabulary = np.arange(9000)
    if len(row) > 1000:
        trained = _wide(vocabulary)

    with pytest.raises(InvalidParameters, match=words) as refused:
        trained.predict([[3], row])

    assert [fault.pointer for fault in refused.value.errors] == [pointer]


def _wide(vocabulary):
    """A model of many features, without gates."""
    from worker.methods.l0_sign.model import Design, L0Sign

    model = L0Sign(Design(features=len(vocabulary), gated=False), torch.Generator().manual_seed(0))
    weights = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    empty = {
        "keys": np.int64,
        "gates": np.float32,
        "scores": np.float32,
        "support": np.int64,
        "contribution": np.float64,
    }
    table = {f"table.{name}": np.zeros(0, kind) for name, kind in empty.items()}
    manifest = sets_manifest(model, features=len(vocabulary), fields=())
    return predictor_of(manifest, {**weights, **table, "vocabulary": vocabulary})


def test_ten_thousand_repeats_of_one_id_are_one_feature():
    found = sets_predictor(as_trained()).predict([[3] * 10_000, [3]])

    assert found.margins[0] == pytest.approx(found.margins[1], abs=EXACT)


def test_rows_with_too_many_pairs_together_are_refused_before_they_are_computed():
    with pytest.raises(InputTooLarge, match="send fewer rows"):
        _wide(np.arange(9000)).predict([list(range(1000))] * 9)


def test_a_row_of_a_table_is_read_as_in_training():
    model = as_trained()
    predictor = table_predictor(model)
    rows = [
        {"city": "Oslo", "age": 55, "app": "Gmail"},
        {"city": None, "age": None, "app": "Maps"},
        {"city": "Paris", "age": 40.0, "app": "Tetris"},
        {"city": None, "age": None, "app": None},
    ]

    found = predictor.predict(rows)

    same = as_sets(rows_of([1, 3, 4], [5], [-1, 3, -1], [], values=[1, 1.5, 1, 1, 1, 0, 1]))
    np.testing.assert_allclose(found.margins[:, 0], contributions(model, same).margins, rtol=0, atol=SAME)
    assert [remark.unknown for remark in found.remarks] == [(), (), ("city=Paris", "app=Tetris"), ()]
    assert "missing" in found.remarks[3].notes[0]


@pytest.mark.parametrize(
    ("change", "pointer", "words"),
    [
        ({"City": "Oslo"}, "/rows/0/City", "did you mean 'city'"),
        ({"a/b~": 1}, "/rows/0/a~1b~0", "no column"),
        ({"age": "55"}, "/rows/0/age", "expected a number or null, got '55'"),
        ({"age": True}, "/rows/0/age", "got True"),
        ({"age": math.nan}, "/rows/0/age", "got nan"),
        ({"age": 10**400}, "/rows/0/age", "expected a number"),
        ({"city": 3}, "/rows/0/city", "text of a category"),
        ({"city": ["Oslo"]}, "/rows/0/city", "text of a category"),
    ],
)
def test_a_wrong_cell_is_refused_at_its_pointer(change, pointer, words):
    row = {"city": "Oslo", "age": 55, "app": "Gmail"} | change

    with pytest.raises(InvalidParameters, match=words) as refused:
        table_predictor(as_trained()).predict([row])

    assert [fault.pointer for fault in refused.value.errors] == [pointer]


@pytest.mark.parametrize("verb", ["predict", "explain"])
def test_a_prediction_beyond_all_numbers_is_refused(verb):
    predictor = sets_predictor(as_trained(), valued=True)
    network = predictor._network  # type: ignore[attr-defined]
    network._reads = network._reads * 1e300
    rows = [[3], [[3, 3e38], [10, 3e38]]]

    with pytest.raises(InvalidParameters, match="no number") as refused:
        predictor.predict(rows) if verb == "predict" else predictor.explain(rows, output=None, top=1)

    assert "/rows/1" in [fault.pointer for fault in refused.value.errors]


def test_missing_columns_are_named_and_a_million_faults_are_not():
    with pytest.raises(InvalidParameters, match="expected the column 'city'") as refused:
        table_predictor(as_trained()).predict([{}] * 1000)

    assert [fault.pointer for fault in refused.value.errors][:4] == [
        "/rows/0/city", "/rows/0/age", "/rows/0/app", "/rows/1/city",
    ]  # fmt: skip
    assert len(refused.value.errors) == 20


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"nodes": np.zeros((3, 8), np.float32)}, "nodes: expected float32"),
        ({"head.bias": np.array([np.nan], np.float32)}, "NaN"),
        ({"table.keys": np.zeros(3, np.int64)}, "table.gates: expected"),
        ({"table.keys": np.array(3)}, r"table.keys: expected int64 of shape \[1\], got int64 of \[\]"),
        ({"vocabulary": np.zeros(FEATURES, np.int64)}, "rises"),
        ({"field_of": np.full(FEATURES, 2)}, "field_of below 2"),
        ({"strange": np.zeros(1)}, "'strange' is unexpected"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(change, words):
    model = as_trained()

    with pytest.raises(UnsupportedModel, match=words):
        predictor_of(sets_manifest(model), sets_tensors(model) | change)


@pytest.mark.parametrize("keys", [lambda keys: keys[::-1], lambda keys: np.r_[keys[:-1], 10**6]])
@pytest.mark.parametrize("at_once", [1, 1 << 20])
def test_a_table_with_impossible_keys_is_refused(keys, at_once, monkeypatch):
    monkeypatch.setattr("jobs.predictors.tensors._AT_ONCE", at_once)
    model, tensors = as_trained(), sets_tensors(as_trained())
    tensors["table.keys"] = np.ascontiguousarray(keys(tensors["table.keys"]))

    with pytest.raises(UnsupportedModel, match=r"table\.keys to rise"):
        predictor_of(sets_manifest(model), tensors)
