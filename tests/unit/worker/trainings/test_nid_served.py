"""The additive model of a NID training, as it is served: the same numbers as in training, from raw rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from jobs.errors import InvalidParameters, UnsupportedModel
from jobs.predictors import Predictor, predictor_of, read_tensors
from worker.methods.nid.networks import Design, Parameters
from worker.methods.nid.training import predict
from worker.models import inspect_state
from worker.trainings._data import Feature, Labels, Table
from worker.trainings._registry import NewModel, TrainingTask
from worker.trainings.nid import train
from worker.trainings.nid.encoding import fitted_fields
from worker.trainings.nid.gate import row_losses
from worker.trainings.nid.params import NidParams
from worker.trainings.nid.parts import parts_of, target_of
from worker.trainings.nid.search import material_of

SAME = 1e-6
"""Training computes in float32, the predictor in float64; relative to targets of deviation 1."""
EXACT = 1e-12
"""Sums of a few float64 numbers around 1, in another order."""
PARAMS = NidParams(hidden=(8,), trials=1, l1=(1e-4,), epochs=3, batch_size=50, cutoff=2, most_categories=2, compare=())


def table(classes: int = 0) -> Table:
    """A number, a number with gaps, a category with rare ones and gaps, and a constant column."""
    random = np.random.default_rng(4)
    a, b, code = random.normal(5, 2, 400), random.normal(size=400), random.choice([0, 0, 0, 1, 1, 2, 3, -1], 400)
    b[::7] = np.nan
    y = 1000 + 30 * a * np.nan_to_num(b) + 10 * (code == 1)
    labels = Labels(task="regression", values=torch.from_numpy(y))
    if classes:
        ranks = np.argsort(np.argsort(y)) * classes // len(y)
        task: Any = "binary" if classes == 2 else "multiclass"
        labels = Labels(task=task, values=torch.from_numpy(ranks), classes=tuple(f"c{k}" for k in range(classes)))
    features = (
        Feature(name="a", values=torch.from_numpy(a)),
        Feature(name="b", values=torch.from_numpy(b)),
        Feature(name="city", values=torch.from_numpy(code).int(), categories=("Basel", "Oslo", "Paris", "Rome")),
        Feature(name="one", values=torch.ones(400, dtype=torch.float64)),
    )
    return Table(features=features, labels=labels, rows=400)


def rows_of(table: Table, which: torch.Tensor) -> list[dict[str, Any]]:
    """Return rows as a caller would send them."""
    columns = {
        feature.name: [_cell(feature, value) for value in feature.values[which].tolist()] for feature in table.features
    }
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _cell(feature: Feature, value: float) -> Any:
    if feature.categories is not None:
        return None if value < 0 else feature.categories[int(value)]
    return None if math.isnan(value) else value


@pytest.fixture(scope="module", params=[0, 2, 3], ids=["numbers", "two classes", "three classes"])
def trained(request):
    whole = table(request.param)
    return whole, train(TrainingTask(data=whole, seed=1, name="mine"), PARAMS)


def served(model: NewModel) -> Predictor:
    """Return what answers for the model after it was inspected, written and read."""
    weights, inspection = inspect_state(model.manifest, dict(model.state), device=torch.device("cpu"))
    assert inspection.capabilities == ()
    return predictor_of(model.manifest, read_tensors(weights))


def test_the_validation_loss_comes_out_of_raw_rows(trained):
    whole, found = trained
    (model,) = found.models
    parts = parts_of(whole.labels, PARAMS, seed=1)
    target = target_of(whole.labels, parts.train)
    cutoff = found.result.details["cutoff"]

    margins = served(model).predict(rows_of(whole, parts.validation)).margins

    answers = torch.from_numpy((margins - target.mean) / target.unit)
    loss = float(row_losses(answers, target.y[parts.validation], target).mean())
    assert loss == pytest.approx(cutoff["validation_loss"][cutoff["interactions"]], rel=1e-5)


def test_terms_add_up_and_have_mean_zero_over_the_training_rows(trained):
    whole, found = trained
    (model,) = found.models
    predictor, rows = served(model), rows_of(whole, parts_of(whole.labels, PARAMS, seed=1).train)

    explained, predicted = predictor.explain(rows, output=0, top=100)

    for one, margins in zip(explained, predicted.margins, strict=True):
        assert one.margin == margins[0]
        assert one.bias + sum(part.contribution for part in one.parts) == pytest.approx(one.margin, rel=EXACT)
        assert one.total == pytest.approx(one.margin - one.bias, rel=1e-9)
    by_name: dict[tuple[str, ...], list[float]] = {}
    for one in explained:
        for part in one.parts:
            by_name.setdefault(part.features, []).append(part.contribution)
    page = predictor.interactions(feature=None, by="feature", begin=0, limit=100)
    assert set(by_name) == {term.features for term in page.items}
    scale = abs(predicted.margins).max()
    for term in page.items:
        assert np.mean(by_name[term.features]) == pytest.approx(0, abs=1e-9 * scale)
        assert np.mean(np.abs(by_name[term.features])) == pytest.approx(term.size[0], rel=1e-9)


def test_raw_rows_have_the_answers_of_the_torch_networks_in_float64(trained):
    whole, found = trained
    (model,) = found.models
    parts = parts_of(whole.labels, PARAMS, seed=1)
    target = target_of(whole.labels, parts.train)
    material = material_of(fitted_fields(whole, parts.train, most_categories=2), target, parts)
    design, parameters = _torch_form(model)

    margins = served(model).predict(rows_of(whole, parts.test)).margins

    answers = predict(design, parameters, material.test.x.double())[0].numpy() * target.unit + target.mean
    np.testing.assert_allclose(margins, answers, rtol=1e-9, atol=SAME)


def _torch_form(model: NewModel) -> tuple[Design, Parameters]:
    """Return the networks as training has them: one row of numbers each."""
    architecture = model.manifest.architecture
    widths = [column.width for column in architecture.columns]
    ends = np.cumsum(widths)
    sees = torch.zeros(len(architecture.interactions), sum(widths), dtype=torch.bool)
    for term, members in enumerate(architecture.interactions):
        for member in members:
            sees[term, ends[member] - widths[member] : ends[member]] = True
    outputs = model.state["terms.mean"].shape[1]
    owner = torch.zeros(len(sees), dtype=torch.int64)
    design = Design(
        sum(widths), outputs, 1, owner, sees, mains=True, hidden=architecture.hidden,
        main_hidden=architecture.main_hidden,
    )  # fmt: skip
    return design, Parameters(_in_rows(model, "interactions"), _in_rows(model, "mains"))


def _in_rows(model: NewModel, prefix: str) -> torch.Tensor:
    names = [name for kind in ("weight", "bias") for name in model.state if name.startswith(prefix) and kind in name]
    return torch.cat([model.state[name].flatten(1).double() for name in names], dim=1)


def test_the_columns_are_encoded_as_in_training_and_strange_cells_are_named(trained):
    _, found = trained
    predictor = served(found.models[0])
    plain = {"a": 5.0, "b": 0.5, "city": "Basel"}

    changes = [{}, {"one": 3}, {"city": "Rome"}, {"city": "Atlantis"}, {"a": None}, {"b": None}]
    predicted = predictor.predict([{**plain, **change} for change in changes])
    margins, remarks = predicted.margins, predicted.remarks

    assert (margins[0] == margins[1]).all(), "a column that was constant has no say"
    assert (margins[2] == margins[3]).all(), "rare categories and new ones are one"
    assert [remark.unknown for remark in remarks] == [(), (), ("city=Rome",), ("city=Atlantis",), (), ()]
    assert "counts as the mean" in remarks[4].notes[0]
    assert remarks[5].notes == (), "missing values of b were in the training rows"


@pytest.mark.parametrize(
    ("row", "pointer", "words"),
    [
        ([1, 2], "/rows/0", "expected an object"),
        ({"a": 1, "b": 2}, "/rows/0/city", "expected the column 'city'"),
        ({"a": 1, "b": 2, "city": "Oslo", "y": 3}, "/rows/0/y", "no column 'y'"),
        ({"a": "1", "b": 2, "city": "Oslo"}, "/rows/0/a", "expected a number"),
        ({"a": 4e38, "b": 2, "city": "Oslo"}, "/rows/0/a", "expected a number"),
        ({"a": 1, "b": 2, "city": 7}, "/rows/0/city", "text of a category"),
    ],
)
def test_what_is_no_row_is_refused(trained, row, pointer, words):
    _, found = trained

    with pytest.raises(InvalidParameters, match=words) as refused:
        served(found.models[0]).predict([row])

    assert [fault.pointer for fault in refused.value.errors] == [pointer]


def test_a_file_that_does_not_fit_is_refused(trained):
    _, found = trained
    (model,) = found.models
    for change in ({"terms.size": None}, {"more": torch.zeros(1)}, {"terms.mean": torch.full((1, 1), math.nan)}):
        state = {name: tensor for name, tensor in {**model.state, **change}.items() if tensor is not None}

        with pytest.raises(UnsupportedModel, match="does not fit the architecture"):
            inspect_state(model.manifest, state, device=torch.device("cpu"))


def test_interactions_of_a_column_are_found_by_its_name(trained):
    _, found = trained
    predictor = served(found.models[0])

    mine = predictor.interactions(feature="a", by="feature", begin=0, limit=100)

    assert mine.items
    assert all("a" in term.features for term in mine.items)
    with pytest.raises(ValueError, match="no column 'z'"):
        predictor.interactions(feature="z", by="feature", begin=0, limit=100)


def test_no_additive_model_is_made_where_none_is_asked_for():
    found = train(TrainingTask(data=table(), seed=1), PARAMS.model_copy(update={"cutoff": 0}))

    assert found.models == ()
