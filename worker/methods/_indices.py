"""Shapley and Banzhaf values and interaction indices, exactly, from one table of 2^n values.

In terms of the Harsanyi dividends a(T) (the Möbius transform of the table), each of them reads

    index(S) = sum over T ⊇ S of weight(|T|, |S|) a(T),

so that for every size of S the dividends are weighted by their own size and summed over supersets: one fast transform
for each order, O(order · n 2^n).

Sources: Grabisch & Roubens 1999 (SII, Banzhaf interaction index); Bordt & von Luxburg, https://arxiv.org/abs/2209.04012
(k-SII); Sundararajan, Dhamdhere & Agarwal, https://arxiv.org/abs/1902.05622 (STII); Tsai, Yeh & Ravikumar,
https://arxiv.org/abs/2203.00870 (FSII). The names are those of the library shapiq.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import combinations
from math import comb
from typing import Literal, get_args

import torch
from torch import Tensor

from worker.methods._transforms import mobius, orders, player_count, zeta_adjoint

Index = Literal["SV", "BV", "SII", "BII", "k-SII", "STII", "FSII"]
AnyIndex = Literal["SV", "BV", "SII", "BII", "k-SII", "STII", "FSII", "Moebius"]
"""The dividends themselves are an index too."""
Weight = Callable[[int, int, int], Fraction]
"""`weight(t, s, order)`: the share of the dividend of a set of t players that one of its subsets of s gets."""


@dataclass(frozen=True, kw_only=True)
class IndexValues:
    """The values of an index.

    Attributes:
        index: Its name; SV and BV have order 1.
        players: Their number n.
        order: Size of the largest sets.
        sets: Sorted players of every set, by size, then lexicographic; none is empty.
        values: `(sets,)` float64, in the unit of the game.
        baseline_value: v(∅).
    """

    index: str
    players: int
    order: int
    sets: tuple[tuple[int, ...], ...]
    values: Tensor
    baseline_value: float

    def of_order(self, size: int) -> Tensor:
        """Return the values of the sets of `size` players."""
        return self.values[[len(members) == size for members in self.sets]]


def index_values(table: Tensor, index: Index, *, order: int = 2) -> IndexValues:
    """Compute an index for all sets of 1 to `order` players.

    Args:
        table: `(2^n,)`; player k is bit k of the index. Computed in float64.
        order: 1 for SV and BV, which are values of single players.

    Raises:
        ValueError: An unknown index, or an order outside 1..n.
    """
    n = player_count(table)
    if index not in get_args(Index):
        raise ValueError(f"expected one of {', '.join(get_args(Index))}, got {index!r}")
    order = 1 if index in ("SV", "BV") else order
    found = index_table(table, index, order=order)
    places = torch.cat(_places(n, order)).to(table.device)
    return IndexValues(
        index=index, players=n, order=order, sets=subsets(n, order), values=found[places],
        baseline_value=float(table[0]),
    )  # fmt: skip


def index_table(table: Tensor, index: AnyIndex, *, order: int) -> Tensor:
    """Compute an index for all sets of 1 to `order` players: `(2^n,)` float64, 0 at all other sets.

    Raises:
        ValueError: An order outside 1..n.
    """
    n = player_count(table)
    if not 1 <= order <= n:
        raise ValueError(f"expected an order of 1 to {n} players, got {order}")
    dividends = mobius(table.double())
    sizes = orders(n, device=table.device)
    found = torch.zeros_like(dividends)
    for size in range(1, order + 1):
        found = torch.where(sizes == size, _shared_out(dividends, WEIGHTS[index], size=size, order=order), found)
    return found


def _shared_out(dividends: Tensor, weight: Weight, *, size: int, order: int) -> Tensor:
    """Give every set S of `size` players its shares of the dividends of its supersets: `(2^n,)`, right at such S."""
    n = player_count(dividends)
    shares = [float(weight(larger, size, order)) if larger >= size else 0.0 for larger in range(n + 1)]
    by_size = torch.tensor(shares, dtype=dividends.dtype, device=dividends.device)
    return zeta_adjoint(dividends * by_size[orders(n, device=dividends.device)])


def subsets(n: int, order: int) -> tuple[tuple[int, ...], ...]:
    """List the sets of 1 to `order` of n players, by size, then lexicographic."""
    return tuple(members for size in range(1, order + 1) for members in combinations(range(n), size))


@lru_cache(maxsize=32)
def _places(n: int, order: int) -> tuple[Tensor, ...]:
    """For each size, the indices into a table of the sets in the order of `subsets`."""
    sizes = range(1, order + 1)
    return tuple(
        torch.tensor([sum(1 << player for player in members) for members in combinations(range(n), size)])
        for size in sizes
    )


# ---------------------------------------------------------------- weights


def _sii(larger: int, size: int, order: int) -> Fraction:  # noqa: ARG001 (the same at every order)
    return Fraction(1, larger - size + 1)


def _bii(larger: int, size: int, order: int) -> Fraction:  # noqa: ARG001
    return Fraction(1, 2 ** (larger - size))


def _k_sii(larger: int, size: int, order: int) -> Fraction:
    """Aggregate SII by Bernoulli numbers: k-SII(S) = sum of B_(|R|-|S|) SII(R) over R ⊇ S, |R| ≤ k."""
    shares = [
        comb(larger - size, more) * bernoulli(more) * _sii(larger, size + more, order)
        for more in range(min(order, larger) - size + 1)
    ]
    return sum(shares, start=Fraction(0))


def _stii(larger: int, size: int, order: int) -> Fraction:
    """Leave dividends below the top order where they are; share the larger ones among the sets of top order."""
    if size < order:
        return Fraction(int(larger == size))
    return Fraction(1, comb(larger, order))


def _fsii(larger: int, size: int, order: int) -> Fraction:
    """Fit a game of `order` under the Shapley kernel: larger dividends are shared out with alternating signs."""
    if larger <= order:
        return Fraction(int(larger == size))
    share = Fraction(
        comb(order, size) * comb(larger - 1, order) * size,
        comb(larger + order - 1, order + size) * (order + size),
    )
    return -share if (order - size) % 2 else share


def _moebius(larger: int, size: int, order: int) -> Fraction:  # noqa: ARG001
    return Fraction(int(larger == size))


WEIGHTS: dict[AnyIndex, Weight] = {
    "SV": _sii,
    "BV": _bii,
    "SII": _sii,
    "BII": _bii,
    "k-SII": _k_sii,
    "STII": _stii,
    "FSII": _fsii,
    "Moebius": _moebius,
}


@lru_cache(maxsize=64)
def bernoulli(number: int) -> Fraction:
    """Return the Bernoulli number B_n, with B_1 = -1/2."""
    if number == 0:
        return Fraction(1)
    total = sum((comb(number + 1, k) * bernoulli(k) for k in range(number)), Fraction(0))
    return -total / (number + 1)
