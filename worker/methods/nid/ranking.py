"""Sets of any size, ranked greedily (Algorithm 1), and the ranking without the sets that a larger one makes redundant.

At one unit, the strongest set of j inputs is that of its j largest weights, so each unit proposes one set of every
size, at most units · (p - 1) in all. Equal sets of different units are found by a hash that grows by one exclusive-or
with every member, instead of by comparing members.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
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
    places, sizes = _falling(first.abs().cpu().numpy(), min(largest or first.shape[1], first.shape[1]))
    means = of_prefixes(average, torch.from_numpy(sizes))[:, 1:]
    gains = (influences.cpu()[:, None] * means).numpy()
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


def _falling(sizes: NDArray[np.floating], width: int) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
    """Return places and sizes of each row's largest numbers; of equal ones the first comes first."""
    places = np.argsort(-sizes, axis=1)
    sorted_sizes = np.take_along_axis(sizes, places, axis=1)
    if (sorted_sizes[:, 1:] == sorted_sizes[:, :-1]).any():  # else the slower stable sort would say the same
        places = np.argsort(-sizes, axis=1, kind="stable")
    return places[:, :width], sorted_sizes[:, :width]


def _ranked(places: NDArray[np.int64], gains: NDArray[np.floating], *, most: int, seed: int) -> list[Ranked] | None:
    """Rank by one hash; None where it confused two of the sets that are returned."""
    groups = _Groups.of(_prefix_hashes(places, seed=seed).reshape(-1))
    strengths = np.asarray(np.bincount(groups.names, weights=gains.reshape(-1)), dtype=np.float64)
    ranked = []
    for best in _strongest(strengths, np.minimum.reduceat(groups.proposals, groups.starts), most):
        members = {_members(places, int(proposal)) for proposal in groups.of_name(best)}
        if len(members) > 1:
            return None
        ranked.append(Ranked(members.pop(), float(strengths[best])))
    return ranked


@dataclass(frozen=True)
class _Groups:
    """Proposals with equal keys.

    Attributes:
        names: The group of each proposal.
        proposals: Group by group.
        starts: Where each group starts in `proposals`.
    """

    names: NDArray[np.int64]
    proposals: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, keys: NDArray[np.uint64]) -> _Groups:
        proposals = np.argsort(keys)
        in_order = keys[proposals]
        new = np.concatenate([[True], in_order[1:] != in_order[:-1]])
        names = np.empty(len(keys), dtype=np.int64)
        names[proposals] = new.cumsum() - 1
        return cls(names, proposals, np.flatnonzero(new))

    def of_name(self, name: int) -> NDArray[np.int64]:
        """Return the proposals of a group."""
        end = self.starts[name + 1] if name + 1 < len(self.starts) else len(self.proposals)
        return self.proposals[self.starts[name] : end]


def _strongest(strengths: NDArray[np.float64], firsts: NDArray[np.int64], most: int) -> list[int]:
    """Return the groups with the largest strengths above zero; of equal ones that which was proposed first."""
    least = np.partition(strengths, len(strengths) - most)[-most] if most < len(strengths) else 0.0
    able = np.flatnonzero((strengths >= least) & (strengths > 0))
    chosen: list[int] = able[np.lexsort((firsts[able], -strengths[able]))][:most].tolist()
    return chosen


def _prefix_hashes(places: NDArray[np.int64], *, seed: int) -> NDArray[np.uint64]:
    """Hash the first j members, for every j from 2 on: `(units, p)` to `(units, p - 1)`."""
    names = np.random.default_rng(seed).integers(1 << 63, size=int(places.max()) + 1, dtype=np.uint64)
    return np.bitwise_xor.accumulate(names[places], axis=1)[:, 1:]


def _members(places: NDArray[np.int64], proposal: int) -> tuple[int, ...]:
    unit, size = divmod(proposal, places.shape[1] - 1)
    return tuple(sorted(places[unit, : size + 2].tolist()))
