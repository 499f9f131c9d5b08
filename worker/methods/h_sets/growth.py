"""Algorithm 1: a set grows from its seed along strong entries of the Hessian.

A row H_s of the Hessian tells with which features the feature s interacts. Its strong entries join the set, and become
places to grow from in their turn, until the set is full or no entry is strong enough. Growing is a generator that asks
for rows, so that many sets can grow in lockstep and their rows be computed together.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

ThresholdKind = Literal["relative", "absolute", "quantile", "min-max"]
Spread = Literal["region", "prefer", "anywhere"]
Search = Literal["strongest-first", "depth-first"]
Stop = Literal["full", "exhausted", "row-budget"]

Row = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How sets grow.

    Attributes:
        threshold, threshold_kind: Which entries of a row interact; see `strengths`.
        spread: Members come from the seed's region only, from there first, or from anywhere.
        search: Grow next from the strongest pending member of all, or from the newest member's own first
            (depth-first preorder, as the published code does).
        keep_seed: The seed is a member from the start; else only if its own diagonal entry passes.
        set_size: Most members.
        max_rows: Most Hessian rows.
    """

    threshold: float = 0.5
    threshold_kind: ThresholdKind = "relative"
    spread: Spread = "region"
    search: Search = "strongest-first"
    keep_seed: bool = True
    set_size: int = 2000
    max_rows: int = 32


@dataclass(frozen=True, kw_only=True)
class Grown:
    """A set as it came out.

    Attributes:
        members: In the order in which they joined; never empty, the seed alone where no entry passed.
        rows: Hessian rows used.
        stopped: `full`: set size reached; `exhausted`: no strong entry left; `row-budget`: rows used up before.
        first_row: `(d,)`, the seed's row.
    """

    seed: int
    region: int
    members: tuple[int, ...]
    rows: int
    stopped: Stop
    first_row: Row = field(repr=False)


Growth = Generator[int, Row, Grown]
"""Yields the flat index of the row it needs, is sent `(d,)`, returns the set."""


def strengths(row: Row, *, threshold: float, kind: ThresholdKind) -> tuple[Row, NDArray[np.bool_]]:
    """Return how strongly every feature interacts with the row's, and which pass the threshold (Def. 2).

    Args:
        row: `(d,)`, in logits per squared unit of the model's input space.
        kind: `absolute`: |H| > threshold. `relative`: |H| > threshold * the row's largest |H|. `quantile`:
            |H| > that quantile of the row's |H|. `min-max`: (H - min) / (max - min) > threshold, signed, so that
            positive entries are the strong ones (the published code).
    """
    if kind == "min-max":
        low, high = row.min(), row.max()
        scaled = (row - low) / (high - low) if high > low else np.zeros_like(row)
        return scaled, scaled > threshold
    size = np.abs(row)
    if kind == "quantile":
        return size, size > np.quantile(size, threshold)
    return size, size > (threshold * size.max() if kind == "relative" else threshold)


def grow(seed: int, *, regions: NDArray[np.integer[Any]], rule: Rule) -> Growth:
    """Grow one set from `seed`.

    Args:
        regions: `(d,)`, the region of every feature.
    """
    inside = regions == regions[seed]
    taken = np.zeros(len(regions), dtype=bool)
    taken[seed] = rule.keep_seed
    members = [seed] if rule.keep_seed else []
    pending = _Pending(rule.search)
    first_row = yield seed
    row, rows = first_row, 1
    while True:
        joining = _joining(row, inside=inside, taken=taken, room=rule.set_size - len(members), rule=rule)
        members.extend(candidate[-1] for candidate in joining)
        taken[members] = True
        pending.add(joining)
        stopped = _stop(rule, size=len(members), pending=pending, rows=rows)
        if stopped is not None:
            break
        row = yield pending.next()
        rows += 1
    return Grown(
        seed=seed, region=int(regions[seed]), members=tuple(members) or (seed,), rows=rows, stopped=stopped,
        first_row=first_row,
    )  # fmt: skip


_Candidate = tuple[bool, float, int]
"""(outside of the seed's region although that is preferred, minus the strength, index): sorts best first."""


def _joining(
    row: Row, *, inside: NDArray[np.bool_], taken: NDArray[np.bool_], room: int, rule: Rule
) -> list[_Candidate]:
    """Return the candidates of one row that join: strongest first, equals by index, as many as there is room for."""
    strength, passing = strengths(row, threshold=rule.threshold, kind=rule.threshold_kind)
    passing = passing & ~taken
    if rule.spread == "region":
        passing &= inside
    indices = np.flatnonzero(passing)
    outside = ~inside[indices] & (rule.spread == "prefer")
    best = np.lexsort((indices, -strength[indices], outside))[:room]
    return [(bool(outside[at]), -float(strength[indices[at]]), int(indices[at])) for at in best]


class _Pending:
    """The members whose rows have not been asked for."""

    def __init__(self, search: Search) -> None:
        self._depth_first = search == "depth-first"
        self._waiting: list[_Candidate] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, joined: Sequence[_Candidate]) -> None:
        if self._depth_first:
            self._waiting.extend(reversed(joined))
            return
        for candidate in joined:
            heapq.heappush(self._waiting, candidate)

    def next(self) -> int:
        candidate = self._waiting.pop() if self._depth_first else heapq.heappop(self._waiting)
        return candidate[-1]


def _stop(rule: Rule, *, size: int, pending: _Pending, rows: int) -> Stop | None:
    if size >= rule.set_size:
        return "full"
    if not pending:
        return "exhausted"
    return "row-budget" if rows >= rule.max_rows else None


def grow_all(
    seeds: Sequence[int],
    rows_of: Callable[[Sequence[int]], NDArray[np.floating[Any]]],
    *,
    regions: NDArray[np.integer[Any]],
    rule: Rule,
) -> list[Grown]:
    """Grow one set a seed, all in lockstep: each round asks once for one row of every set that still grows.

    Args:
        rows_of: `(n,)` flat indices to the `(n, d)` rows of the Hessian.
    """
    growths = [grow(seed, regions=regions, rule=rule) for seed in seeds]
    wanted = {position: next(growth) for position, growth in enumerate(growths)}
    found: dict[int, Grown] = {}
    while wanted:
        positions = list(wanted)
        for position, row in zip(positions, rows_of(list(wanted.values())), strict=True):
            try:
                wanted[position] = growths[position].send(row)
            except StopIteration as finished:
                found[position] = finished.value
                del wanted[position]
    return [found[position] for position in range(len(seeds))]
