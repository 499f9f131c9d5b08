"""Multi-order interactions of all pairs from whole coalitions, each of which serves every pair and three orders.

Coalitions are drawn size by size, and the means of all strata (see `strata`) estimated from them. On its own that is
noisy, as values vary much more than second differences do. So every value is predicted by a surrogate that was fitted
to the evaluations of *earlier rounds*, and only what the prediction misses is averaged, on top of the surrogate's own
stratum means, which are known exactly. Given the past, a round is a plain random sample: the estimate is unbiased
however bad the surrogate is, and errors of different rounds are uncorrelated, so that their variances add up. Sizes
with few coalitions are enumerated, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb

import torch
from torch import Tensor

from worker.methods.multi_order import strata, surrogate
from worker.methods.multi_order.estimates import BudgetTooSmall, Estimate, Game, check_orders

TRAINING = 4000
"""Coalitions that a surrogate is fitted to, at most: one to two CPU seconds; half of it doubles the squared error."""
_SHARES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
"""Cumulative shares of the draws by round: each round doubles them. The first one only teaches."""
_FIRST_OF_A_FIXED_BUDGET = 1 / 8
"""Without a wanted precision nobody looks at early rounds, and each costs a fit."""
_LEAST_DRAWS = 8
_KEPT = 65_536
"""Evaluated coalitions that surrogates are fitted from: of more, as many at random; 17 MB with 256 players."""


def layered(
    game: Game,
    n: int,
    *,
    orders: Sequence[int],
    budget: int,
    generator: torch.Generator,
    precision: float | None = None,
    training: int = TRAINING,
) -> Estimate:
    """Estimate I^(m) of all pairs with a surrogate as control variate.

    Args:
        n: Players.
        budget: Evaluations allowed; at least 8 for each coalition size that the orders need.
        precision: Stop after the round in which `Estimate.precision` falls to this, if ever. The rule looks at
            errors, not at values; still, unbiasedness holds strictly only without it.
        training: See `TRAINING`.

    Raises:
        ValueError: Orders outside 0..n - 2.
        BudgetTooSmall: Before anything is evaluated.
    """
    check_orders(orders, n)
    layers = _Layers(n, strata.sizes_needed(orders))
    if budget < _LEAST_DRAWS * len(layers.sizes):
        raise BudgetTooSmall(_LEAST_DRAWS * len(layers.sizes))
    budget = min(budget, sum(comb(n, size) for size in layers.sizes))
    for share in _SHARES:
        if share < _FIRST_OF_A_FIXED_BUDGET and precision is None:
            continue
        model = surrogate.fit(*layers.seen(), most=training, generator=generator) if layers.evaluations else None
        horizon = budget if precision is None else int(budget * share)
        layers.enumerate(game, horizon=horizon, left=budget - layers.evaluations)
        layers.draw(game, layers.draws_until(share, budget), model, generator, trust=min(layers.evaluations, training))
        layers.forget(generator)
        found = layers.estimate(orders)
        if not layers.open or (precision is not None and found.precision <= precision):
            break
    return found


class _Layers:
    """What is known about the strata of each coalition size, round after round."""

    def __init__(self, n: int, sizes: Sequence[int]) -> None:
        self.sizes = tuple(sizes)
        self.open = list(sizes)
        self.evaluations = 0
        self._n = n
        self._drawn = 0
        self._known: dict[int, Tensor] = {}
        self._sums, self._weights, self._spreads = (
            {size: torch.zeros(3, n, n, dtype=torch.float64) for size in sizes} for _ in range(3)
        )
        self._seen: list[tuple[Tensor, Tensor]] = []

    def seen(self) -> tuple[Tensor, Tensor]:
        """Return all evaluated coalitions and their values."""
        coalitions, values = zip(*self._seen, strict=True)
        return torch.cat(coalitions), torch.cat(values)

    def forget(self, generator: torch.Generator) -> None:
        """Keep a random part of the evaluated coalitions where there are very many."""
        coalitions, values = self.seen()
        if len(values) > _KEPT:
            kept = torch.randperm(len(values), generator=generator)[:_KEPT]
            self._seen = [(coalitions[kept], values[kept])]

    def draws_until(self, share: float, budget: int) -> int:
        """Count the draws of every open size that bring its total to this share of what the budget allows."""
        if not self.open:
            return 0
        possible = self._drawn + (budget - self.evaluations) // len(self.open)
        return int(possible * share) - self._drawn

    def enumerate(self, game: Game, *, horizon: int, left: int) -> None:
        """Evaluate whole sizes that have no more coalitions than their share of `horizon` evaluations.

        Args:
            left: Evaluations that may still be spent.
        """
        for size in enumerable(self._n, self.sizes, horizon):
            if size in self.open and comb(self._n, size) <= left:
                left -= comb(self._n, size)
                coalitions = _whole_layer(self._n, size)
                counts = torch.tensor(strata.stratum_sizes(self._n, size), dtype=torch.float64).clamp(min=1)
                self._known[size] = strata.stratum_sums(coalitions, self._evaluated(game, coalitions))
                self._known[size] /= counts[:, None, None]
                self.open.remove(size)

    def draw(
        self, game: Game, draws: int, model: surrogate.Surrogate | None, generator: torch.Generator, *, trust: float
    ) -> None:
        """Evaluate a round of random coalitions; without a model it only teaches the next one.

        Args:
            trust: Weight of this round's samples against other rounds'. It must not depend on their values.
        """
        if draws < 1:
            return
        coalitions = [_random_layer(self._n, size, draws, generator) for size in self.open]
        values = torch.split(self._evaluated(game, torch.cat(coalitions)), draws)
        self._drawn += draws
        if model is None:
            return
        expected = model.stratum_means(self.open)
        for size, rows, found in zip(self.open, coalitions, values, strict=True):
            missed = found - model(rows)
            counts = strata.stratum_sums(rows, torch.ones_like(missed))
            sums = strata.stratum_sums(rows, missed)
            squares = strata.stratum_sums(rows, missed.square())
            self._sums[size] += trust * (sums + counts * expected[size])
            self._weights[size] += trust * counts
            self._spreads[size] += trust**2 * counts * _pooled_variance(counts, sums, squares)

    def _evaluated(self, game: Game, coalitions: Tensor) -> Tensor:
        values = game(coalitions).double()
        self.evaluations += len(coalitions)
        self._seen.append((coalitions, values))
        return values

    def estimate(self, orders: Sequence[int]) -> Estimate:
        """Combine what is known; NaN where a stratum of a pair is still empty."""
        exact = torch.zeros(3, self._n, self._n, dtype=torch.float64)
        means = {size: self._known[size] if size in self._known else self._mean(size) for size in self.sizes}
        spreads = {
            size: exact if size in self._known else self._spreads[size] / self._weights[size].square()
            for size in self.sizes
        }
        diagonal = torch.eye(self._n, dtype=torch.bool)
        values = strata.interactions(means, orders).masked_fill(diagonal, torch.nan)
        errors = strata.variances(spreads, orders).sqrt().masked_fill(values.isnan(), torch.nan)
        return Estimate(orders=tuple(orders), values=values, standard_errors=errors, evaluations=self.evaluations)

    def _mean(self, size: int) -> Tensor:
        weights = self._weights[size]
        # An empty stratum has no mean; what rounding left of its sums must not pass for one.
        return torch.where(weights > 0, self._sums[size] / weights, torch.nan)


def _pooled_variance(counts: Tensor, sums: Tensor, squares: Tensor) -> Tensor:
    """Pool the variance within strata over all pairs and patterns of one size; NaN where none has two samples.

    A single stratum may hold a handful of samples. All pairs split the same coalitions, whose values spread alike in
    every stratum once the surrogate is taken off.
    """
    counted = (counts > 0) & ~torch.eye(counts.shape[-1], dtype=torch.bool)
    spread = (squares - sums.square() / counts)[counted].sum()
    freedom = (counts - 1)[counted].sum()
    return spread / freedom


def enumerable(n: int, sizes: Sequence[int], allowed: int) -> list[int]:
    """List the coalition sizes, smallest first, that a fair share of the evaluations is enough to enumerate."""
    found: list[int] = []
    left = allowed
    for size in sorted(sizes, key=lambda size: comb(n, size)):
        if comb(n, size) > left // (len(sizes) - len(found)):
            break
        found.append(size)
        left -= comb(n, size)
    return found


def _whole_layer(n: int, size: int) -> Tensor:
    members = torch.tensor(list(combinations(range(n), size)), dtype=torch.int64).reshape(comb(n, size), size)
    return torch.zeros(len(members), n, dtype=torch.bool).scatter_(1, members, True)


def _random_layer(n: int, size: int, draws: int, generator: torch.Generator) -> Tensor:
    ranks = torch.rand(draws, n, generator=generator, dtype=torch.float64).argsort(dim=1)
    return ranks < size
