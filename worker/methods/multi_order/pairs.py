"""Which pairs of players are measured, as the parameters ask."""

from __future__ import annotations

from worker.methods._play import Played
from worker.methods._seats import refused
from worker.methods.multi_order.estimates import Pair
from worker.methods.multi_order.params import MultiOrderParams
from worker.methods.multi_order.sampled import neighbours


def wanted_pairs(played: Played, params: MultiOrderParams) -> list[Pair]:
    """List them, the smaller player first.

    Raises:
        InvalidParameters: Players that have no neighbours, or are not there.
    """
    match params.pairs:
        case "all":
            return [(i, j) for i in range(played.n) for j in range(i + 1, played.n)]
        case "neighbours":
            return _neighbours(played, params)
        case "given":
            return _given(params, played.n)


def _neighbours(played: Played, params: MultiOrderParams) -> list[Pair]:
    if played.who == "grid":
        return neighbours(params.grid_rows, params.grid_columns, radius=params.radius)
    if played.who == "words":
        return neighbours(1, played.n, radius=params.radius)
    raise refused(
        "pairs", f"expected pairs all or given, as only cells of a grid and words have neighbours, not {played.who}"
    )


def _given(params: MultiOrderParams, n: int) -> list[Pair]:
    pairs = [(min(i, j), max(i, j)) for i, j in params.given_pairs or ()]
    largest = max(j for _, j in pairs)
    if largest >= n:
        raise refused("given_pairs", f"expected players from 0 to {n - 1}, got {largest}")
    if len(set(pairs)) < len(pairs):
        twice = next(pair for pair in pairs if pairs.count(pair) > 1)
        raise refused("given_pairs", f"expected different pairs, got {list(twice)} twice")
    return pairs
