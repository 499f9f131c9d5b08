"""FAST, the H-statistic and the analysis of variance beside NID."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks._synthetic import FUNCTIONS
from worker.trainings._data import Feature, Labels, Table
from worker.trainings._registry import TrainingTask
from worker.trainings.nid.anova import anova
from worker.trainings.nid.comparators import agreement, compared, shared
from worker.trainings.nid.encoding import fitted_fields
from worker.trainings.nid.fast import fast
from worker.trainings.nid.h_statistic import POINTS, h_statistic
from worker.trainings.nid.identifiers import identifiers
from worker.trainings.nid.params import NidParams
from worker.trainings.nid.parts import parts_of, target_of
from worker.trainings.nid.sample import Sample, sample_of
from worker.trainings.nid.search import material_of
from worker.trainings.nid.twins import twins_of
from worker.trainings.nid.verdict import auc

EXACT = 1e-12
GOOD, CHANCE = 0.68, 0.62
"""F4 has weak interactions: FAST after mains is 0.74 or more over draws of 3000 rows and more, without near 0.5."""


def f4() -> tuple[Sample, np.ndarray]:
    function = FUNCTIONS[3]
    x, y = (values.numpy() for values in function.draw(3000, seed=0))
    sample = Sample(x, (y - y.mean()) / y.std())
    return sample, np.array([pair in function.pairs for pair in sample.pairs()])


def product(rows: int, *, classes: int = 0) -> Sample:
    x = np.random.default_rng(0).uniform(-1, 1, (rows, 4))
    y = x[:, 0] * x[:, 1] + x[:, 2]
    cuts = np.quantile(y, np.arange(1, classes) / max(classes, 1))
    return Sample(x, np.digitize(y, cuts).astype(float) if classes else y, classes)


def test_fast_needs_main_effects_first_and_products_are_not_everything():
    sample, truth = f4()

    with_mains, without = auc(fast(sample), truth), auc(fast(sample, mains=False), truth)

    assert with_mains is not None
    assert without is not None
    assert with_mains > GOOD > CHANCE > without
    assert auc(anova(sample), truth) < GOOD  # type: ignore[operator]


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_every_method_puts_the_product_first_for_numbers_and_classes(classes):
    sample = product(1500, classes=classes)

    assert [int(np.nanargmax(of)) for of in (anova(sample), fast(sample), h_statistic(sample))] == [0, 0, 0]


def test_h_is_friedmans_ratio_of_partial_dependences_by_slow_loops():
    from sklearn.ensemble import HistGradientBoostingRegressor

    sample = product(60)
    points = sample.at_most(POINTS, seed=0).x
    model = HistGradientBoostingRegressor(max_iter=200, max_leaf_nodes=15, early_stopping=True, random_state=0)
    model.fit(sample.x, sample.y)

    def dependence(*columns: int) -> np.ndarray:
        told = []
        for point in points:
            rows = points.copy()
            rows[:, columns] = point[list(columns)]
            told.append(model.predict(rows).mean())
        return np.array(told) - np.mean(told)

    both = dependence(0, 1)
    expected = ((both - dependence(0) - dependence(1)) ** 2).sum() / (both**2).sum()
    found = h_statistic(sample, pairs=[(1, 0)])
    assert found[0] == pytest.approx(expected, rel=1e-9)  # sums in another order
    assert np.isnan(found[1:]).all()


def material(rows: int = 200):
    draw = np.random.default_rng(0)
    a = draw.normal(size=rows)
    columns = {"a": a, "copy": 3 * a + 1, "near": a + 0.3 * draw.normal(size=rows), "c": draw.normal(size=rows)}
    columns["id"] = np.arange(rows) + 7.0
    columns["c"][:5] = np.nan
    features = [Feature(name=name, values=torch.as_tensor(values)) for name, values in columns.items()]
    kinds = tuple("uvw")
    codes = torch.as_tensor(draw.integers(0, 3, rows), dtype=torch.int32)
    features.append(Feature(name="kind", values=codes, categories=kinds))
    names = tuple(f"row {k:03}" for k in range(rows))
    features.append(Feature(name="name", values=torch.arange(rows, dtype=torch.int32), categories=names))
    table = Table(
        features=tuple(features), labels=Labels(task="regression", values=torch.as_tensor(a * draw.normal(size=rows))),
        rows=rows,
    )  # fmt: skip
    parts = parts_of(table.labels, NidParams(), seed=0)
    fields = fitted_fields(table, parts.train, most_categories=20)
    return table, material_of(fields, target_of(table.labels, parts.train), parts)


def test_columns_that_say_the_same_or_name_the_rows_are_found():
    table, made = material()

    twins = twins_of(made)

    assert [pair[:2] for pair in twins.same] == [(0, 1)]
    assert {pair[:2] for pair in twins.alike} == {(0, 2), (1, 2)}
    assert identifiers(table) == ("id", "name")


def test_a_sample_has_missing_numbers_and_levels():
    _, made = material()

    sample = sample_of(made)

    assert sample.levels == (False, False, False, False, False, True, True)
    assert np.isnan(sample.x[:, 3]).any()
    assert set(np.unique(sample.x[:, 5])) == {0.0, 1.0, 2.0}


def test_a_method_that_fails_says_why_and_a_cancel_ends_all():
    _, made = material(40)
    ranking = [(0, 1)]

    (found,) = compared(("anova",), made, ranking, TrainingTask(data=None))  # type: ignore[arg-type]
    assert found.strengths is None
    assert found.said.startswith("expected at most 14 inputs and products of inputs")

    class Stopped(Exception):
        pass

    def report(stage, done, total, metrics=None):
        raise Stopped(stage)

    with pytest.raises(Stopped, match="h-statistic"):
        compared(("h-statistic",), made, ranking, TrainingTask(data=None, report=report))  # type: ignore[arg-type]


def test_agreement_is_spearmans_over_the_pairs_that_both_have():
    one, other = np.array([4.0, 3.0, 2.0, 1.0]), np.array([40.0, np.nan, 20.0, 20.0])

    assert agreement(one, one**3) == pytest.approx(1, abs=EXACT)
    assert agreement(one, other) == pytest.approx(3**0.5 / 2, abs=EXACT)
    assert agreement(one, np.ones(4)) is None
    assert shared(one, other, first=2) == 1
