"""How strongly a model interacts at every context order, over samples: the interaction bottleneck.

S^(m)(x) is the mean of |I^(m)(i, j)| over pairs (Eq. 6), and J^(m) its mean over samples, relative to its mean over
the orders evaluated (Eq. 7): J depends on the grid of orders, so compare only over one grid.

Estimated interactions carry noise, and the mean of |I + noise| exceeds that of |I|: most where interactions are weak,
at the middle orders, so that too few samples flatten the bottleneck. The mean of I² - (standard error)² is free of
that, whatever the noise; its root over the same mean of orders is the corrected strength.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, log

import torch
from torch import Tensor

from worker.methods.multi_order.estimates import Estimate

RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class Strength:
    """Interaction strength by context order.

    Attributes:
        orders: The grid m; J is relative to its mean over this grid.
        strength: `(orders,)`, the mean of S^(m) over samples, in the unit of the game.
        relative: `(orders,)`, J^(m); its mean over the grid is 1.
        corrected: `(orders,)`, J from root mean squares with the noise taken off; 0 where noise explains everything.
        interval: `(2, orders)`, bootstrap bounds of `relative` over samples; NaN with a single sample.
        corrected_interval: Likewise of `corrected`.
    """

    orders: tuple[int, ...]
    strength: Tensor
    relative: Tensor
    corrected: Tensor
    interval: Tensor
    corrected_interval: Tensor


def mean_absolute(interactions: Tensor) -> Tensor:
    """Average |I^(m)(i, j)| over estimated pairs: `(..., orders)` from `(..., orders, n, n)` (Eq. 6)."""
    return _pairs(interactions).abs().nanmean(dim=-1)


def mean_square(interactions: Tensor, standard_errors: Tensor) -> Tensor:
    """Average I² less its noise over the pairs whose error is known: `(..., orders)`; may fall below 0."""
    return (_pairs(interactions).square() - _pairs(standard_errors).square()).nanmean(dim=-1)


def _pairs(matrices: Tensor) -> Tensor:
    n = matrices.shape[-1]
    i, j = torch.triu_indices(n, n, offset=1)
    return matrices[..., i, j]


def strength(
    interactions: Tensor,
    standard_errors: Tensor | None = None,
    *,
    orders: Sequence[int],
    generator: torch.Generator,
    level: float = 0.95,
) -> Strength:
    """Compute the strength of every order over samples, with bootstrap intervals.

    Args:
        interactions: `(samples, orders, n, n)`; NaN where a pair was not estimated.
        standard_errors: Likewise; default: exact.
        level: Of the intervals.

    Raises:
        ValueError: Shapes that do not fit.
    """
    if interactions.ndim != 4 or interactions.shape[1] != len(orders):
        raise ValueError(f"expected (samples, {len(orders)} orders, n, n), got {list(interactions.shape)}")
    errors = torch.zeros_like(interactions) if standard_errors is None else standard_errors
    absolute, square = mean_absolute(interactions), mean_square(interactions, errors)  # (samples, orders)
    drawn = torch.randint(len(absolute), (RESAMPLES, len(absolute)), generator=generator)
    return Strength(
        orders=tuple(orders),
        strength=absolute.mean(0),
        relative=relative(absolute.mean(0)),
        corrected=corrected(square.mean(0)),
        interval=_bounds(relative(absolute[drawn].mean(1)), level, samples=len(absolute)),
        corrected_interval=_bounds(corrected(square[drawn].mean(1)), level, samples=len(absolute)),
    )


def of_estimates(estimates: Sequence[Estimate], *, generator: torch.Generator, level: float = 0.95) -> Strength:
    """Compute `strength` of one estimate a sample.

    Raises:
        ValueError: The estimates are of different orders.
    """
    grids = {estimate.orders for estimate in estimates}
    if len(grids) != 1:
        raise ValueError(f"expected estimates of the same orders, got {sorted(grids)}")
    return strength(
        torch.stack([estimate.values for estimate in estimates]),
        torch.stack([estimate.standard_errors for estimate in estimates]),
        orders=grids.pop(),
        generator=generator,
        level=level,
    )


def relative(strengths: Tensor) -> Tensor:
    """Divide by the mean over orders, the last axis (Eq. 7)."""
    return strengths / strengths.mean(dim=-1, keepdim=True)


def corrected(squares: Tensor) -> Tensor:
    """Return relative roots of mean squares; what noise drove below zero counts as zero."""
    return relative(squares.clamp(min=0).sqrt())


def _bounds(resampled: Tensor, level: float, *, samples: int) -> Tensor:
    if samples < 2:
        return torch.full((2, resampled.shape[1]), torch.nan, dtype=resampled.dtype)
    tails = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=resampled.dtype)
    return torch.quantile(resampled, tails, dim=0)


def order_grid(
    n: int, ratios: Sequence[float] = (0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1)
) -> tuple[int, ...]:
    """Return the context orders at these shares of n - 2; the default is the published grid. None appears twice."""
    return tuple(sorted({int((n - 2) * ratio) for ratio in ratios}))


def contextual_variability(n: int) -> Tensor:
    """Return log C(n - 2, m), `(n - 1,)`: how many contexts there are at every order, as a logarithm (Eq. 12)."""
    return torch.tensor([log(comb(n - 2, m)) for m in range(n - 1)], dtype=torch.float64)
