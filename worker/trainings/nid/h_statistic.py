"""Friedman's H² of a gradient-boosted model: the share of a pair's partial dependence that no sum of two explains.

Source: Friedman & Popescu, "Predictive learning via rule ensembles", Annals of Applied Statistics 2008, Section 8.1:
H²_jk = Σ_i [PD_jk(x_ij, x_ik) − PD_j(x_ij) − PD_k(x_ik)]² / Σ_i PD_jk(x_ij, x_ik)², every PD with mean zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from worker.trainings.nid.sample import Beat, Floats, Sample, silent

MOST_ROWS = 20_000
MOST_PAIRS = 300
POINTS = 50
"""Rows at which partial dependence is asked for, and rows over which it is averaged."""
_ROUNDS = 200
_LEAVES = 15
_NOTHING = 1e-12
"""Of the answers' mean square: a pair on which the model hardly depends has no H² to speak of."""


def h_statistic(
    sample: Sample, *, seed: int = 0, pairs: Sequence[tuple[int, int]] | None = None, beat: Beat = silent
) -> Floats:
    """Return H² of every pair, `(pairs,)`; of classes, over all logits. NaN where it was not computed.

    Args:
        pairs: Those to compute; all by default.
    """
    part = sample.at_most(MOST_ROWS, seed=seed)
    beat(0.0)
    answers = _boosted(part, seed)
    points = part.at_most(POINTS, seed=seed).x
    wanted = list(sample.pairs()) if pairs is None else [(min(pair), max(pair)) for pair in pairs]
    size = float(np.square(_centred(answers(points))).sum())
    steps = len(wanted) + sample.columns
    alone = []
    for column in range(sample.columns):
        beat(column / steps)
        alone.append(_dependence(answers, points, [column]))
    found: dict[tuple[int, int], float] = {}
    for done, (first, second) in enumerate(wanted, start=sample.columns):
        beat(done / steps)
        together = _dependence(answers, points, [first, second])
        rest = np.square(together - alone[first] - alone[second]).sum()
        found[first, second] = float(rest / max(np.square(together).sum(), _NOTHING * size, np.finfo(float).tiny))
    beat(1.0)
    return np.array([found.get(pair, np.nan) for pair in sample.pairs()])


def _boosted(sample: Sample, seed: int) -> Any:
    """Fit the model; return a function from `(rows, columns)` to `(rows, outputs)`, numbers or log-odds."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    # A class with a single row cannot be cut into rows that learn and rows that stop.
    rare = sample.classes and np.bincount(sample.y.astype(np.int64)).min(initial=2, where=_present(sample)) < 2
    options = {
        "max_iter": _ROUNDS, "max_leaf_nodes": _LEAVES, "early_stopping": not rare, "random_state": seed,
        "categorical_features": np.array(sample.levels),
    }  # fmt: skip
    if sample.classes:
        model = HistGradientBoostingClassifier(**options).fit(sample.x, sample.y.astype(np.int64))
        return lambda x: model.decision_function(x).reshape(len(x), -1)
    fitted = HistGradientBoostingRegressor(**options).fit(sample.x, sample.y)
    return lambda x: fitted.predict(x)[:, None]


def _present(sample: Sample) -> Any:
    return np.bincount(sample.y.astype(np.int64)) > 0


def _dependence(answers: Any, points: Floats, columns: list[int]) -> Floats:
    """Return the partial dependence on `columns` at every point, mean zero: `(points, outputs)`."""
    grid = np.repeat(points[None], len(points), axis=0)  # (at, over, columns)
    grid[:, :, columns] = points[:, None, columns]
    told = answers(grid.reshape(-1, points.shape[1]))
    return _centred(told.reshape(len(points), len(points), -1).mean(axis=1))


def _centred(values: Floats) -> Floats:
    return np.asarray(values - values.mean(axis=0), dtype=np.float64)
