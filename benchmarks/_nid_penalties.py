"""Other penalties (Table 4) and a thousand inputs (appendix F) of the NID paper.

Table 4 at reduced size: 5,000 rows to learn from instead of 100,000, two trials instead of ten, and of two weights of
each penalty the one with the lower validation loss instead of a search.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from benchmarks._nid_networks import Ensemble, Size, read, trained
from benchmarks._nid_pairs import best_l1
from benchmarks._rows import Rows as Table
from benchmarks._synthetic import Function
from worker.methods.nid.descent import Recipe, Rows
from worker.methods.nid.networks import mlp
from worker.methods.nid.penalties import Lasso
from worker.methods.nid.strengths import pairwise_strengths
from worker.methods.nid.training import train

PENALTIES: dict[str, tuple[Lasso | None, float]] = {
    "L1": ("none", 0.94), "L2": (None, 0.94), "group lasso of inputs": ("inputs", 0.95),
    "group lasso of units": ("units", 0.94), "sparse group lasso of inputs": ("sparse-inputs", 0.93),
    "sparse group lasso of units": ("sparse-units", 0.94),
}  # fmt: skip
"""What is penalised, and the paper's mean AUC."""
WEIGHTS = (2e-5, 1e-4)
ROWS, TRIALS = 15_000, 2

WIDE, TERMS, MEMBERS = 1000, 5, 20
"""Inputs, squared sums, and inputs of each: their supports are disjoint, as the paper's 950 = 5 · 20 · 19 / 2 pairs."""
WIDE_HIDDEN, WIDE_L1 = (100, 60, 20), (5e-4, 1e-3)
"""Smaller than the paper's, and without main effects: its MLP-M of 500-400-300-200-100 learned nothing here."""


def add_penalties(table: Table, size: Size) -> None:
    """Add the mean AUC over functions of every penalty, weights chosen by validation."""
    size = replace(size, rows=3000 if size.quick else ROWS)
    trials = 1 if size.quick else TRIALS
    for name, (lasso, paper) in PENALTIES.items():
        values = np.stack([best_l1(_ensemble(one, size, lasso, trials), one) for one in size.functions])
        means = values.mean(0)
        table.add(
            metric="auc_by_penalty", case=f"{name}, MLP-M", value=float(means.mean()),
            unit=f"AUC, mean of {len(values)} functions, {size.rows // 3} rows, {trials} trial(s): "
            + ", ".join(f"{mean:.3f}" for mean in means),
            peer=f"paper {paper} at 1e5 rows", ratio=float(means.mean()) / paper if size.whole else None,
        )  # fmt: skip


def _ensemble(function: Function, size: Size, lasso: Lasso | None, trials: int) -> Ensemble:
    """Train both weights; those of L2 one after the other, as all networks of an ensemble share it."""
    if lasso is not None:
        return trained(function, "MLP-M", size, trials=trials, l1=WEIGHTS, lasso=lasso)
    each = [trained(function, "MLP-M", size, trials=trials, l1=(0.0,), l2=weight) for weight in WEIGHTS]
    networks = [replace(one, l1=place) for place, part in enumerate(each) for one in part.networks]
    networks.sort(key=lambda one: (one.trial, one.l1))
    return Ensemble(tuple(networks), trials, WEIGHTS, each[0].seconds)


# ---------------------------------------------------------------- p = 1000


@dataclass(frozen=True)
class Drawn:
    """Rows of the wide problem, and which pairs interact, `(p, p)` bool."""

    x: Tensor
    y: Tensor
    truth: Tensor


def add_wide(table: Table, size: Size) -> None:
    """Add the AUC over all pairs of a thousand inputs."""
    seeds, epochs, rows = (1, 1, 1500) if size.quick else (3, 80, 10_000)
    values: list[float] = []
    started = time.process_time()
    for seed in range(seeds):
        drawn = wide(rows, seed=seed)
        values.append(_auc(_wide_strengths(drawn, epochs=epochs, seed=seed), drawn))
    table.add(
        metric="auc_wide", case=f"p = {WIDE}, {rows} rows, MLP {'-'.join(map(str, WIDE_HIDDEN))}",
        value=float(np.mean(values)),
        unit=f"AUC of 950 true among all pairs; seeds: {', '.join(f'{value:.3f}' for value in values)}; "
        f"{(time.process_time() - started) / seeds:.0f} CPU s a seed",
        peer="paper 0.984, MLP-M 500-400-300-200-100", ratio=float(np.mean(values)) / 0.984,
    )  # fmt: skip


def wide(rows: int, *, seed: int) -> Drawn:
    """Draw y = βᵀx + Σ_k (a_kᵀx)² + ε; β and every a_k have 20 numbers that are not zero."""
    generator = torch.Generator().manual_seed(seed)
    places = torch.randperm(WIDE, generator=generator)
    slopes = torch.zeros(WIDE)
    slopes[torch.randperm(WIDE, generator=generator)[:MEMBERS]] = torch.randn(MEMBERS, generator=generator)
    x = torch.randn(rows, WIDE, generator=generator)
    y, truth = x @ slopes + 0.1**0.5 * torch.randn(rows, generator=generator), torch.zeros(WIDE, WIDE, dtype=torch.bool)
    for support in places[: TERMS * MEMBERS].split(MEMBERS):
        y = y + (x[:, support] @ torch.randn(MEMBERS, generator=generator)).square()
        truth[support[:, None], support] = True
    return Drawn(x, ((y - y.mean()) / y.std())[:, None], truth)


def _wide_strengths(drawn: Drawn, *, epochs: int, seed: int) -> Tensor:
    """Train with each L1 weight on eight tenths of the rows, and read the one that is best on another."""
    tenth = len(drawn.x) // 10
    learned, validation = (Rows(drawn.x[at], drawn.y[at]) for at in (slice(8 * tenth), slice(8 * tenth, 9 * tenth)))
    design = mlp(WIDE, 1, members=len(WIDE_L1), mains=False, hidden=WIDE_HIDDEN)
    # The validation loss rises for some epochs before it falls, so that nothing may stop early.
    recipe = Recipe(
        task="regression", l1=torch.tensor(WIDE_L1), epochs=epochs, learning_rate=1e-3, decay=1.0, patience=epochs
    )
    networks = read(
        train(design, learned, validation, recipe, seeds=range(seed * len(WIDE_L1), (seed + 1) * len(WIDE_L1)))
    )
    best = int(networks["loss"].argmin())
    return pairwise_strengths(networks["first"][best].float(), networks["influences"][best].float())


def _auc(strengths: Tensor, drawn: Drawn) -> float:
    """Compute the AUC by ranks: half a million pairs are too many to compare each with each."""
    rows, columns = torch.triu_indices(WIDE, WIDE, 1)
    truth, ranks = drawn.truth[rows, columns].numpy(), rankdata(strengths[rows, columns].numpy())
    true, false = truth.sum(), (~truth).sum()
    return float((ranks[truth].sum() - true * (true + 1) / 2) / (true * false))
