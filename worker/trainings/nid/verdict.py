"""One ranking from many networks: pairs by their strengths everywhere, sets by how strongly Algorithm 1 proposes them.

A network's strengths are divided by its strongest, as networks differ in scale. Pairs are averaged geometrically over
trials and L1 weights: a pair must be strong in most networks, and none has to be chosen by its validation loss, which
says little about its interactions. But of networks that are about as good, the sparsest tells most.
A set is proposed by some networks and not by others; there the mean is arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from worker.methods.nid.averages import Average
from worker.methods.nid.ranking import Ranked, rank_any_order, without_redundant
from worker.methods.nid.strengths import pairwise_strengths
from worker.trainings.nid.params import NidParams
from worker.trainings.nid.search import Network

Floats = NDArray[np.float64]
Members = tuple[int, ...]
T = TypeVar("T")

_NOTHING = 1e-6
"""Added before the logarithm: a pair that one network ignores falls far, but not out."""
_NEARLY, _NEARLY_SHARE = 0.003, 0.2
"""Loss above a trial's lowest that is as good: of a standardised target's variance, or nats; and as a share of the
lowest. The smaller counts: next to a loss of a thousandth, a network that is 0.003 worse has missed interactions."""
_SPARSEST = 3.0
"""How many networks a trial's sparsest good one counts for."""
_PROPOSALS = 200
"""Sets of one network that take part; more are proposed by few units each."""


@dataclass(frozen=True)
class Pairs:
    """Strengths of all pairs, as `numpy.triu_indices(fields, 1)` lists them.

    Attributes:
        members: `(pairs, 2)`.
        networks: `(networks, pairs)`, each divided by its largest.
        strength: `(pairs,)`, over all networks.
        trials: `(trials, pairs)`, over each trial's networks; a row a trial with a network of finite loss.
        l1: `(weights, pairs)`, over each L1 weight's networks.
    """

    members: NDArray[np.int64]
    networks: Floats
    strength: Floats
    trials: Floats
    l1: Floats

    @property
    def order(self) -> NDArray[np.int64]:
        """Indices of pairs, strongest first."""
        return np.argsort(-self.strength, kind="stable")

    @property
    def ranking(self) -> list[tuple[int, int]]:
        """Pairs of fields, strongest first."""
        return [(first, second) for first, second in self.members[self.order].tolist()]

    @property
    def ranks(self) -> NDArray[np.int64]:
        """Each trial's rank of each pair, from 1: `(trials, pairs)`."""
        return 1 + np.argsort(np.argsort(-self.trials, axis=1, kind="stable"), axis=1)


@dataclass(frozen=True)
class Judged:
    """A set, judged by all networks.

    Attributes:
        trials: Its strength in each trial; 0 where no network of the trial proposed it.
        selected: In how many trials it is among the first.
    """

    members: Members
    strength: float
    trials: Floats
    l1: Floats
    selected: int


def judged_pairs(networks: Sequence[Network], params: NidParams) -> Pairs:
    """Rank all pairs of fields."""
    fields = networks[0].first.shape[1]
    rows, columns = np.triu_indices(fields, 1)
    matrices = [pairwise_strengths(one.first, one.influences, average=params.average).numpy() for one in networks]
    strengths = np.stack([_relative(matrix[rows, columns]) for matrix in matrices])
    counts = _counts(networks, params)
    chosen = np.flatnonzero(counts).tolist()
    trials, weights = ([one.trial for one in networks], [one.l1 for one in networks])
    return Pairs(
        np.stack([rows, columns], axis=1), strengths, geometric(strengths, counts),
        trials=_grouped(strengths, counts, trials, chosen),
        l1=_grouped(strengths, np.ones(len(networks)), weights, range(len(networks))),
    )  # fmt: skip


def judged_sets(networks: Sequence[Network], params: NidParams) -> list[Judged]:
    """Rank sets of two and more fields, without those that a stronger superset makes redundant."""
    chosen = [one for one, count in zip(networks, _counts(networks, params), strict=True) if count]
    proposals = [_proposed(one, params.average, params.largest) for one in chosen]
    overall = _mean(proposals)
    by_trial = [_mean(group) for group in _groups(proposals, [one.trial for one in chosen])]
    by_weight = [_mean(group) for group in _groups(proposals, [one.l1 for one in chosen])]
    first = [{one.members for one in _pruned(strengths)[: params.top]} for strengths in by_trial]
    return [
        Judged(
            one.members, one.strength,
            trials=np.array([strengths.get(one.members, 0.0) for strengths in by_trial]),
            l1=np.array([strengths.get(one.members, 0.0) for strengths in by_weight]),
            selected=sum(one.members in selected for selected in first),
        )
        for one in _pruned(overall)
    ]  # fmt: skip


def geometric(strengths: Floats, counts: Floats | None = None) -> Floats:
    """Average over the first axis, each row as often as `counts` says."""
    averaged = np.exp(np.average(np.log(strengths + _NOTHING), axis=0, weights=counts)) - _NOTHING
    return np.asarray(averaged.clip(min=0), dtype=np.float64)


def stability(trials: Floats) -> float | None:
    """Return the mean correlation of two trials' strengths, `(trials, pairs)`; None where nothing can be compared.

    Of strengths, not of ranks: the many pairs that do not interact stand in another order in every trial.
    """
    if len(trials) < 2 or (trials == trials[:, :1]).all(axis=1).any():
        return None
    correlations = np.atleast_2d(np.corrcoef(trials))
    return float(correlations[np.triu_indices(len(trials), 1)].mean())


def auc(strength: Floats, truth: NDArray[np.bool_]) -> float | None:
    """Return how often a true pair is stronger than another one, ties counting half; None without either."""
    if truth.all() or not truth.any():
        return None
    differences = strength[truth][:, None] - strength[~truth][None]
    return float(((differences > 0) + 0.5 * (differences == 0)).mean())


def _relative(strengths: Floats) -> Floats:
    largest = strengths.max(initial=0.0)
    return strengths / largest if largest > 0 else strengths


def _counts(networks: Sequence[Network], params: NidParams) -> Floats:
    """Return how often each network counts in the averages: `(networks,)`."""
    counts = np.zeros(len(networks)) if params.aggregate == "validation" else np.ones(len(networks))
    for places in _groups(range(len(networks)), [one.trial for one in networks]):
        best = min(places, key=lambda place: networks[place].loss)
        if params.aggregate == "validation":
            counts[best] = 1.0
        if params.aggregate == "sparse":
            lowest = networks[best].loss
            slack = min(_NEARLY, _NEARLY_SHARE * lowest)
            good = [place for place in places if networks[place].loss <= lowest + slack]
            counts[max(good, key=lambda place: params.l1[networks[place].l1])] = _SPARSEST
    return counts


def _grouped(strengths: Floats, counts: Floats, keys: Sequence[int], chosen: Iterable[int]) -> Floats:
    places = list(chosen)
    groups = _groups(places, [keys[place] for place in places])
    return np.stack([geometric(strengths[group], counts[group]) for group in groups])


def _groups(values: Sequence[T], keys: Sequence[int]) -> list[list[T]]:
    return [[value for value, key in zip(values, keys, strict=True) if key == wanted] for wanted in sorted(set(keys))]


def _proposed(network: Network, average: Average, largest: int) -> dict[Members, float]:
    ranked = rank_any_order(network.first, network.influences, most=_PROPOSALS, largest=largest, average=average)
    return {one.members: one.strength / ranked[0].strength for one in ranked}


def _mean(proposals: Sequence[Mapping[Members, float]]) -> dict[Members, float]:
    total: dict[Members, float] = {}
    for strengths in proposals:
        for members, strength in strengths.items():
            total[members] = total.get(members, 0.0) + strength / len(proposals)
    return total


def _pruned(strengths: Mapping[Members, float]) -> list[Ranked]:
    falling = sorted(strengths.items(), key=lambda one: (-one[1], one[0]))
    return without_redundant([Ranked(members, strength) for members, strength in falling])
