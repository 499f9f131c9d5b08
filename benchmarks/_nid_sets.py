"""Sets of any size: the averaging functions (Fig. 3) and noise (Fig. 8a) of the NID paper.

`correct_first` counts, over all functions, the true interactions that Algorithm 1 ranks before the first false one;
subsets of true interactions are passed over. `top_rank_recall` is that count over the number of true interactions,
averaged over functions. As in the paper, a trial is judged by its network with the lowest validation loss; `over L1
weights` is the ranking that the service makes of all networks of a trial.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from benchmarks._nid_figure import Bar, draw_averages
from benchmarks._nid_networks import ARCHITECTURES, Ensemble, Floats, Size, trained, trimmed
from benchmarks._nid_pairs import truth_of
from benchmarks._rows import Rows
from benchmarks._synthetic import INPUTS, Function
from worker.methods.nid.averages import Average
from worker.methods.nid.ranking import rank_any_order
from worker.methods.nid.strengths import pairwise_strengths
from worker.trainings.nid.verdict import auc, judged_sets

AVERAGES: tuple[Average, ...] = (
    "maximum", "root-mean-square", "arithmetic", "geometric", "harmonic", "minimum",
)  # fmt: skip
NOISE = (0.0, 0.2, 0.5, 1.0)
NOISE_L1 = (1e-4,)
NOISE_TRIALS, NOISE_ROWS = 3, 15_000
"""Noise is tried at half the rows and with one L1 weight."""
EVERYTHING = 10_000
"""Sets that Algorithm 1 may rank: more than 140 units propose."""


def add_averages(table: Rows, size: Size) -> None:
    """Add both measures of every averaging function, and draw the first."""
    bars = []
    for average in AVERAGES:
        for architecture in ARCHITECTURES:
            counts = sum_over(_firsts(trained(one, architecture, size), one, average) for one in size.functions)
            bars.append(Bar(average, architecture, float(counts.mean()), _deviation(counts)))
            table.add(
                metric="correct_first", case=f"{average} {architecture}", value=float(counts.mean()),
                unit=f"of {true_sets(size.functions)} sets, ± {_deviation(counts):.1f} over {len(counts)} trials",
                peer="paper: minimum is best",
            )  # fmt: skip
            values = [_pair_aucs(trained(one, architecture, size), one, average).mean() for one in size.functions]
            table.add(
                metric="auc_by_average", case=f"{average} {architecture}", value=float(np.mean(values)),
                unit=f"AUC of pairs, mean of {len(values)} functions, all trials, best L1 by validation",
            )  # fmt: skip
    if not size.quick:
        draw_averages(bars, of=true_sets(size.functions), trials=size.trials)


def add_noise(table: Rows, size: Size) -> None:
    """Add the recall of both ways without noise, and of one L1 weight with it."""
    for architecture in ARCHITECTURES:
        pairs = [(trained(function, architecture, size), function) for function in size.functions]
        _add_recall(table, f"no noise, {architecture}", [_recalls(*one) for one in pairs])
        together = [_judged_recalls(*one) for one in pairs]
        _add_recall(table, f"no noise, {architecture}, over L1 weights", together)
    for level in NOISE[:2] if size.quick else NOISE:
        trials, small = min(NOISE_TRIALS, size.trials), replace(size, rows=min(NOISE_ROWS, size.rows))
        noisy = [
            (trained(function, "MLP-M", small, trials=trials, l1=NOISE_L1, noise=level), function)
            for function in size.functions
        ]
        recalls = [_recalls(*one) for one in noisy]
        _add_recall(table, f"noise {level:g}, MLP-M, L1 {NOISE_L1[0]:g} only", recalls)
        aucs = [_pair_aucs(*one, "minimum").mean() for one in noisy]
        table.add(
            metric="auc_by_noise", case=f"noise {level:g}, MLP-M, L1 {NOISE_L1[0]:g} only", value=float(np.mean(aucs)),
            unit=f"AUC of pairs, mean of {len(aucs)} functions, {len(recalls[0])} trials",
        )  # fmt: skip


def correct_before_false(ranking: Iterable[Sequence[int]], truth: Sequence[Sequence[int]]) -> int:
    """Count true sets before the first that is neither true nor part of one."""
    found, wanted = 0, [frozenset(one) for one in truth]
    for members in map(frozenset, ranking):
        if members in wanted:
            found += 1
        elif not any(members < one for one in wanted):
            break
    return found


def true_sets(functions: Sequence[Function]) -> int:
    """Count all true interactions."""
    return sum(len(function.interactions) for function in functions)


def sum_over(counts: Iterable[Floats]) -> Floats:
    """Add up trial by trial."""
    return np.sum(list(counts), axis=0)


def _firsts(ensemble: Ensemble, function: Function, average: Average = "minimum") -> Floats:
    """Count by trial, each by its best network."""
    best = [ensemble.best(trial) for trial in range(ensemble.trials)]
    rankings = [rank_any_order(one.first, one.influences, most=EVERYTHING, average=average) for one in best]
    counts = [correct_before_false((one.members for one in ranking), function.interactions) for ranking in rankings]
    return np.array(counts, dtype=np.float64)


def _recalls(ensemble: Ensemble, function: Function) -> Floats:
    return _firsts(ensemble, function) / len(function.interactions)


def _judged_recalls(ensemble: Ensemble, function: Function) -> Floats:
    """The same by the service's ranking of each trial's networks."""
    params = ensemble.params()
    rankings = [judged_sets(ensemble.of_trial(trial), params) for trial in range(ensemble.trials)]
    counts = [correct_before_false((one.members for one in ranking), function.interactions) for ranking in rankings]
    return np.array(counts, dtype=np.float64) / len(function.interactions)


def _pair_aucs(ensemble: Ensemble, function: Function, average: Average) -> Floats:
    rows, columns = np.triu_indices(INPUTS, 1)
    best = [ensemble.best(trial) for trial in range(ensemble.trials)]
    matrices = [pairwise_strengths(one.first, one.influences, average=average).numpy() for one in best]
    return np.array([auc(matrix[rows, columns], truth_of(function)) for matrix in matrices], dtype=np.float64)


def _add_recall(table: Rows, case: str, recalls: Sequence[Floats]) -> None:
    kept = [trimmed(one) for one in recalls]
    deviations = [one.std(ddof=1) for one in kept if len(one) > 1]
    unit = f"± {np.mean(deviations):.3f} over {len(kept[0])} of {len(recalls[0])} trials" if deviations else "1 trial"
    table.add(
        metric="top_rank_recall", case=case, value=float(np.mean([one.mean() for one in kept])),
        unit=f"share of true sets, mean of {len(kept)} functions, {unit}",
    )  # fmt: skip


def _deviation(values: Floats) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
