"""Solve the sparse AND-OR problem, by the method that suits its size."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from worker.methods.and_or import interior_point, row_generation
from worker.methods.and_or.interior_point import Watch
from worker.methods.and_or.problem import Solution, SparseProblem

_FEW_PLAYERS = 9  # up to here one factorisation with all 2^n states costs less than the rounds that would spare it


def solve(problem: SparseProblem, *, tolerance: float = 1e-4, seed: int = 0, watch: Watch | None = None) -> Solution:
    """Find the sparsest logical model to a certified relative gap of `tolerance`; the answer tells what was reached."""
    if problem.n <= _FEW_PLAYERS:
        return interior_point.solve(problem, tolerance=tolerance, watch=watch)
    if problem.gains.device.type != "cpu":
        return row_generation.solve(problem, tolerance=tolerance, seed=seed, watch=watch)
    # A batch pads every sample to the most states that one of them lists: a CPU has no idle units to spend on that,
    # and 16 tables of 10 players took three times as long together as one by one.
    samples = (problem.select(torch.tensor([sample])) for sample in range(len(problem.gains)))
    return _joined([row_generation.solve(sample, tolerance=tolerance, seed=seed, watch=watch) for sample in samples])


def _joined(solutions: Sequence[Solution]) -> Solution:
    return Solution(
        atoms=torch.cat([solution.atoms for solution in solutions]),
        noise=torch.cat([solution.noise for solution in solutions]),
        prices=torch.cat([solution.prices for solution in solutions]),
        objective=torch.cat([solution.objective for solution in solutions]),
        bound=torch.cat([solution.bound for solution in solutions]),
        iterations=sum(solution.iterations for solution in solutions),
    )
