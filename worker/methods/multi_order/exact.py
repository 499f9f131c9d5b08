"""Multi-order interactions of all pairs and all context orders, exactly, from one table of 2^n values.

Everything of second order that a table holds fits into its *moments*: for every coalition size k the matrix
`M_k = sum of v(S) x̃(S) x̃(S)'` over |S| = k, where x̃(S) = (1, presence of player 0, 1, …). The moments of a table
are those of its two halves (without and with the last player) put together, which halves again: O(2^n) in all, and
no array of 2^n times pairs. I^(m)(i, j) is then a difference of a few entries.

Source: equations 1 to 5 and Theorem 2 of the paper named in `worker.methods.multi_order`.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb

import torch
from torch import Tensor

from worker.methods._transforms import player_count

_LEAF = 6
"""Players whose moments are taken by one matrix product; halving further would only start tiny operations."""


def moments(table: Tensor) -> Tensor:
    """Sum the values of every coalition size with the products of two presences.

    Args:
        table: `(..., 2^n)`; player k is bit k of the index.

    Returns:
        `(..., n + 1, n + 1, n + 1)`: size k, then the symmetric matrix `M_k` over (1, player 0, …, player n - 1).
    """
    n = player_count(table)
    leaf = min(n, _LEAF)
    rows = table.reshape(-1, 1 << leaf) @ _leaf_features(leaf, table.dtype, str(table.device))
    found = rows.reshape(-1, leaf + 1, leaf + 1, leaf + 1)
    for _ in range(leaf, n):
        found = _joined(found[0::2], found[1::2])
    return found.reshape(*table.shape[:-1], n + 1, n + 1, n + 1)


def _joined(without: Tensor, present: Tensor) -> Tensor:
    """Join the moments of two halves: those without and those with one more player, which becomes the last."""
    players = without.shape[-1]  # with the leading 1
    joined = without.new_zeros(len(without), players + 1, players + 1, players + 1)
    joined[:, :-1, :-1, :-1] = without
    later = joined[:, 1:]  # the new player makes every coalition of its half larger by one
    later[..., :-1, :-1] += present
    later[..., -1, :-1] = present[..., 0, :]
    later[..., :-1, -1] = present[..., 0, :]
    later[..., -1, -1] = present[..., 0, 0]
    return joined


@lru_cache(maxsize=32)
def _leaf_features(players: int, dtype: torch.dtype, device: str) -> Tensor:
    """Return `(2^players, sizes · (players + 1)²)`: what one unit of value at each coalition adds to the moments."""
    index = torch.arange(1 << players)
    presence = (index[:, None] >> torch.arange(players)) & 1  # (2^players, players)
    extended = torch.cat([torch.ones(len(index), 1, dtype=torch.int64), presence], dim=1)
    size = torch.nn.functional.one_hot(presence.sum(1), players + 1)
    features = torch.einsum("sk,si,sj->skij", size, extended, extended)
    return features.reshape(len(index), -1).to(dtype).to(device)


def multi_order(table: Tensor) -> Tensor:
    """Compute I^(m)(i, j), the mean second difference of `v` over all contexts of m other players (Eq. 1 and 3).

    Args:
        table: `(..., 2^n)`, n ≥ 2.

    Returns:
        `(..., n - 1, n, n)`: context order m, then the symmetric matrix over pairs; zero on the diagonal.

    Raises:
        ValueError: Fewer than two players.
    """
    n = player_count(table)
    if n < 2:
        raise ValueError(f"expected at least 2 players, got {n}")
    sums = moments(table)
    both = sums[..., 1:, 1:]  # (..., sizes, n, n): v summed where i and j are present
    one = sums[..., 0, 1:]  # (..., sizes, n)
    everything = sums[..., 0, 0]  # (..., sizes)
    either = one[..., :, None] + one[..., None, :]  # where i is present, plus where j is
    with_both = both[..., 2:, :, :]
    with_one = (either - 2 * both)[..., 1:-1, :, :]
    with_none = everything[..., :-2, None, None] - (either - both)[..., :-2, :, :]
    contexts = torch.tensor([comb(n - 2, m) for m in range(n - 1)], dtype=table.dtype, device=table.device)
    found = (with_both - with_one + with_none) / contexts[:, None, None]
    return found * (1 - torch.eye(n, dtype=table.dtype, device=table.device))


def shapley_interaction_index(interactions: Tensor) -> Tensor:
    """Average I^(m) over its context orders: `(..., n, n)`, the Shapley interaction index (Eq. 2 and 4)."""
    return interactions.mean(dim=-3)


def efficiency_weights(n: int) -> Tensor:
    """Return w^(m) = (n - 1 - m) / (n (n - 1)), `(n - 1,)` float64: the weight of every *ordered* pair in Eq. 5."""
    return (n - 1 - torch.arange(n - 1, dtype=torch.float64)) / (n * (n - 1))


def efficiency_parts(table: Tensor, interactions: Tensor) -> tuple[Tensor, Tensor]:
    """Split v(N) - v(∅) into the players' own effects and the interactions of every context order (Eq. 5).

    Returns:
        `(..., n)`, v({i}) - v(∅); and `(..., n - 1)`, the weighted sum over ordered pairs of I^(m).
    """
    n = player_count(table)
    alone = table[..., [1 << player for player in range(n)]] - table[..., :1]
    return alone, efficiency_weights(n).to(interactions) * interactions.sum(dim=(-1, -2))


def efficiency_residual(table: Tensor, interactions: Tensor) -> Tensor:
    """Return `(...)`, v(N) - v(∅) minus both parts of `efficiency_parts`; zero up to rounding."""
    alone, pairs = efficiency_parts(table, interactions)
    return table[..., -1] - table[..., 0] - alone.sum(-1) - pairs.sum(-1)


def mean_by_size(table: Tensor) -> Tensor:
    """Average the values of each coalition size: `(..., n + 1)`."""
    n = player_count(table)
    counts = torch.tensor([comb(n, size) for size in range(n + 1)], dtype=table.dtype, device=table.device)
    return moments(table)[..., 0, 0] / counts


def output_difference(table: Tensor, smaller: int, larger: int) -> Tensor:
    """Compute Δu = E[v(S2) - (k2/k1) v(S1)] over S1 ⊂ S2 of k1 and k2 players (Eq. 14).

    With k1 = 0 the factor is 1, as published: the players' own effects then stay in.

    Args:
        smaller, larger: 0 ≤ k1 < k2 ≤ n.

    Raises:
        ValueError: Other sizes.
    """
    n = player_count(table)
    _check_sizes(n, smaller, larger)
    means = mean_by_size(table)
    return means[..., larger] - (larger / smaller if smaller else 1.0) * means[..., smaller]


def output_difference_weights(n: int, smaller: int, larger: int) -> Tensor:
    """Return w̃^(m), `(n - 1,)` float64: the weight of every ordered pair's I^(m) in Δu (Theorem 2).

    A triangle: it rises until m = k1 - 1, falls until m = k2 - 2 and is zero beyond, so Δu is not confined to
    contexts between k1 and k2.

    Raises:
        ValueError: Sizes other than 0 ≤ k1 < k2 ≤ n.
    """
    _check_sizes(n, smaller, larger)
    m = torch.arange(n - 1, dtype=torch.float64)
    rising = (larger / smaller - 1) * (m + 1) if smaller else m
    falling = (larger - 1 - m).clamp(min=0)
    return torch.where(m <= smaller - 2, rising, falling) / (n * (n - 1))


def modulation_residual(table: Tensor, interactions: Tensor) -> float:
    """Return the largest gap of Theorem 2 over all 0 < k1 < k2 ≤ n: Δu against its weighted interactions.

    Args:
        table: `(2^n,)`.
        interactions: `(n - 1, n, n)`, of the table.
    """
    n = player_count(table)
    means, pairs = mean_by_size(table), interactions.sum(dim=(-1, -2))
    gaps = [
        means[larger] - larger / smaller * means[smaller] - (1 - larger / smaller) * table[0]
        - output_difference_weights(n, smaller, larger).to(table) @ pairs
        for smaller in range(1, n)
        for larger in range(smaller + 1, n + 1)
    ]  # fmt: skip
    return float(torch.stack(gaps).abs().max())


def _check_sizes(n: int, smaller: int, larger: int) -> None:
    if not 0 <= smaller < larger <= n:
        raise ValueError(f"expected 0 <= k1 < k2 <= {n} players, got {smaller} and {larger}")
