"""What a network says over many rows, pair by pair and field by field; a bounded number of pairs at once.

A pair's contribution differs from row to row, as its share in the means does; so the table holds its mean over the
rows in which the pair is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from worker.methods.l0_sign.explain import Contributions, asked, contributions
from worker.methods.l0_sign.model import L0Sign
from worker.methods.l0_sign.pairs import pair_keys
from worker.trainings.l0_sign.logs import Log
from worker.trainings.l0_sign.material import portions


@dataclass(frozen=True, kw_only=True)
class PairStatistics:
    """Pairs of features over some rows, one with unknown features among them.

    Attributes:
        keys: `(pairs,)` int64, rising; as `pair_keys`.
        support: `(pairs,)` int64: rows with the pair.
        contribution: `(pairs,)` float64: mean over these rows.
        gates: `(pairs,)` float32, without noise.
        scores: `(pairs,)` float32: margin of w_g · z where both values are 1.
    """

    keys: Tensor
    support: Tensor
    contribution: Tensor
    gates: Tensor
    scores: Tensor

    def most_supported(self, most: int) -> Tensor:
        """Return the places of the pairs in most rows, `most` of them at most, rising; of equal ones the first."""
        return torch.sort(self.support, descending=True, stable=True).indices[:most].sort().values

    def at(self, chosen: Tensor) -> PairStatistics:
        """Return the pairs at some places."""
        return PairStatistics(
            keys=self.keys[chosen], support=self.support[chosen], contribution=self.contribution[chosen],
            gates=self.gates[chosen], scores=self.scores[chosen],
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FieldStatistics:
    """Pairs of fields over some rows, `(fields, fields)` float64 each, symmetric; pairs with unknown features left out.

    Attributes:
        strengths: Mean |contribution| of a pair of features of the two fields.
        kept: Share of such pairs whose gate is not 0.
        support: How many such pairs there are.
    """

    strengths: Tensor
    kept: Tensor
    support: Tensor


def pair_statistics(network: L0Sign, log: Log, which: Tensor, *, batch: int) -> tuple[PairStatistics, FieldStatistics]:
    """Go through the rows `which`.

    Memory holds one portion's pairs and the different pairs so far.
    """
    pairs, fields = _Pairs(), _Fields(log)
    for part in portions(log.rows, which, most=batch):
        found = contributions(network, log.rows.take(part))
        keys = pair_keys(found.rows, found.pairs, features=log.features)
        pairs.add(keys, found.values)
        fields.add(found)
    gates, scores = asked(network, pairs.keys)
    statistics = PairStatistics(
        keys=pairs.keys, support=pairs.support, contribution=pairs.total / pairs.support, gates=gates, scores=scores
    )
    return statistics, fields.statistics()


class _Pairs:
    """Sums by key, which grow."""

    def __init__(self) -> None:
        self.keys = torch.empty(0, dtype=torch.int64)
        self.support = torch.empty(0, dtype=torch.int64)
        self.total = torch.empty(0, dtype=torch.float64)

    def add(self, keys: Tensor, values: Tensor) -> None:
        new, place, count = torch.unique(keys, return_inverse=True, return_counts=True)
        total = torch.zeros(len(new), dtype=torch.float64).index_add_(0, place, values)
        both, place = torch.unique(torch.cat([self.keys, new]), return_inverse=True)
        self.support = _summed(len(both), place, torch.cat([self.support, count]))
        self.total = _summed(len(both), place, torch.cat([self.total, total]))
        self.keys = both


class _Fields:
    """Sums by pair of fields."""

    def __init__(self, log: Log) -> None:
        self._fields = len(log.fields)
        self._field_of = log.field_of
        self._sums = torch.zeros(3, self._fields**2, dtype=torch.float64)

    def add(self, found: Contributions) -> None:
        if self._field_of is None:
            return
        features, pairs = found.rows.features, found.pairs
        first, second = features[pairs.first], features[pairs.second]
        known = (first >= 0) & (second >= 0)
        one, other = self._field_of[first[known]], self._field_of[second[known]]
        place = torch.minimum(one, other) * self._fields + torch.maximum(one, other)
        values = torch.stack([found.values[known].abs(), (found.gates[known] > 0).double(), torch.ones(len(place))])
        self._sums.index_add_(1, place, values)

    def statistics(self) -> FieldStatistics:
        strengths, kept, support = self._sums.view(3, self._fields, self._fields)
        count = support.clamp(min=1)
        return FieldStatistics(
            strengths=_mirrored(strengths / count), kept=_mirrored(kept / count), support=_mirrored(support)
        )


def _summed(length: int, place: Tensor, values: Tensor) -> Tensor:
    return torch.zeros(length, dtype=values.dtype).index_add_(0, place, values)


def _mirrored(upper: Tensor) -> Tensor:
    return upper + upper.triu(1).T
