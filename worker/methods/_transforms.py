"""Fast zeta and Möbius transforms over coalitions, for AND and for OR atoms.

A table holds one number per coalition: `(..., 2^n)`, player k is bit k of the index, so `2^n - 1 - S` is the
complement of `S`. Every transform here is the n-th Kronecker power of one 2x2 matrix (perhaps plus a rank-one part),
so it costs O(n 2^n). Up to five players are taken at once as one matrix product of at most 32x32: for small n the
time would otherwise go into starting n tiny operations.

AND atom `S` is worth 1 on `T` where `S ⊆ T`; OR atom `S` where `S ∩ T ≠ ∅`. The empty atom of either kind is the
constant 1.

Source: Theorem 2.1 of https://arxiv.org/abs/2502.10162, by Yates's algorithm for Kronecker powers.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

_BLOCK = 5  # players per matrix product at most: 32x32 is where GEMM is efficient and few multiplications are wasted

Factor = tuple[tuple[float, float], tuple[float, float]]
"""What one player contributes: rows are its absence and presence in `T`, columns in `S`."""

_ZETA: Factor = ((1, 0), (1, 1))
_MOBIUS: Factor = ((1, 0), (-1, 1))
_UP_ZETA: Factor = ((1, 1), (0, 1))
_UP_MOBIUS: Factor = ((1, -1), (0, 1))
_DISJOINT: Factor = ((1, 1), (1, 0))
_DISJOINT_INVERSE: Factor = ((0, 1), (1, -1))


def player_count(table: Tensor) -> int:
    """Count the players of a `(..., 2^n)` table.

    Raises:
        ValueError: The last axis is no power of two.
    """
    size = table.shape[-1]
    if size < 1 or size & (size - 1):
        raise ValueError(f"expected 2^n coalitions on the last axis, got {size}")
    return size.bit_length() - 1


def orders(n: int, *, device: torch.device | str = "cpu") -> Tensor:
    """Count the players of every coalition: `(2^n,)` int64."""
    sizes = torch.zeros(1, dtype=torch.int64, device=device)
    for _ in range(n):
        sizes = torch.cat([sizes, sizes + 1])
    return sizes


def kronecker_power(table: Tensor, factor: Factor) -> Tensor:
    """Multiply the last axis by the n-th Kronecker power of `factor`.

    Returns:
        Same shape, dtype and device as `table`.
    """
    n, first = player_count(table), 0
    for products_left in range(-(-n // _BLOCK), 0, -1):
        players = -(-(n - first) // products_left)  # alike in size: 14 players are 5, 5 and 4
        table = _multiply_players(table, _block(factor, players, table.dtype, str(table.device)), first, players)
        first += players
    return table


def _multiply_players(table: Tensor, block: Tensor, first: int, players: int) -> Tensor:
    if first == 0:
        return (table.reshape(-1, 1 << players) @ block.T).reshape(table.shape)
    grouped = table.reshape(-1, 1 << players, 1 << first)  # (higher players and batch, block, lower players)
    return torch.matmul(block, grouped).reshape(table.shape)


@lru_cache(maxsize=256)
def _block(factor: Factor, players: int, dtype: torch.dtype, device: str) -> Tensor:
    one = torch.tensor(factor, dtype=dtype)
    block = torch.ones(1, 1, dtype=dtype)
    for _ in range(players):
        block = torch.kron(one, block)  # the next player is the next higher bit
    return block.to(device)


def zeta(weights: Tensor) -> Tensor:
    """Sum over subsets: `out[T] = sum of weights[S] over S ⊆ T`, the value of weighted AND atoms."""
    return kronecker_power(weights, _ZETA)


def mobius(values: Tensor) -> Tensor:
    """Invert `zeta`: `out[S] = sum of (-1)^(|S|-|T|) values[T] over T ⊆ S`, the AND interactions (Theorem 2.1)."""
    return kronecker_power(values, _MOBIUS)


def zeta_adjoint(values: Tensor) -> Tensor:
    """Sum over supersets: `out[S] = sum of values[T] over T ⊇ S`."""
    return kronecker_power(values, _UP_ZETA)


def mobius_adjoint(weights: Tensor) -> Tensor:
    """Invert `zeta_adjoint`."""
    return kronecker_power(weights, _UP_MOBIUS)


def or_zeta(weights: Tensor) -> Tensor:
    """Sum over what meets `T`: `out[T] = weights[∅] + sum of weights[S] over S ∩ T ≠ ∅`, the value of OR atoms."""
    # What meets T is everything but what is disjoint from it; the empty atom counts as disjoint and is put back.
    rest = weights.sum(-1, keepdim=True) + weights[..., :1]
    return rest - kronecker_power(weights, _DISJOINT)


def or_mobius(values: Tensor) -> Tensor:
    """Invert `or_zeta`: `out[S] = -sum of (-1)^(|S|-|T|) values[N∖T] over T ⊆ S`, and `out[∅] = values[∅]`."""
    dividends = -kronecker_power(values, _DISJOINT_INVERSE)
    return torch.cat([values[..., :1], dividends[..., 1:]], dim=-1)


def or_zeta_adjoint(values: Tensor) -> Tensor:
    """Transpose `or_zeta`: `out[S] = sum of values[T] over T ∩ S ≠ ∅`, and `out[∅]` sums everything."""
    total = values.sum(-1, keepdim=True)
    meeting = total - kronecker_power(values, _DISJOINT)  # (the 2x2 matrix is symmetric)
    return torch.cat([total, meeting[..., 1:]], dim=-1)


def or_mobius_adjoint(weights: Tensor) -> Tensor:
    """Invert `or_zeta_adjoint`."""
    later = torch.cat([torch.zeros_like(weights[..., :1]), weights[..., 1:]], dim=-1)
    values = -kronecker_power(later, _DISJOINT_INVERSE)
    return torch.cat([values[..., :1] + weights[..., :1], values[..., 1:]], dim=-1)
