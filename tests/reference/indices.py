"""Slow interaction indices, straight from their definitions over coalitions as frozensets."""

from __future__ import annotations

from itertools import combinations
from math import comb, factorial

import numpy as np

Game = dict[frozenset[int], float]


def game(table) -> Game:
    """Read a table of 2^n values, player k being bit k of the index."""
    n = (len(table) - 1).bit_length()
    return {frozenset(k for k in range(n) if index >> k & 1): float(value) for index, value in enumerate(table)}


def players(v: Game) -> int:
    return max(len(members) for members in v)


def subsets(of):
    of = sorted(of)
    return [frozenset(members) for size in range(len(of) + 1) for members in combinations(of, size)]


def difference(v: Game, members, context) -> float:
    """The discrete derivative of v by `members` at `context`."""
    return sum((-1) ** (len(members) - len(part)) * v[context | part] for part in subsets(members))


def sii(v: Game, members) -> float:
    n, s = players(v), len(members)
    total = 0.0
    for context in subsets(frozenset(range(n)) - members):
        t = len(context)
        total += factorial(t) * factorial(n - t - s) / factorial(n - s + 1) * difference(v, members, context)
    return total


def bii(v: Game, members) -> float:
    contexts = subsets(frozenset(range(players(v))) - members)
    return sum(difference(v, members, context) for context in contexts) / len(contexts)


def k_sii(v: Game, members, order: int) -> float:
    """Bordt & von Luxburg's recursion: the sets of the new order get SII, the smaller ones a Bernoulli correction."""
    from scipy.special import bernoulli

    if order == len(members):
        return sii(v, members)
    rest = frozenset(range(players(v))) - members
    missing = order - len(members)
    correction = sum(sii(v, members | frozenset(more)) for more in combinations(sorted(rest), missing))
    return k_sii(v, members, order - 1) + float(bernoulli(missing)[missing]) * correction


def stii(v: Game, members, order: int) -> float:
    n = players(v)
    if len(members) < order:
        return difference(v, members, frozenset())
    rest = frozenset(range(n)) - members
    return order / n * sum(difference(v, members, context) / comb(n - 1, len(context)) for context in subsets(rest))


def fsii(v: Game, order: int) -> dict[frozenset[int], float]:
    """Least squares under the Shapley kernel, exact at the empty and the full coalition, by its KKT equations."""
    n = players(v)
    sets = [members for members in subsets(range(n)) if 1 <= len(members) <= order]
    inner = [c for c in subsets(range(n)) if 0 < len(c) < n]
    weights = np.array([1 / (comb(n - 2, len(c) - 1) * (n - 1)) for c in inner])
    matrix = np.array([[float(members <= c) for members in sets] for c in inner])
    right = np.array([v[c] - v[frozenset()] for c in inner])
    normal = matrix.T @ (weights[:, None] * matrix)
    ones = np.ones((1, len(sets)))
    kkt = np.block([[normal, ones.T], [ones, np.zeros((1, 1))]])
    full = v[frozenset(range(n))] - v[frozenset()]
    solution = np.linalg.lstsq(kkt, np.append(matrix.T @ (weights * right), full), rcond=None)[0]
    return dict(zip(sets, solution, strict=False))
