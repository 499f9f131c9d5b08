"""FAST on the same rows: how much a sum of squares falls when a pair may cut both of its columns once.

Source: Lou, Caruana, Gehrke & Hooker, "Accurate intelligible models with pairwise interactions", KDD 2013. The
computation is that of interpret-core. It sees what main effects leave over, so boosted mains come first: without
them it finds hardly more than chance.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from worker.trainings.nid.sample import Beat, Floats, Sample, silent

MOST_ROWS = 20_000
MOST_COLUMNS = 200
BINS = 16
"""Of a column, when pairs are measured; with more, chance cuts of empty cells win over weak interactions."""
_MAIN_BINS = 256


def fast(sample: Sample, *, seed: int = 0, mains: bool = True, beat: Beat = silent) -> Floats:
    """Return the strength of every pair, `(pairs,)`, in the library's unit: the gain of its objective.

    Args:
        mains: Fit the main effects first; of use to show how much they matter.

    Raises:
        ValueError: There are more columns than `MOST_COLUMNS`.
    """
    if sample.columns > MOST_COLUMNS:
        raise ValueError(f"it takes {MOST_COLUMNS} columns at most, got {sample.columns}")
    from interpret.utils import measure_interactions  # it takes seconds to import

    part = sample.at_most(MOST_ROWS, seed=seed)
    x, types, y = _x(part), _types(part), part.y.astype(np.int64) if part.classes else part.y
    beat(0.0)
    start = _main_scores(x, types, y, classes=part.classes, seed=seed) if mains else None
    beat(0.5)
    measured = measure_interactions(
        x, y, init_score=start, feature_types=types, max_interaction_bins=BINS,
        objective="log_loss" if part.classes else "rmse",
    )  # fmt: skip
    strengths = {tuple(sorted(pair)): strength for pair, strength in measured}
    beat(1.0)
    return np.array([max(strengths[pair], 0.0) for pair in sample.pairs()])


def _main_scores(x: Any, types: list[str], y: Any, *, classes: int, seed: int) -> Any:
    """Fit an explainable boosting machine without pairs and return its answers: numbers, or log-odds."""
    from interpret.glassbox import ExplainableBoostingClassifier, ExplainableBoostingRegressor

    # One thread: more would start processes, which a runner must not.
    options = {
        "feature_types": types, "interactions": 0, "outer_bags": 1, "max_bins": _MAIN_BINS, "n_jobs": 1,
        "random_state": seed,
    }  # fmt: skip
    if classes:
        return ExplainableBoostingClassifier(**options).fit(x, y).decision_function(x)
    return ExplainableBoostingRegressor(**options).fit(x, y).predict(x)


def _types(sample: Sample) -> list[str]:
    return ["nominal" if levels else "continuous" for levels in sample.levels]


def _x(sample: Sample) -> Any:
    """Return numbers as they are, and levels as text where a column has them."""
    if not any(sample.levels):
        return sample.x
    columns = [
        np.array([str(int(value)) for value in column]) if levels else column
        for column, levels in zip(sample.x.T, sample.levels, strict=True)
    ]
    return np.stack([column.astype(object) for column in columns], axis=1)
