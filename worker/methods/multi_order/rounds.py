"""Rounds of sampling: every context order gets one more sample, until the budget or the wanted precision is reached.

Contexts of order 0 and n - 2 are one of a kind: they are evaluated once, before all rounds, and exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from worker.methods.multi_order.estimates import BudgetTooSmall, Estimate, Game, from_samples

LEAST_ROUNDS = 2
"""One sample tells nothing of its own error."""
_FIRST_LOOK = 4
"""Rounds before the standard errors are looked at; a standard deviation of fewer is a poor reason to stop."""


class Samples:
    """Sums over the samples of every pair and order, and the evaluations that they took."""

    def __init__(self, game: Game, n: int, orders: Sequence[int]) -> None:
        self.evaluations = 0
        self._game = game
        self._orders = tuple(orders)
        self._known = torch.tensor([order in (0, n - 2) for order in orders])
        shape = (len(orders), n, n)
        self._sums, self._squares, self._counts = (torch.zeros(shape, dtype=torch.float64) for _ in range(3))

    def values(self, coalitions: Tensor) -> Tensor:
        """Play the game: `(n_coalitions,)` float64."""
        self.evaluations += len(coalitions)
        return self._game(coalitions).double()

    def add(self, order: int, i: Tensor, j: Tensor, differences: Tensor) -> None:
        """Take in one sample of each of the pairs (i, j)."""
        place = self._orders.index(order)
        for a, b in ((i, j), (j, i)):
            self._sums[place].index_put_((a, b), differences, accumulate=True)
            self._squares[place].index_put_((a, b), differences.square(), accumulate=True)
            self._counts[place].index_put_((a, b), torch.ones_like(differences), accumulate=True)

    def estimate(self) -> Estimate:
        return from_samples(
            self._orders, self._sums, self._squares, self._counts, known=self._known, evaluations=self.evaluations
        )


def by_contexts(orders: Sequence[int], n: int) -> tuple[list[int], list[int]]:
    """Split orders into those of a single context and those of many."""
    single = [order for order in orders if order in (0, n - 2)]
    return single, [order for order in orders if order not in single]


def play_rounds(
    samples: Samples,
    one: Callable[[int], None],
    *,
    once: Sequence[int],
    many: Sequence[int],
    cost: int,
    budget: int,
    precision: float | None,
) -> Estimate:
    """Call `one` for each of `once`, then for each of `many` in rounds, while the budget allows one more.

    Args:
        one: Draws and plays one sample.
        cost: The most evaluations that one sample takes. Rounds stop by it and not by what the next one takes: else
            cheap contexts would be likelier to be the last.
        precision: Stop when `Estimate.precision` falls to this; looked at after 4, 8, 16, … rounds. The rule sees
            errors and no values; still, unbiasedness holds strictly only without it.

    Raises:
        BudgetTooSmall: Not even two rounds; before anything is evaluated.
    """
    least = cost * (len(once) + LEAST_ROUNDS * len(many))
    if budget < least:
        raise BudgetTooSmall(least)
    for turn in once:
        one(turn)
    rounds = (budget - samples.evaluations) // (cost * len(many)) if many else 0
    for done in range(1, rounds + 1):
        for turn in many:
            one(turn)
        looked = done >= _FIRST_LOOK and done & (done - 1) == 0
        if precision is not None and looked and samples.estimate().precision <= precision:
            break
    return samples.estimate()
