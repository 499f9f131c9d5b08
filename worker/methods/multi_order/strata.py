"""Strata: the coalitions of one size, split by which of two players they hold.

I^(m)(i, j) is a sum of four stratum means: coalitions of m + 2 players that hold both i and j, minus those of m + 1
that hold only i, minus those that hold only j, plus those of m that hold neither. Whatever is known about strata, by
enumeration, from a sample or from a model of the game, is thereby known about interactions; and every coalition falls
into one stratum of *every* pair, so that one evaluation serves them all.

Patterns are numbered BOTH, ONE (i without j; its transpose is j without i) and NONE.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb

import torch
from torch import Tensor

BOTH, ONE, NONE = range(3)
HELD = (2, 1, 0)
"""Players of the pair that each pattern holds."""


def stratum_sums(coalitions: Tensor, values: Tensor) -> Tensor:
    """Sum values over the strata of every pair.

    Args:
        coalitions: `(n_coalitions, n)` bool, usually of one size.
        values: `(n_coalitions,)`.

    Returns:
        `(3, n, n)`: pattern, i, j; the diagonal has no meaning.
    """
    present = coalitions.to(values.dtype)
    weighted = present * values[:, None]
    both = weighted.T @ present  # (n, n)
    single = weighted.sum(0)
    return torch.stack([both, single[:, None] - both, values.sum() - single[:, None] - single[None, :] + both])


def stratum_sizes(n: int, size: int) -> tuple[int, int, int]:
    """Count the coalitions of `size` players in one stratum of each pattern."""
    return tuple(comb(n - 2, size - held) if size >= held else 0 for held in HELD)  # type: ignore[return-value]


def sizes_needed(orders: Sequence[int]) -> list[int]:
    """List the coalition sizes that the interactions of these context orders are made of."""
    return sorted({order + held for order in orders for held in HELD})


def interactions(means: Mapping[int, Tensor], orders: Sequence[int]) -> Tensor:
    """Combine stratum means, `(3, n, n)` by coalition size, into I^(m): `(orders, n, n)`."""
    return torch.stack(
        [
            means[order + 2][BOTH] - means[order + 1][ONE] - means[order + 1][ONE].T + means[order][NONE]
            for order in orders
        ]
    )


def variances(means: Mapping[int, Tensor], orders: Sequence[int]) -> Tensor:
    """Combine variances of independent stratum means like `interactions`, with all signs positive."""
    return torch.stack(
        [
            means[order + 2][BOTH] + means[order + 1][ONE] + means[order + 1][ONE].T + means[order][NONE]
            for order in orders
        ]
    )
