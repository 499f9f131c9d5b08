"""The columns of Table 2 that are not NID: analysis of variance, FAST, and the H-statistic of boosted trees.

Each sees the rows that the networks learn from, ten thousand, or as many of them as the service gives it. Trials are
draws of the rows, as the methods themselves have little that is random. The paper's RuleFit reads the same H-statistic
off an ensemble of rules; its text has no FAST.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks._nid_networks import Floats, Size
from benchmarks._nid_pairs import described, truth_of
from benchmarks._rows import Rows
from benchmarks._synthetic import Function
from worker.trainings.nid.anova import anova
from worker.trainings.nid.fast import fast
from worker.trainings.nid.h_statistic import h_statistic
from worker.trainings.nid.sample import Sample
from worker.trainings.nid.verdict import auc

COMPARATORS: dict[str, Callable[[Sample], Floats]] = {"ANOVA": anova, "FAST": fast, "H-statistic": h_statistic}
PAPER: dict[str, tuple[str, tuple[float, ...]]] = {
    "ANOVA": ("paper", (0.992, 0.468, 0.657, 0.563, 0.544, 0.780, 0.726, 0.929, 0.783, 0.765, 0.721)),
    "H-statistic": ("paper's RuleFit", (0.754, 0.698, 0.815, 0.689, 0.797, 0.811, 0.666, 0.946, 0.584, 0.876, 0.764)),
}
"""Table 2: F1 to F10, then their mean."""
DRAWS = 3


def add_comparators(table: Rows, size: Size) -> None:
    """Add every function's AUC by each method, then the means."""
    for name, method in COMPARATORS.items():
        means = []
        for function in size.functions:
            values = _aucs(method, function, size)
            means.append(float(values.mean()))
            _add(table, name, function.name, means[-1], described(values).replace("trial", "draw"))
        if size.whole:
            _add(table, name, "mean", float(np.mean(means)), "AUC")


def _aucs(method: Callable[[Sample], Floats], function: Function, size: Size) -> Floats:
    draws = [function.draw(size.rows // 3, seed=seed) for seed in range(1 if size.quick else DRAWS)]
    strengths = [method(Sample(x.numpy(), y.numpy())) for x, y in draws]
    return np.array([auc(one, truth_of(function)) for one in strengths], dtype=np.float64)


def _add(table: Rows, name: str, function: str, value: float, unit: str) -> None:
    who, numbers = PAPER.get(name, ("", ()))
    paper = numbers[-1 if function == "mean" else int(function[1:]) - 1] if numbers else None
    table.add(
        metric="auc", case=f"{function} {name}", value=value, unit=unit, peer=f"{who} {paper}" if paper else None,
        ratio=value / paper if paper else None,
    )  # fmt: skip
