"""Solve the sparse problem exactly for many players: an interior point on the few masked states that matter.

At the optimum most states lie strictly inside their noise band, and their prices are 0: of a trained network's 4,095
states (n = 12) some 250 bind. So the interior-point method runs with all atoms but few states; the fast transforms
then show which other states leave their band, the worst of them are listed, states well inside are dropped, and the
next run starts warm. Every round's prices are feasible for all atoms, so each proves a lower bound that can only rise;
when no unlisted state is violated, the answer is optimal for all.

This is constraint generation (Dantzig, Fulkerson & Johnson 1954) around the interior-point method.
"""

from __future__ import annotations

import torch
from torch import Tensor

from worker.methods import _transforms as transforms
from worker.methods.and_or import interior_point
from worker.methods.and_or._constraints import Constraints, constraints
from worker.methods.and_or._iterate import cold_start, warm_start
from worker.methods.and_or.interior_point import Outcome, Watch
from worker.methods.and_or.problem import (
    Solution,
    SparseProblem,
    certified,
    excess,
    lower_bound,
    relative_gap,
    repair,
    total,
)

_FIRST_PER_PLAYER = 8  # random states listed at the start, beside those of one player and of all but one
_FEWEST_NEW = 24
_BINDING = 0.8  # of the band: states with less error are dropped
_WARM = 0.3  # relative gap at which the next round starts
_ROUGH = 1e-2  # tolerance while unlisted states are far outside their band and the bound still rises by more
_NEAR = 0.3  # of the band: with less violation than this, rounds are solved to the final tolerance
_RISEN = 1e-3  # relative rise of the bound from which on dropping states cannot go round in circles
_MOST = 0.6  # share of all states from which on they are all listed: dropping would not pay any more


def solve(
    problem: SparseProblem,
    *,
    tolerance: float = 1e-4,
    max_rounds: int = 60,
    max_states: int = 8192,
    max_iterations: int = 100,
    seed: int = 0,
    watch: Watch | None = None,
) -> Solution:
    """Solve to a certified relative gap of `tolerance`, or say how far it came.

    Args:
        max_rounds: Of listing and solving.
        max_states: Listed at once; a round factorises a matrix of this size some ten times. Where more would be
            needed, the answer is what was reached, with its gap.
        seed: Of the first states listed; it changes the time taken, not the optimum.
    """
    listed = _first_states(problem, seed)
    search = _Search(problem)
    for _ in range(max_rounds):
        if bool((search.gaps() <= tolerance).all()) or int(listed.sum(1).max()) > max_states:
            break
        listed = search.round(listed, tolerance, max_iterations, watch)
        if watch is not None:
            watch(search.iterations, float(search.gaps().max()))
    return search.solution()


class _Search:
    """The best answer to every sample so far; only samples without a good enough one take part in a round."""

    def __init__(self, problem: SparseProblem) -> None:
        batch, states = problem.gains.shape
        self.problem = problem
        self.iterations = 0
        self._atoms = repair(problem, problem.gains.new_zeros(batch, 2, states))
        self._objective = total(self._atoms)
        self._prices = torch.zeros_like(problem.gains)
        self._bound = torch.zeros_like(problem.bands)
        self._warm: tuple[Tensor, Tensor] | None = None  # atoms and prices of the last round, not repaired
        self._tolerance = torch.full_like(problem.bands, _ROUGH)
        self._rise = torch.ones_like(problem.bands)  # of the bound in the last round

    def gaps(self) -> Tensor:
        """Relative gaps, `(batch,)`."""
        return relative_gap(self._objective, self._bound)

    def solution(self) -> Solution:
        """Certify the best atoms with the best prices."""
        return certified(self.problem, self._atoms, self._prices, iterations=self.iterations)

    def round(self, listed: Tensor, tolerance: float, max_iterations: int, watch: Watch | None) -> Tensor:
        """Solve the unfinished samples on their listed states; return which states to list next."""
        going = (self.gaps() > tolerance).nonzero()[:, 0]
        system = constraints(self.problem.select(going), listed[going])
        # Below the tolerance asked for: what is repaired afterwards costs something, too.
        tolerances = self._tolerance[going].clamp(min=0.3 * tolerance)
        outcome = self._run(system, going, tolerances, max_iterations, watch)
        self.iterations += outcome.iterations
        atoms, prices = outcome.atoms * system.scale[:, None, None], system.spread(outcome.prices)
        self._record(going, atoms, prices)
        return self._relist(listed, going, atoms, system, outcome)

    def _run(
        self, system: Constraints, going: Tensor, tolerance: Tensor, max_iterations: int, watch: Watch | None
    ) -> Outcome:
        start = cold_start(system)
        if self._warm is not None:
            atoms, prices = self._warm[0][going], self._warm[1][going]
            listed_prices = prices.gather(1, system.states) * system.valid
            start = warm_start(system, atoms / system.scale[:, None, None], listed_prices, distance=_WARM)
        inner = None if watch is None else self._inside(watch)
        return interior_point.run(system, start, tolerance=tolerance, max_iterations=max_iterations, watch=inner)

    def _inside(self, watch: Watch) -> Watch:
        """Watch the steps of a round; its gap is that of the listed states, so what is told is the last round's."""
        before, gap = self.iterations, float(self.gaps().max())
        return lambda iteration, _: watch(before + iteration, gap)

    def _record(self, going: Tensor, atoms: Tensor, prices: Tensor) -> None:
        part = self.problem.select(going)
        feasible = repair(part, atoms)
        objective = total(feasible)
        prices, bound = lower_bound(part, prices)
        self._rise[going] = relative_gap(bound, self._bound[going])
        cheaper, higher = objective < self._objective[going], bound > self._bound[going]
        self._atoms[going[cheaper]], self._objective[going[cheaper]] = feasible[cheaper], objective[cheaper]
        self._prices[going[higher]], self._bound[going[higher]] = prices[higher], bound[higher]
        if self._warm is None:
            self._warm = torch.zeros_like(self._atoms), torch.zeros_like(self._prices)
        self._warm[0][going], self._warm[1][going] = atoms, prices

    def _relist(self, listed: Tensor, going: Tensor, atoms: Tensor, system: Constraints, outcome: Outcome) -> Tensor:
        part = self.problem.select(going)
        violation = excess(part, atoms).abs() / (system.bands * system.scale[:, None])
        violation = torch.where(listed[going], 0.0, violation)
        rise = self._rise[going]
        self._tolerance[going] = _ROUGH * ((violation.amax(1) > _NEAR) & (rise > _ROUGH)).to(violation.dtype)
        binding = (outcome.error.abs() > _BINDING * system.bands) | (rise < _RISEN)[:, None]
        kept = system.spread(binding.to(atoms.dtype)) > 0
        # As many new states as are listed now, but none that is inside its band.
        counts = listed[going].sum(1).clamp(min=_FEWEST_NEW)
        ranks = violation.argsort(dim=1, descending=True).argsort(dim=1)
        kept |= (ranks < counts[:, None]) & (violation > 0)
        full = kept.sum(1) > _MOST * listed.shape[1]
        kept[full] = part.state_mask()
        following = torch.zeros_like(listed)
        following[going] = kept
        return following


def _first_states(problem: SparseProblem, seed: int) -> Tensor:
    """List the states of one player, of all but one, of all, and some random ones: `(batch, 2^n)` bool."""
    n, device = problem.n, problem.gains.device
    orders = transforms.orders(n, device=device)
    listed = (orders == 1) | (orders >= n - 1)
    generator = torch.Generator().manual_seed(seed)
    random = torch.randint(2**n, (_FIRST_PER_PLAYER * n,), generator=generator)
    listed[random.to(device)] = True
    listed &= problem.state_mask()
    return listed.repeat(len(problem.gains), 1)
