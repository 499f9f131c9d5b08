"""A trained L0-SIGN model reads raw rows as training read the dataset: every row has the margin that torch gives it."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from jobs.predictors import predictor_of, read_tensors
from worker.methods.l0_sign.explain import contributions
from worker.methods.l0_sign.model import Design, L0Sign
from worker.models import inspect_state
from worker.trainings._data import Data, Feature, Labels, Sets, Table
from worker.trainings._registry import NewModel, TrainingTask
from worker.trainings.l0_sign import train
from worker.trainings.l0_sign.material import material_of
from worker.trainings.l0_sign.params import L0SignParams

SAME = 1e-6
"""The file's table holds float32 numbers around 1, the networks here compute in float64."""
ROWS = 120


def labels(numbers: bool) -> Labels:
    draw = np.random.default_rng(1)
    if numbers:
        return Labels(task="regression", values=torch.from_numpy(draw.normal(3, 2, ROWS)))
    return Labels(task="binary", values=torch.arange(ROWS) % 2, classes=("no", "yes"))


def sets(*, valued: bool) -> tuple[Data, list[Any]]:
    """Rows of up to six ids, repeated and rare ones among them, and an empty row."""
    draw = np.random.default_rng(2)
    vocabulary = np.array([-3, 5, 6, 7, 100, 2**40])
    lengths = draw.integers(0, 7, ROWS)
    features = draw.choice(6, lengths.sum(), p=[0.3, 0.3, 0.2, 0.15, 0.04, 0.01])
    values = draw.normal(1, 0.5, len(features)).astype(np.float32) if valued else None
    offsets = np.concatenate([[0], lengths.cumsum()])
    entries: list[Any] = vocabulary[features].tolist()
    if values is not None:
        entries = [[id, value] for id, value in zip(entries, values.tolist(), strict=True)]
    data = Sets(
        offsets=torch.from_numpy(offsets), features=torch.from_numpy(features).int(),
        values=None if values is None else torch.from_numpy(values), vocabulary=torch.from_numpy(vocabulary),
        labels=labels(False),
    )  # fmt: skip
    return data, [entries[begin:end] for begin, end in pairwise(offsets)]


def table(*, numeric: bool) -> tuple[Data, list[Any]]:
    """Two columns of text with gaps and rare categories, and perhaps one of numbers with gaps."""
    draw = np.random.default_rng(3)
    city, app = (
        draw.choice([0, 1, 2, -1], ROWS, p=[0.5, 0.4, 0.02, 0.08]),
        draw.choice([0, 1, 2], ROWS, p=[0.6, 0.38, 0.02]),
    )
    age = draw.normal(40, 10, ROWS)
    age[::9] = np.nan
    features = [text("city", city, ("Basel", "Oslo", "Rome")), text("app", app, ("Chess", "Gmail", "Maps"))]
    if numeric:
        features.append(Feature(name="age", values=torch.from_numpy(age)))
    whole = Table(features=tuple(features), labels=labels(numeric), rows=ROWS)
    return whole, [{feature.name: cell(feature, row) for feature in features} for row in range(ROWS)]


def text(name: str, codes: np.ndarray, categories: tuple[str, ...]) -> Feature:
    return Feature(name=name, values=torch.from_numpy(codes).int(), categories=categories)


def cell(feature: Feature, row: int) -> Any:
    value = feature.values[row].item()
    if feature.categories is not None:
        return None if value < 0 else feature.categories[int(value)]
    return None if math.isnan(value) else value


def network(model: NewModel) -> L0Sign:
    """Return the torch network of a model's file, in float64."""
    given: Any = model.manifest.architecture
    design = Design(
        features=given.features, embedding=given.embedding, edge_embedding=given.edge_embedding, hidden=given.hidden,
        gated=given.gated, mean=given.mean, compat=given.compat,
    )  # fmt: skip
    made = L0Sign(design, torch.Generator())
    made.load_state_dict({name: model.state[name] for name in made.state_dict()})
    return made.double().eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("data", "rows", "params"),
    [
        (*sets(valued=False), {}),
        (*sets(valued=True), {}),
        (*sets(valued=False), {"compat": "published"}),
        (*table(numeric=False), {"gates": False}),
        (*table(numeric=True), {"mean": "nodes"}),
    ],
    ids=["ids", "ids with values", "published", "categories", "numbers"],
)  # fmt: skip
def test_raw_rows_have_the_margins_of_the_dataset(data, rows, params):
    chosen = L0SignParams(epochs=1, batch_size=32, least_support=3, table_pairs=8, **params)
    (model,) = train(TrainingTask(data=data, seed=0), chosen).models
    weights, inspection = inspect_state(model.manifest, dict(model.state), device=torch.device("cpu"))
    log = material_of(data, chosen, seed=0).log

    found = predictor_of(model.manifest, read_tensors(weights)).predict(rows)

    expected = contributions(network(model), log.rows).margins
    np.testing.assert_allclose(found.margins[:, 0], expected, rtol=SAME, atol=SAME)
    unknown = set(log.rows.row_of[log.rows.features < 0].tolist())
    assert {row for row, remarks in enumerate(found.remarks) if remarks.unknown} == unknown
    assert unknown, "some rows hold a rare feature"
    assert inspection.outputs == 1
