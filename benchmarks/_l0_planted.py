"""Planted pairs: does L0-SIGN find them, and is it as accurate as SIGN with all edges?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from benchmarks._l0_logs import CATEGORIES, FIELDS, IDLE, Planted, planted
from benchmarks._l0_trials import Trial, add_spread, trial
from benchmarks._rows import Rows
from worker.methods.l0_sign.model import L0Sign, margin
from worker.methods.l0_sign.pairs import Distinct
from worker.trainings.l0_sign.measures import accuracy, auc

ROWS, QUICK_ROWS = 30_000, 8_000
OURS = {"lambda1": 2e-3, "gate_delay": 15, "gate_warmup": 10, "epochs": 50, "patience": None, "chosen_by": "objective"}
"""Gates are free until the messages say something: with λ1 from the start they close before that."""
SIGN = {"gates": False, "epochs": 80, "patience": 10}
QUICK = {"epochs": 12}

Score = Callable[[L0Sign, Distinct], Tensor]
"""A network and pairs of features → how much it makes of each, `(pairs,)`."""


def add_planted(rows: Rows, seeds: Sequence[int], *, quick: bool) -> None:
    """Add accuracy, edges kept and recovery over `seeds`, each with rows of its own."""
    logs = [planted(QUICK_ROWS if quick else ROWS, seed=seed) for seed in seeds]
    ours, sign = (
        [
            trial(log.data, seed=seed, **{**asked, **(QUICK if quick else {})})
            for log, seed in zip(logs, seeds, strict=True)
        ]
        for asked in (OURS, SIGN)
    )
    _add_accuracy(rows, logs, ours, sign)
    kept = [one.test.edges_kept for one in ours]
    add_spread(rows, "edges_kept", "planted", kept, "of edges", peer="at most 0.3")
    for name, score in SCORES.items():
        found = [recovery(one, log, score) for one, log in zip(ours, logs, strict=True)]
        add_spread(rows, "pair_recovery_auc", f"planted, by {name}", found, "AUC", peer="at least 0.95")
    found = [recovery(one, log, by_score) for one, log in zip(sign, logs, strict=True)]
    add_spread(rows, "pair_recovery_auc", "planted, SIGN, by score", found, "AUC")
    open = [idle_open(one) for one in ours]
    add_spread(rows, "edges_kept", "planted, useless pairs that co-occur", open, "of these")


def _add_accuracy(rows: Rows, logs: Sequence[Planted], ours: Sequence[Trial], sign: Sequence[Trial]) -> None:
    best = [log.margins[one.material.parts.test] for log, one in zip(logs, ours, strict=True)]
    for metric, of in (("auc", auc), ("accuracy", accuracy)):
        all_edges = [one.test.numbers[metric] for one in sign]
        kept = [one.test.numbers[metric] for one in ours]
        ceiling = [of(margins, one.test.targets) for margins, one in zip(best, ours, strict=True)]
        unit = "AUC" if metric == "auc" else "of rows"
        against = sum(all_edges) / len(all_edges)
        add_spread(rows, metric, "planted, L0-SIGN", kept, unit, peer="SIGN, all edges", against=against)
        add_spread(rows, metric, "planted, SIGN, all edges", all_edges, unit)
        add_spread(rows, metric, "planted, the probabilities that labels were drawn from", ceiling, unit)


def by_gate(network: L0Sign, pairs: Distinct) -> Tensor:
    """Return the probability that a drawn gate is not 0."""
    return network.design.gate.penalty(network.log_alphas(pairs))


def by_score(network: L0Sign, pairs: Distinct) -> Tensor:
    """Return |w_g · z|, gates aside."""
    return margin(network.messages(pairs) @ network.head.weight.T).abs()


def by_contribution(network: L0Sign, pairs: Distinct) -> Tensor:
    """Return the gate without noise times the score: what the pair adds, but for its share."""
    return network.design.gate.at_rest(network.log_alphas(pairs)) * by_score(network, pairs)


SCORES: dict[str, Score] = {"gate": by_gate, "contribution": by_contribution}


@torch.no_grad()
def recovery(one: Trial, log: Planted, score: Score) -> float:
    """Rank all pairs of categories of different fields; return the AUC of the planted ones above the others."""
    pairs = _across_fields()
    return auc(score(one.network, pairs), log.beneficial(pairs.low, pairs.high).long())


@torch.no_grad()
def idle_open(one: Trial) -> float:
    """Return the share of open gates among equal categories of the two idle fields, which co-occur in most rows."""
    low = IDLE[0] * CATEGORIES + torch.arange(CATEGORIES)
    pairs = _distinct(low, low + (IDLE[1] - IDLE[0]) * CATEGORIES)
    gates = one.network.design.gate.at_rest(one.network.log_alphas(pairs))
    return float((gates > 0).double().mean())


def _across_fields() -> Distinct:
    low, high = torch.triu_indices(FIELDS * CATEGORIES, FIELDS * CATEGORIES, 1)
    apart = low // CATEGORIES != high // CATEGORIES
    return _distinct(low[apart], high[apart])


def _distinct(low: Tensor, high: Tensor) -> Distinct:
    return Distinct(low=low, high=high, product=None, of_pair=torch.arange(len(low)))
