"""Slow losses of order modulation: one row, one pair of coalitions and one class at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, log

Logits = Callable[[frozenset[int]], list[float]]


def difference(logits: Logits, pairs: Sequence[tuple[frozenset[int], frozenset[int]]]) -> list[float]:
    """Eq. 14, class by class: the mean over pairs S1 ⊂ S2 of v(S2) - (|S2| / |S1|) v(S1); 1 if S1 is empty."""
    total: list[float] = []
    for inner, outer in pairs:
        factor = len(outer) / len(inner) if inner else 1.0
        found = [large - factor * small for small, large in zip(logits(inner), logits(outer), strict=True)]
        total = [old + new for old, new in zip(total, found, strict=True)] if total else found
    return [one / len(pairs) for one in total]


def softmax(numbers: Sequence[float]) -> list[float]:
    powers = [exp(number - max(numbers)) for number in numbers]
    return [power / sum(powers) for power in powers]


def encouraging(differences: Sequence[Sequence[float]], labels: Sequence[int]) -> float:
    """L+: the mean of -log softmax(Δu) at the label."""
    losses = [-log(softmax(row)[label]) for row, label in zip(differences, labels, strict=True)]
    return sum(losses) / len(losses)


def suppressing(differences: Sequence[Sequence[float]]) -> float:
    """L-: the mean of -H = Σ p log p."""
    losses = [sum(p * log(p) for p in softmax(row)) for row in differences]
    return sum(losses) / len(losses)
