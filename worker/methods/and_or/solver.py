"""Solve the sparse AND-OR problem, by the methods that suit its size.

Up to nine players an interior point takes all masked states at once. Above, `splitting` finds in a fraction of a second
roughly which states bind. Where they are few, `row_generation` solves for them exactly; where most bind, all are taken
at once, or, if they are too many to be factorised, the splitting runs on and proves what it reaches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from worker.methods.and_or import interior_point, row_generation
from worker.methods.and_or.interior_point import Watch
from worker.methods.and_or.problem import Solution, SparseProblem, best_of
from worker.methods.and_or.splitting import Splitting

_FEW_PLAYERS = 9  # up to here one factorisation with all 2^n states costs less than what would spare it
_MOST_LISTED = 4096  # all states of 12 players: a matrix of 128 MB, five of which are held at a time
_TOGETHER = 12  # players up to which the tables of a batch start together: a small table's time is that of dispatch
_START = 0.3  # relative gap at which the states that bind are known but for a tenth
_DENSE = 0.6  # share of all states that bind from which on leaving some out costs more rounds than it spares
_STEPS, _STEPS_PLAYERS = 20_000, 16  # of splitting at most; half as many for every player beyond, in the same time


def solve(problem: SparseProblem, *, tolerance: float = 1e-4, watch: Watch | None = None) -> Solution:
    """Find the sparsest logical model to a certified relative gap of `tolerance`; the answer tells what was reached.

    At most 1.3 KB are held for each of 2^n states (1.3 GB for 20 players), and 0.7 GB while 4,096 of them are
    factorised.
    """
    if problem.n <= _FEW_PLAYERS:
        return interior_point.solve(problem, tolerance=tolerance, watch=watch)
    if problem.n <= _TOGETHER:
        return _solve_many(problem, tolerance, watch)
    return _joined([_solve_large(problem.select(one), tolerance, watch) for one in _each(problem)])


def _solve_many(problem: SparseProblem, tolerance: float, watch: Watch | None) -> Solution:
    start = Splitting(problem).run(tolerance=max(_START, tolerance), steps=_STEPS, watch=watch)
    if problem.gains.device.type != "cpu":
        return row_generation.solve(problem, start, tolerance=tolerance, watch=watch)
    # A batch pads every sample to the most states that one of them lists: a CPU has no idle units to spend on that.
    return _joined([_finish(problem.select(one), start.select(one), tolerance, watch) for one in _each(problem)])


def _finish(problem: SparseProblem, start: Solution, tolerance: float, watch: Watch | None) -> Solution:
    """Solve one sample exactly from a rough answer."""
    if float(row_generation.binding(problem, start).double().mean()) > _DENSE:
        return best_of(start, interior_point.solve(problem, tolerance=tolerance, watch=watch))
    return row_generation.solve(problem, start, tolerance=tolerance, watch=watch)


def _solve_large(problem: SparseProblem, tolerance: float, watch: Watch | None) -> Solution:
    """Solve one sample with more states than are ever factorised."""
    splitting, steps = Splitting(problem), _STEPS >> max(0, problem.n - _STEPS_PLAYERS)
    start = splitting.run(tolerance=max(_START, tolerance), steps=steps, watch=watch)
    if int(row_generation.binding(problem, start).sum()) > _MOST_LISTED:
        return splitting.run(tolerance=tolerance, steps=steps, watch=watch)
    best = row_generation.solve(problem, start, tolerance=tolerance, max_states=_MOST_LISTED, watch=watch)
    if float(best.gap) <= tolerance:
        return best
    counted = replace(best, iterations=best.iterations - start.iterations)
    return best_of(counted, splitting.run(tolerance=tolerance, steps=steps, watch=watch))


def _each(problem: SparseProblem) -> Iterable[Tensor]:
    """Index the samples one by one."""
    return torch.arange(len(problem.gains), device=problem.gains.device)[:, None]


def _joined(solutions: Sequence[Solution]) -> Solution:
    return Solution(
        atoms=torch.cat([solution.atoms for solution in solutions]),
        noise=torch.cat([solution.noise for solution in solutions]),
        prices=torch.cat([solution.prices for solution in solutions]),
        objective=torch.cat([solution.objective for solution in solutions]),
        bound=torch.cat([solution.bound for solution in solutions]),
        iterations=sum(solution.iterations for solution in solutions),
    )
