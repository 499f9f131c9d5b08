"""How strongly a model interacts at every context order, over samples: the interaction bottleneck.

S^(m)(x) is the mean of |I^(m)(i, j)| over pairs (Eq. 6), and J^(m) its mean over samples, relative to its mean over
the orders evaluated (Eq. 7): J depends on the grid of orders, so compare only over one grid.

Estimated interactions carry noise, and the mean of |I + noise| exceeds that of |I|: most where interactions are weak,
at the middle orders, so that too few samples flatten the bottleneck. The mean of I² - (standard error)² is free of
that, whatever the noise; its root over the same mean of orders is the corrected strength.

Intervals are bootstrapped over samples. Of a single sample they are over its pairs, which share players and one
picture: they tell how much the choice of pairs matters, and nothing of other samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import comb, log
from typing import Literal

import torch
from torch import Tensor

from worker.methods.multi_order.estimates import Estimate

RESAMPLES = 1000
_AT_ONCE = 50
"""Resamples of pairs in one product: 32,640 pairs take 13 MB."""


@dataclass(frozen=True, kw_only=True)
class Strength:
    """Interaction strength by context order.

    Attributes:
        orders: The grid m; J is relative to its mean over this grid.
        strength: `(orders,)`, the mean of S^(m) over samples, in the unit of the game.
        relative: `(orders,)`, J^(m); its mean over the grid is 1.
        corrected: `(orders,)`, J from root mean squares with the noise taken off; 0 where noise explains everything.
        interval: `(2, orders)`, bootstrap bounds of `relative`; NaN where there is a single pair of a single sample.
        corrected_interval: Likewise of `corrected`.
        resampled: What the bounds are over.
    """

    orders: tuple[int, ...]
    strength: Tensor
    relative: Tensor
    corrected: Tensor
    interval: Tensor
    corrected_interval: Tensor
    resampled: Literal["samples", "pairs"]


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
    samples = (
        Estimate(orders=tuple(orders), values=values, standard_errors=error, evaluations=0)
        for values, error in zip(interactions, errors, strict=True)
    )
    return of_estimates(samples, generator=generator, level=level)


def of_estimates(estimates: Iterable[Estimate], *, generator: torch.Generator, level: float = 0.95) -> Strength:
    """Compute `strength` of one estimate a sample; the estimates are gone through once, and not kept.

    A sample none of whose pairs has a known error at an order is left out there, of the corrected strength.

    Raises:
        ValueError: The estimates are of different orders, or there are none.
    """
    absolute, square, grids = [], [], set()
    for estimate in estimates:
        last = estimate
        grids.add(estimate.orders)
        absolute.append(mean_absolute(estimate.values))
        square.append(mean_square(estimate.values, estimate.standard_errors))
    if len(grids) != 1:
        raise ValueError(f"expected estimates of the same orders, got {sorted(grids)}")
    means = torch.stack(absolute), torch.stack(square)  # (samples, orders)
    drawn = _over_pairs(last, generator) if len(absolute) == 1 else _over_samples(*means, generator)
    return Strength(
        orders=grids.pop(),
        strength=means[0].nanmean(0),
        relative=relative(means[0].nanmean(0)),
        corrected=corrected(means[1].nanmean(0)),
        interval=_bounds(relative(drawn[0]), level),
        corrected_interval=_bounds(corrected(drawn[1]), level),
        resampled="pairs" if len(absolute) == 1 else "samples",
    )


def _over_samples(absolute: Tensor, square: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw samples anew, with replacement: their mean |I| and mean I² less noise, `(RESAMPLES, orders)` each."""
    drawn = torch.randint(len(absolute), (RESAMPLES, len(absolute)), generator=generator)
    return absolute[drawn].nanmean(1), square[drawn].nanmean(1)


def _over_pairs(estimate: Estimate, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw the pairs of a sample anew; like `_over_samples`. NaN where there is one pair only."""
    values, noise = _pairs(estimate.values), _pairs(estimate.standard_errors).square()  # (orders, pairs)
    there = ~values.isnan().all(dim=0)
    values, noise = values[:, there], noise[:, there]
    pairs = values.shape[1]
    if pairs < 2:
        nothing = torch.full((RESAMPLES, len(values)), torch.nan, dtype=values.dtype)
        return nothing, nothing
    parts = []
    for _ in range(RESAMPLES // _AT_ONCE):
        drawn = torch.randint(pairs, (_AT_ONCE, pairs), generator=generator)
        times = values.new_zeros(_AT_ONCE, pairs).scatter_add_(1, drawn, values.new_ones(_AT_ONCE, pairs))
        parts.append((_weighted(times, values.abs()), _weighted(times, values.square() - noise)))
    absolute, square = zip(*parts, strict=True)
    return torch.cat(absolute), torch.cat(square)


def _weighted(times: Tensor, values: Tensor) -> Tensor:
    """Average `(orders, pairs)` with the weights `(resamples, pairs)`, leaving out NaN: `(resamples, orders)`."""
    known = ~values.isnan()
    return times @ values.nan_to_num().T / (times @ known.to(times).T)


def relative(strengths: Tensor) -> Tensor:
    """Divide by the mean over orders, the last axis (Eq. 7)."""
    return strengths / strengths.mean(dim=-1, keepdim=True)


def corrected(squares: Tensor) -> Tensor:
    """Return relative roots of mean squares; what noise drove below zero counts as zero."""
    return relative(squares.clamp(min=0).sqrt())


def _bounds(resampled: Tensor, level: float) -> Tensor:
    tails = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=resampled.dtype)
    return torch.quantile(resampled, tails, dim=0)


def order_grid(
    n: int, ratios: Sequence[float] = (0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1)
) -> tuple[int, ...]:
    """Return the context orders at these shares of n - 2; the default is the published grid. None appears twice."""
    # 0.3 · 10 is a little below 3 in binary.
    return tuple(sorted({int((n - 2) * ratio + 1e-9) for ratio in ratios}))


def contextual_variability(n: int) -> Tensor:
    """Return log C(n - 2, m), `(n - 1,)`: how many contexts there are at every order, as a logarithm (Eq. 12)."""
    return torch.tensor([log(comb(n - 2, m)) for m in range(n - 1)], dtype=torch.float64)
