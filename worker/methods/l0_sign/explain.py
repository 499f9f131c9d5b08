"""Contributions: what each edge of a row added to its prediction; with the bias they add up to the margin.

In Fig. 6b of the paper a prediction is such a sum. A contribution is gate · score · share; the share depends on how
many edges the row kept, so a pair of features has one score, but another contribution in another row.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from worker.methods.l0_sign.model import L0Sign, Noise, margin, shares_of
from worker.methods.l0_sign.pairs import Distinct, Pairs, Rows, features_of, pair_keys, pairs_of

_ASKED_AT_ONCE = 65_536


@dataclass(frozen=True, kw_only=True)
class Contributions:
    """Predictions taken apart.

    Attributes:
        gates: `(pairs,)`.
        values: `(pairs,)` float64; 0 where the gate is closed.
        bias: What a row without edges is given.
        margins: `(rows,)` float64: the bias and a row's contributions.
    """

    rows: Rows
    pairs: Pairs
    gates: Tensor
    values: Tensor
    bias: float
    margins: Tensor


def contributions(model: L0Sign, rows: Rows, noise: Noise | None = None) -> Contributions:
    """Take the predictions of `rows` apart; `noise` is that of the evaluation that is explained.

    Raises:
        ValueError: A row is too long.
    """
    pairs = pairs_of(rows)
    with torch.no_grad():
        found = model.evaluate(rows, pairs, noise)
        values = found.gates.double() * found.shares.double() * margin(found.scores.double())
    return _added_up(model, rows, pairs, found.gates, values)


@dataclass(frozen=True)
class PairTable:
    """Gate and score of pairs of features whose values are 1, so that explaining a row is look-ups.

    A gate does not depend on values, a score does: where two values do not multiply to 1, it is computed.

    Attributes:
        keys: `(known,)` int64, rising: low · (features + 1) + high.
        gates: `(known,)`, without noise.
        scores: `(known,)`: margin of w_g · z.
    """

    keys: Tensor
    gates: Tensor
    scores: Tensor

    @classmethod
    def of(cls, model: L0Sign, rows: Rows) -> PairTable:
        """Ask `model` once for each different pair in `rows`, whose values are taken as 1."""
        keys = torch.unique(pair_keys(rows, pairs_of(rows), features=model.design.features))
        return cls(keys, *asked(model, keys))

    def contributions(self, model: L0Sign, rows: Rows) -> Contributions:
        """Take the predictions of `rows` without noise apart; what is not in the table is asked for.

        Raises:
            ValueError: A row is too long.
        """
        if model.design.published:
            rows = Rows(offsets=rows.offsets, features=rows.features)
        pairs = pairs_of(rows)
        keys = pair_keys(rows, pairs, features=model.design.features)
        gates, scores = self._looked_up(model, keys)
        if rows.values is not None:
            products = rows.values.index_select(0, pairs.first) * rows.values.index_select(0, pairs.second)
            other = (products != 1).nonzero().squeeze(1)
            scores[other] = _valued(model, keys[other], products[other])
        values = gates.double() * scores.double() * shares_of(model.design, rows, pairs, gates).double()
        return _added_up(model, rows, pairs, gates, values)

    def _looked_up(self, model: L0Sign, keys: Tensor) -> tuple[Tensor, Tensor]:
        if not len(self.keys):
            return asked(model, keys)
        place = torch.searchsorted(self.keys, keys).clamp_(max=len(self.keys) - 1)
        gates, scores = self.gates.index_select(0, place), self.scores.index_select(0, place)
        new = (self.keys.index_select(0, place) != keys).nonzero().squeeze(1)
        gates[new], scores[new] = asked(model, keys[new])
        return gates, scores


def asked(model: L0Sign, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Return gates without noise and scores of pairs of features whose values are 1, `(n,)` each.

    Args:
        keys: `(n,)` of `pair_keys`; a bounded number is evaluated at once.
    """
    if not len(keys):
        return model.nodes.new_empty(0), model.nodes.new_empty(0)
    gates, scores = zip(*(_part(model, part) for part in torch.split(keys, _ASKED_AT_ONCE)), strict=True)
    return torch.cat(gates), torch.cat(scores)


@torch.no_grad()
def _part(model: L0Sign, keys: Tensor) -> tuple[Tensor, Tensor]:
    distinct = _each(model, keys, None)
    scores = _scores(model, distinct)
    if not model.design.gated:
        return torch.ones_like(scores), scores
    return model.design.gate.at_rest(model.log_alphas(distinct)), scores


@torch.no_grad()
def _valued(model: L0Sign, keys: Tensor, products: Tensor) -> Tensor:
    """Return the scores of pairs whose values have these products, `(n,)`, a bounded number at once."""
    parts = zip(torch.split(keys, _ASKED_AT_ONCE), torch.split(products, _ASKED_AT_ONCE), strict=True)
    return torch.cat([_scores(model, _each(model, *part)) for part in parts])


def _each(model: L0Sign, keys: Tensor, products: Tensor | None) -> Distinct:
    low, high = features_of(keys, features=model.design.features)
    return Distinct(low=low, high=high, product=products, of_pair=torch.arange(len(low), device=low.device))


def _scores(model: L0Sign, distinct: Distinct) -> Tensor:
    return margin(model.messages(distinct) @ model.head.weight.T)


def _added_up(model: L0Sign, rows: Rows, pairs: Pairs, gates: Tensor, values: Tensor) -> Contributions:
    bias = float(margin(model.head.bias.detach().double()))
    margins = torch.full((len(rows),), bias, dtype=torch.float64, device=values.device)
    margins.index_add_(0, pairs.row, values)
    return Contributions(rows=rows, pairs=pairs, gates=gates, values=values, bias=bias, margins=margins)
