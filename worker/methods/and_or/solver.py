"""Solve the sparse AND-OR problem, by the method that suits its size."""

from __future__ import annotations

from worker.methods.and_or import interior_point, row_generation
from worker.methods.and_or.interior_point import Watch
from worker.methods.and_or.problem import Solution, SparseProblem

_FEW_PLAYERS = 9  # up to here one factorisation with all 2^n states costs less than the rounds that would spare it


def solve(problem: SparseProblem, *, tolerance: float = 1e-4, seed: int = 0, watch: Watch | None = None) -> Solution:
    """Find the sparsest logical model to a certified relative gap of `tolerance`; the answer tells what was reached."""
    if problem.n <= _FEW_PLAYERS:
        return interior_point.solve(problem, tolerance=tolerance, watch=watch)
    return row_generation.solve(problem, tolerance=tolerance, seed=seed, watch=watch)
