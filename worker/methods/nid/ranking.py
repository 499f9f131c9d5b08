"""Sets of any size, ranked greedily (Algorithm 1), and the ranking without the sets that a larger one makes redundant.

At one unit, the strongest set of j inputs is that of its j largest weights, so each unit proposes one set of every
size, at most units · (p - 1) in all. Equal sets of different units are found by a hash that grows by one exclusive-or
with every member, instead of by comparing members.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from worker.methods.nid.averages import Average, of_prefixes

_HASH_SEEDS = 8


@dataclass(frozen=True)
class Ranked:
    """A set and its strength.

    Attributes:
        members: Sorted.
    """

    members: tuple[int, ...]
    strength: float


def rank_any_order(
    first: Tensor, influences: Tensor, *, most: int, largest: int | None = None, average: Average = "minimum"
) -> list[Ranked]:
    """Rank interactions of two and more inputs (Algorithm 1), strongest first.

    Args:
        first: `(units, p)`, weights of the first layer.
        influences: `(units,)`, z.
        most: Sets to return at most; those without strength are left out.
        largest: Members of a set at most; default: p.
    """
    sizes, order = first.abs().sort(dim=1, descending=True, stable=True)
    width = min(largest or first.shape[1], first.shape[1])
    gains = (influences[:, None] * of_prefixes(average, sizes[:, :width]))[:, 1:].cpu().numpy()
    places = order[:, :width].cpu().numpy()
    for seed in range(_HASH_SEEDS):
        ranked = _ranked(places, gains, most=most, seed=seed)
        if ranked is not None:
            return ranked
    raise ArithmeticError(f"expected one of {_HASH_SEEDS} hashes of 63 bits to tell all sets apart, got none")


def without_redundant(ranking: Sequence[Ranked]) -> list[Ranked]:
    """Drop every set of which a superset stands before it in the ranking."""
    return list(_irredundant(ranking))


def _irredundant(ranking: Sequence[Ranked]) -> Iterator[Ranked]:
    maximal: list[int] = []
    for ranked in ranking:
        bits = sum(1 << member for member in ranked.members)
        if any(bits & larger == bits for larger in maximal):
            continue
        maximal = [smaller for smaller in maximal if smaller & bits != smaller] + [bits]
        yield ranked


def _ranked(places: NDArray[np.int64], gains: NDArray[np.floating], *, most: int, seed: int) -> list[Ranked] | None:
    """Rank by one hash; None where it confused two of the sets that are returned."""
    keys = _prefix_hashes(places, seed=seed).reshape(-1)
    _, group = np.unique(keys, return_inverse=True)
    strengths = np.bincount(group, weights=gains.reshape(-1))
    by_set, ends = np.argsort(group, kind="stable"), np.bincount(group).cumsum()
    ranked = []
    for best in np.argsort(-strengths, kind="stable")[:most]:
        if not strengths[best] > 0:
            break
        members = {_members(places, int(proposal)) for proposal in by_set[ends[best - 1] if best else 0 : ends[best]]}
        if len(members) > 1:
            return None
        ranked.append(Ranked(members.pop(), float(strengths[best])))
    return ranked


def _prefix_hashes(places: NDArray[np.int64], *, seed: int) -> NDArray[np.uint64]:
    """Hash the first j members, for every j from 2 on: `(units, p)` to `(units, p - 1)`."""
    names = np.random.default_rng(seed).integers(1 << 63, size=int(places.max()) + 1, dtype=np.uint64)
    return np.bitwise_xor.accumulate(names[places], axis=1)[:, 1:]


def _members(places: NDArray[np.int64], proposal: int) -> tuple[int, ...]:
    unit, size = divmod(proposal, places.shape[1] - 1)
    return tuple(sorted(places[unit, : size + 2].tolist()))
