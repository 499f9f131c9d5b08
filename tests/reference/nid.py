"""Neural Interaction Detection, slowly, as the paper writes it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import prod

Matrix = list[list[float]]

AVERAGES: dict[str, Callable[[list[float]], float]] = {
    "minimum": min,
    "maximum": max,
    "root-mean-square": lambda sizes: (sum(size**2 for size in sizes) / len(sizes)) ** 0.5,
    "arithmetic": lambda sizes: sum(sizes) / len(sizes),
    "geometric": lambda sizes: prod(sizes) ** (1 / len(sizes)),
    "harmonic": lambda sizes: len(sizes) / sum(1 / size for size in sizes) if min(sizes) > 0 else 0.0,
}


def influence(weights: list[Matrix], unit: int) -> float:
    """z_s: sum over all paths from the unit to an output of the product of |weights|; `weights` input side first."""
    if not weights:
        return 1.0
    first, *rest = weights
    return sum(abs(row[unit]) * influence(rest, onto) for onto, row in enumerate(first))


Node = tuple[str, list[str], object]
"""What a node does (linear, scale, activation, add, concat), what it takes, and its weights, factors or slope."""


def onward(graph: dict[str, Node], widths: dict[str, int], name: str, place: int) -> list[tuple[str, int, float]]:
    """All numbers that take number `place` of a node, and how fast each moves with it at most."""
    found = []
    for taker, (kind, takes, what) in graph.items():
        for position, taken in enumerate(takes):
            if taken != name:
                continue
            if kind == "linear":
                found += [(taker, row, abs(weights[place])) for row, weights in enumerate(what)]
            elif kind == "scale":
                found.append((taker, place, abs(what[place])))
            elif kind == "activation":
                found.append((taker, place, what))
            elif kind == "add":
                found.append((taker, place, 1.0))
            elif kind == "concat":
                found.append((taker, place + sum(widths[earlier] for earlier in takes[:position]), 1.0))
    return found


def influence_in_graph(graph: dict[str, Node], widths: dict[str, int], name: str, place: int) -> float:
    """z: sum over all paths from a number to the last node of the product of what lies on them."""
    last = list(graph)[-1]
    if name == last:
        return 1.0
    return sum(
        size * influence_in_graph(graph, widths, taker, number)
        for taker, number, size in onward(graph, widths, name, place)
    )


def pairwise(first: Matrix, z: list[float], average: str) -> dict[tuple[int, int], float]:
    """ω({i, j})."""
    mean = AVERAGES[average]
    return {
        (i, j): sum(z[s] * mean([abs(row[i]), abs(row[j])]) for s, row in enumerate(first))
        for i, j in combinations(range(len(first[0])), 2)
    }


def any_order(first: Matrix, z: list[float], average: str) -> list[tuple[tuple[int, ...], float]]:
    """Algorithm 1: each unit proposes the sets of its j largest weights; equal proposals add up."""
    found: dict[tuple[int, ...], float] = {}
    for s, row in enumerate(first):
        order = sorted(range(len(row)), key=lambda i: -abs(row[i]))
        for size in range(2, len(row) + 1):
            prefix = order[:size]
            key = tuple(sorted(prefix))
            found[key] = found.get(key, 0.0) + z[s] * AVERAGES[average]([abs(row[i]) for i in prefix])
    return sorted(((key, value) for key, value in found.items() if value > 0), key=lambda item: -item[1])


def without_redundant(ranking: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Leave out what is a subset of something that ranks higher."""
    return [one for at, one in enumerate(ranking) if not any(set(one) <= set(higher) for higher in ranking[:at])]
