"""Slow multi-order interactions: every context one by one."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from tests.reference.indices import difference, game, players


def multi_order(table) -> np.ndarray:
    """Eq. 3 as written: `(n - 1, n, n)`."""
    v = game(table)
    n = players(v)
    found = np.zeros((n - 1, n, n))
    for i, j in combinations(range(n), 2):
        rest = [k for k in range(n) if k not in (i, j)]
        for m in range(n - 1):
            contexts = [frozenset(c) for c in combinations(rest, m)]
            mean = sum(difference(v, {i, j}, c) for c in contexts) / len(contexts)
            found[m, i, j] = found[m, j, i] = mean
    return found


def mean_over_nested_pairs(table, smaller: int, larger: int) -> float:
    """Eq. 14 as written: v(S2) - (k2 / k1) v(S1), averaged over all S1 ⊆ S2 of sizes k1 and k2."""
    v = game(table)
    n = players(v)
    factor = larger / smaller if smaller else 1.0
    found = [
        v[frozenset(outer)] - factor * v[frozenset(inner)]
        for outer in combinations(range(n), larger)
        for inner in combinations(outer, smaller)
    ]
    return sum(found) / len(found)
