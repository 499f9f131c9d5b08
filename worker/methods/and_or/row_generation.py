"""Solve the sparse problem exactly for many players: an interior point on the few masked states that matter.

At the optimum most states lie strictly inside their noise band, and their prices are 0: of a trained network's 4,095
states (n = 12) some 250 bind. So the interior-point method runs with all atoms but few states, at first those that a
rough answer pushes against their band; the fast transforms then show which other states leave theirs, the worst of them
are listed, states well inside are dropped, and the next run starts warm. Every round's prices are feasible for all
atoms, so each proves a lower bound; when no unlisted state is violated, the answer is optimal for all.

This is constraint generation (Dantzig, Fulkerson & Johnson 1954) around the interior-point method.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from worker.methods.and_or import interior_point
from worker.methods.and_or._constraints import Constraints, constraints
from worker.methods.and_or._iterate import Iterate, warm_start
from worker.methods.and_or.interior_point import Outcome, Watch
from worker.methods.and_or.problem import Solution, SparseProblem, best_of, certified, excess, relative_gap

_FEWEST_NEW = 24
_BINDING = 0.8  # of the band: states with less error are dropped
_WARM = 0.3  # relative gap at which the next round starts
_ROUGH = 1e-2  # tolerance while unlisted states are far outside their band and the bound still rises by more
_NEAR = 0.3  # of the band: with less violation than this, rounds are solved to the final tolerance
_RISEN = 1e-3  # relative rise of the bound from which on dropping states cannot go round in circles
_MOST = 0.9  # share of all states from which on they are all listed: dropping would not pay any more


def binding(problem: SparseProblem, solution: Solution) -> Tensor:
    """Mark the states that an answer brings close to the wall of their band: `(batch, 2^n)` bool."""
    return (solution.noise.abs() >= _BINDING * problem.bands[:, None]) & problem.state_mask()


def solve(
    problem: SparseProblem,
    start: Solution,
    *,
    tolerance: float = 1e-4,
    max_rounds: int = 60,
    max_states: int = 8192,
    max_iterations: int = 100,
    watch: Watch | None = None,
) -> Solution:
    """Improve `start` to a certified relative gap of `tolerance`, or say how far it came.

    Args:
        max_rounds: Of listing and solving.
        max_states: Listed at once; a round factorises a matrix of this size some ten times. Where more would be
            needed, the answer is what was reached, with its gap.
    """
    search = _Search(problem, start, binding(problem, start))
    for _ in range(max_rounds):
        if bool((search.best.gap <= tolerance).all()) or int(search.listed.sum(1).max()) > max_states:
            break
        search.round(tolerance, max_iterations, watch)
    return search.best


class _Search:
    """The best answer to every sample so far; only samples without a good enough one take part in a round."""

    def __init__(self, problem: SparseProblem, start: Solution, listed: Tensor) -> None:
        self.problem, self.best, self.listed = problem, start, listed
        self._atoms, self._prices = start.atoms.clone(), start.prices.clone()  # of the last round, not repaired
        self._tolerance = torch.full_like(problem.bands, _ROUGH)

    def round(self, tolerance: float, max_iterations: int, watch: Watch | None) -> None:
        """Solve the unfinished samples on their listed states, and list others."""
        going = (self.best.gap > tolerance).nonzero()[:, 0]
        part = self.problem.select(going)
        system = constraints(part, self.listed[going])
        # Below the tolerance asked for: what is repaired afterwards costs something, too.
        tolerances = self._tolerance[going].clamp(min=0.3 * tolerance)
        start = self._warm(system, going)
        inner = None if watch is None else self._inside(watch)
        outcome = interior_point.run(system, start, tolerance=tolerances, max_iterations=max_iterations, watch=inner)
        atoms, prices = outcome.atoms * system.scale[:, None, None], system.spread(outcome.prices)
        self._atoms[going], self._prices[going] = atoms, prices
        rise = self._record(going, certified(part, atoms, prices, iterations=outcome.iterations))
        self._relist(going, part, system, outcome, rise)

    def _warm(self, system: Constraints, going: Tensor) -> Iterate:
        atoms = self._atoms[going] / system.scale[:, None, None]
        prices = self._prices[going].gather(1, system.states) * system.valid
        return warm_start(system, atoms, prices, distance=_WARM)

    def _inside(self, watch: Watch) -> Watch:
        """Watch the steps of a round; its gap is that of the listed states, so what is told is the last round's."""
        before, gap = self.best.iterations, float(self.best.gap.max())
        return lambda iteration, _: watch(before + iteration, gap)

    def _record(self, going: Tensor, found: Solution) -> Tensor:
        """Keep what is better; return how much the bounds rose, `(batch,)`."""
        before = self.best.select(going)
        better = best_of(before, found)
        self.best = replace(self.best.updated(going, better), iterations=better.iterations)
        return relative_gap(found.bound, before.bound)

    def _relist(self, going: Tensor, part: SparseProblem, system: Constraints, outcome: Outcome, rise: Tensor) -> None:
        listed = self.listed[going]
        violation = excess(part, self._atoms[going]).abs() / (system.bands * system.scale[:, None])
        violation = torch.where(listed, 0.0, violation)
        self._tolerance[going] = _ROUGH * ((violation.amax(1) > _NEAR) & (rise > _ROUGH)).to(violation.dtype)
        kept = (outcome.error.abs() > _BINDING * system.bands) | (rise < _RISEN)[:, None]
        following = system.spread(kept.to(violation.dtype)) > 0
        # As many new states as are listed now, but none that is inside its band.
        counts = listed.sum(1).clamp(min=_FEWEST_NEW)
        ranks = violation.argsort(dim=1, descending=True).argsort(dim=1)
        following |= (ranks < counts[:, None]) & (violation > 0)
        full = following.sum(1) > _MOST * listed.shape[1]
        following[full] = part.state_mask()
        self.listed[going] = following
