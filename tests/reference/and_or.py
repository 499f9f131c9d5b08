"""The sparse AND-OR problem and the decay model as dense matrices: small n only."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from tests.reference.transforms import and_trigger, matrix, or_trigger, size


def distinct_atoms(n: int, *, empty: str) -> list[tuple[int, int]]:
    """List `(kind, S)` of the penalised atoms: OR atoms of single players and of nobody repeat AND atoms."""
    smallest = 1 if empty == "bias" else 0
    conjunctions = [(0, S) for S in range(2**n) if size(S) >= smallest]
    return conjunctions + [(1, S) for S in range(2**n) if size(S) >= 2]


def optimum(table: np.ndarray, band: float, *, empty: str = "bias") -> float:
    """Solve Eq. 12 with HiGHS: the least total strength that matches the table within the band."""
    n = int(np.log2(len(table)))
    triggers = (matrix(and_trigger, n), matrix(or_trigger, n))
    columns = np.stack([triggers[kind][:, S] for kind, S in distinct_atoms(n, empty=empty)], axis=1)
    gains = table - table[0]
    if empty == "bias":
        columns, gains = columns[1:], gains[1:]
    both = np.hstack([columns, -columns])  # positive and negative parts
    answer = linprog(
        np.ones(both.shape[1]),
        A_ub=np.vstack([both, -both]),
        b_ub=np.concatenate([gains + band, band - gains]),
        bounds=(0, None),
        method="highs",
    )
    assert answer.success, answer.message
    return float(answer.fun)


def logical_model(atoms: np.ndarray, bias: float, T: int) -> float:
    """Eq. 2, term by term; `atoms` is `(2, 2^n)`."""
    value = bias
    for S in range(atoms.shape[1]):
        value += atoms[0, S] * and_trigger(S, T) + atoms[1, S] * or_trigger(S, T)
    return value


def decay_matrix(n: int, delta: float) -> np.ndarray:
    """M(δ) of Theorem 2.3 by a dense solve: `(JᵀJ + 2^n diag(c))^{-1} JᵀJ` with `c_T = 2^|T| δ²`."""
    J = matrix(and_trigger, n)
    c = np.array([2.0 ** size(T) * delta**2 for T in range(2**n)])
    return np.linalg.solve(J.T @ J + 2**n * np.diag(c), J.T @ J)
