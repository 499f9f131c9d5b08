"""What the samplers of multi-order interactions take and give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import torch
from torch import Tensor

Game = Callable[[Tensor], Tensor]
"""`(n_coalitions, n)` bool to `(n_coalitions,)` values; see `worker.methods._games`."""


Pair = tuple[int, int]


class BudgetTooSmall(ValueError):
    """Fewer evaluations than a sampler needs to know its own error, for these pairs and orders.

    Attributes:
        least: How many would do.
    """

    def __init__(self, least: int) -> None:
        super().__init__(f"expected a budget of {least} or more evaluations")
        self.least = least


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Estimated interactions.

    Attributes:
        orders: Context orders m.
        values: `(orders, n, n)`, symmetric; NaN where a pair was not estimated, and on the diagonal.
        standard_errors: Likewise; 0 where exact, NaN where there is one sample, which tells nothing of its spread.
        evaluations: Masked inputs that were evaluated.
    """

    orders: tuple[int, ...]
    values: Tensor
    standard_errors: Tensor
    evaluations: int

    @property
    def precision(self) -> float:
        """Root mean squared standard error over the estimated pairs, of the worst order."""
        squares = self.standard_errors.square().nanmean(dim=(1, 2))
        return sqrt(float(squares.nan_to_num(nan=torch.inf).max()))

    def of_pairs(self, pairs: Sequence[Pair]) -> Estimate:
        """Return the estimate of these pairs only."""
        i, j = torch.tensor(list(pairs)).T
        kept = torch.zeros(self.values.shape[1:], dtype=torch.bool)
        kept[i, j] = kept[j, i] = True
        return replace(
            self,
            values=self.values.masked_fill(~kept, torch.nan),
            standard_errors=self.standard_errors.masked_fill(~kept, torch.nan),
        )


def from_samples(
    orders: Sequence[int], sums: Tensor, squares: Tensor, counts: Tensor, *, known: Tensor, evaluations: int
) -> Estimate:
    """Average independent samples of I^(m)(i, j).

    Args:
        sums, squares, counts: `(orders, n, n)`, of the samples of every pair.
        known: `(orders,)` bool: orders of one context, whose samples are exact.
    """
    means = sums / counts  # NaN without a sample
    spread = (squares / counts - means.square()).clamp(min=0) / (counts - 1)
    errors = torch.where(counts > 1, spread, torch.nan).sqrt()
    errors = torch.where(known[:, None, None] & (counts > 0), 0.0, errors)
    return Estimate(orders=tuple(orders), values=means, standard_errors=errors, evaluations=evaluations)


def check_orders(orders: Sequence[int], n: int) -> None:
    """Raise ValueError unless all orders are different and within 0..n - 2."""
    if not orders or len(set(orders)) != len(orders) or not all(0 <= order <= n - 2 for order in orders):
        raise ValueError(f"expected different context orders from 0 to {n - 2}, got {list(orders)}")
