"""AND and OR transforms by their definitions: loops over pairs of coalitions, sets as bit masks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def size(coalition: int) -> int:
    return coalition.bit_count()


def and_trigger(S: int, T: int) -> int:
    """1 where every member of S is in T."""
    return int(S & T == S)


def or_trigger(S: int, T: int) -> int:
    """1 where some member of S is in T; the empty atom is the constant."""
    return int(S == 0 or S & T != 0)


def matrix(trigger: Callable[[int, int], int], n: int) -> np.ndarray:
    """Rows are masked states T, columns atoms S."""
    return np.array([[trigger(S, T) for S in range(2**n)] for T in range(2**n)], dtype=np.float64)


def and_interactions(u: np.ndarray) -> np.ndarray:
    """Theorem 2.1, first line."""
    out = np.zeros(len(u))
    for S in range(len(u)):
        for T in range(len(u)):
            if T & S == T:
                out[S] += (-1) ** (size(S) - size(T)) * u[T]
    return out


def or_interactions(u: np.ndarray) -> np.ndarray:
    """Theorem 2.1, second line; the empty interaction is u(∅), as published."""
    everyone = len(u) - 1
    out = np.zeros(len(u))
    out[0] = u[0]
    for S in range(1, len(u)):
        for T in range(len(u)):
            if T & S == T:
                out[S] -= (-1) ** (size(S) - size(T)) * u[everyone & ~T]
    return out
