"""Table 2 of the NID paper: how well pairs are ranked, by what of an ensemble is used, and by other methods.

`auc` reads a trial's networks as the service does by default; `auc_geometric` averages its pairs geometrically over all
L1 weights alike. `auc_best_l1` takes each trial's network with the lowest validation loss, as the paper does.
`auc_oracle_l1` takes the weight that turns out best for the function, which nobody can know: an upper limit of choosing
one. `auc_all_trials` is one ranking of all networks, as a request with so many trials answers; it has no spread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from benchmarks._nid_networks import ARCHITECTURES, Architecture, Ensemble, Floats, Size, spread, trained, trimmed
from benchmarks._rows import Rows
from benchmarks._synthetic import FUNCTIONS, INPUTS, Function
from worker.trainings.nid.verdict import auc, judged_pairs

PAPER: dict[Architecture, tuple[tuple[float, float], ...]] = {
    "MLP": (
        (0.970, 9.2e-3), (0.79, 3.1e-2), (0.999, 2.0e-3), (0.85, 6.7e-2), (1.0, 0.0), (0.98, 6.7e-2), (0.84, 1.7e-2),
        (0.989, 4.4e-3), (0.83, 5.3e-2), (0.995, 9.5e-3), (0.92, 2.3e-2),
    ),
    "MLP-M": (
        (0.995, 4.4e-3), (0.85, 3.9e-2), (1.0, 0.0), (0.996, 4.7e-3), (1.0, 0.0), (0.70, 4.8e-2), (0.82, 2.2e-2),
        (0.989, 4.5e-3), (0.83, 3.7e-2), (0.99, 2.1e-2), (0.92, 1.8e-2),
    ),
}  # fmt: skip
"""Table 2: F1 to F10, then their mean; mean and standard deviation of eight of ten trials."""

Trials = dict[str, list[Floats]]
"""By row name, each function's AUC by trial."""


def add_pairs(table: Rows, size: Size) -> None:
    """Add every function's AUC, then the means."""
    found: dict[tuple[str, str], list[Floats]] = {}
    for function in size.functions:
        for architecture in ARCHITECTURES:
            ensemble = trained(function, architecture, size)
            for metric, way in WAYS.items():
                values = way(ensemble, function)
                found.setdefault((metric, architecture), []).append(values)
                _add(table, metric, function, architecture, values, ensemble.seconds)
        values = both(function, size)
        found.setdefault(("auc", BOTH), []).append(values)
        table.add(
            metric="auc", case=f"{function.name} {BOTH}", value=float(trimmed(values).mean()), unit=described(values)
        )
    if size.whole:
        for (metric, architecture), values in found.items():
            _add_mean(table, metric, architecture, values)


BOTH = "MLP and MLP-M"


def both(function: Function, size: Size) -> Floats:
    """Return every trial's AUC of the geometric mean over both architectures."""
    ensembles = [trained(function, architecture, size) for architecture in ARCHITECTURES]
    strengths = [judged_pairs(one.networks, one.params()).trials for one in ensembles]
    return _aucs(np.sqrt(strengths[0] * strengths[1]), function)


def by_default(ensemble: Ensemble, function: Function) -> Floats:
    """Read a trial's networks as the service does."""
    return _aucs(judged_pairs(ensemble.networks, ensemble.params()).trials, function)


def geometric(ensemble: Ensemble, function: Function) -> Floats:
    """Average over L1 weights."""
    return _aucs(judged_pairs(ensemble.networks, ensemble.params("geometric")).trials, function)


def best_l1(ensemble: Ensemble, function: Function) -> Floats:
    """Take each trial's best on the validation rows."""
    return _aucs(judged_pairs(ensemble.networks, ensemble.params("validation")).trials, function)


def oracle_l1(ensemble: Ensemble, function: Function) -> Floats:
    """Take the weight with the best mean AUC."""
    every = _aucs(judged_pairs(ensemble.networks, ensemble.params()).networks, function)
    by_weight = every.reshape(ensemble.trials, -1)
    return np.asarray(by_weight[:, by_weight.mean(0).argmax()], dtype=np.float64)


def all_trials(ensemble: Ensemble, function: Function) -> Floats:
    """Average over everything: one ranking."""
    return _aucs(judged_pairs(ensemble.networks, ensemble.params()).strength[None], function)


WAYS: dict[str, Callable[[Ensemble, Function], Floats]] = {
    "auc": by_default, "auc_geometric": geometric, "auc_best_l1": best_l1, "auc_oracle_l1": oracle_l1,
    "auc_all_trials": all_trials,
}  # fmt: skip


def truth_of(function: Function) -> np.ndarray:
    """Mark true pairs, `(45,)` bool, as `numpy.triu_indices(10, 1)` lists them."""
    rows, columns = np.triu_indices(INPUTS, 1)
    return np.array([pair in function.pairs for pair in zip(rows.tolist(), columns.tolist(), strict=True)])


def described(values: Floats) -> str:
    """Tell the spread and what trimming hides."""
    kept = trimmed(values)
    if len(kept) == len(values):
        return f"AUC {spread(values)} over {len(values)} trial(s)"
    every = f"{values.mean():.3f}, {values.min():.3f} to {values.max():.3f}"
    return f"AUC {spread(kept)} over {len(kept)} of {len(values)} trials; all: {every}"


def _aucs(strengths: Floats, function: Function) -> Floats:
    truth = truth_of(function)
    return np.array([auc(one, truth) for one in strengths], dtype=np.float64)


def _add(
    table: Rows, metric: str, function: Function, architecture: Architecture, values: Floats, seconds: float
) -> None:
    paper, deviation = PAPER[architecture][FUNCTIONS.index(function)]
    value = float(trimmed(values).mean())
    table.add(
        metric=metric, case=f"{function.name} {architecture}", value=value,
        unit=f"{described(values)}; {seconds:.2f} CPU s a network", peer=f"paper {paper} ± {deviation:g}",
        ratio=value / paper,
    )  # fmt: skip


def _add_mean(table: Rows, metric: str, architecture: str, values: Sequence[Floats]) -> None:
    """Add the mean over functions; its spread is the mean of the functions' spreads, as the paper's is."""
    kept = [trimmed(one) for one in values]
    mean, deviations = float(np.mean([one.mean() for one in kept])), [one.std(ddof=1) for one in kept if len(one) > 1]
    unit = f"AUC ± {np.mean(deviations):.3f}" if deviations else "AUC"
    known = next((rows[-1] for name, rows in PAPER.items() if name == architecture), None)
    table.add(
        metric=metric, case=f"mean {architecture}", value=mean,
        unit=f"{unit}; all trials: {np.mean([one.mean() for one in values]):.3f}",
        peer=f"paper {known[0]} ± {known[1]:g}" if known else None, ratio=mean / known[0] if known else None,
    )  # fmt: skip
