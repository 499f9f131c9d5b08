"""A structured interior-point method for the sparse AND-OR problem, batched over samples, with certificates.

Mehrotra's predictor and corrector with Gondzio's further corrections, on the linear programme of `problem`. The
unknowns of a step are the prices of the listed states; prices stay feasible for all atoms throughout, so every iterate
proves a lower bound. Samples that have converged leave the batch.

Sources: Mehrotra 1992; Gondzio 1996 (multiple centrality corrections).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.methods.and_or._constraints import Constraints, constraints
from worker.methods.and_or._iterate import Iterate, Products, choose, cold_start, pair_count
from worker.methods.and_or._newton import NormalEquations
from worker.methods.and_or.problem import Solution, SparseProblem, certified

_CORRECTORS = 3  # each costs two triangular solves and spares about a tenth of the factorisations
_REACH = 0.3  # how much longer a step a corrector aims at
_WORTHWHILE = 0.02  # gain in primal plus dual step length below which correctors stop
_CENTRED = (0.1, 10.0)  # products this far from their target, as factors, are left alone
_CAUTIOUS, _BOLD = 0.9, 0.99  # shares of the longest step, in the first three steps and later
_PATIENCE = 8  # steps without a better gap after which a sample is given up

Watch = Callable[[int, float], None]
"""`watch(iteration, worst relative gap)`: progress; raises when the job was canceled."""


@dataclass(frozen=True)
class Outcome:
    """Where an interior-point run ended: scaled as its constraints, padded as they are."""

    atoms: Tensor  # (batch, 2, 2^n)
    prices: Tensor  # (batch, states)
    error: Tensor  # (batch, states)
    iterations: int


def solve(
    problem: SparseProblem, *, tolerance: float = 1e-4, max_iterations: int = 100, watch: Watch | None = None
) -> Solution:
    """Solve with every masked state listed: O(8^n) arithmetic and 4^n numbers of memory a step.

    Args:
        tolerance: Of the relative gap between objective and bound.
    """
    system = constraints(problem, problem.state_mask().expand(len(problem.gains), -1))
    # Half the tolerance: repairing the last rounding errors may cost a little.
    outcome = run(system, cold_start(system), tolerance=tolerance / 2, max_iterations=max_iterations, watch=watch)
    atoms = outcome.atoms * system.scale[:, None, None]
    return certified(problem, atoms, system.spread(outcome.prices), iterations=outcome.iterations)


def run(
    system: Constraints, start: Iterate, *, tolerance: Tensor | float, max_iterations: int, watch: Watch | None = None
) -> Outcome:
    """Iterate until every sample's relative gap and its violation, in units of the band, are below `tolerance`.

    `tolerance` is one number, or one a sample. Stops earlier where rounding ends the progress; the best point of
    every sample is returned.
    """
    best = _Best(start)
    goals = torch.as_tensor(tolerance, dtype=best.gaps.dtype, device=best.gaps.device).expand_as(best.gaps)
    samples, point, iteration = torch.arange(len(best.gaps), device=best.gaps.device), start, 0
    while True:
        gaps = _worst_gap(system, point)
        best.record(samples, point, gaps, iteration)
        if watch is not None:
            watch(iteration, float(best.gaps.max()))
        going = (gaps > goals[samples]) & (iteration - best.since[samples] < _PATIENCE)
        if iteration == max_iterations or not bool(going.any()):
            return best.outcome(iteration)
        if not bool(going.all()):
            samples, system, point = samples[going], system.select(going), point.select(going)
        try:
            point = _step(system, point, _CAUTIOUS if iteration < 3 else _BOLD)
        except ArithmeticError:  # At gaps of some 1e-9 the matrix is singular to rounding: this is as far as it goes.
            return best.outcome(iteration)
        iteration += 1


class _Best:
    """The best point of every sample so far, and the iteration since when it is the best."""

    def __init__(self, start: Iterate) -> None:
        self._atoms, self._prices, self._error = start.atoms.clone(), start.prices.clone(), start.error.clone()
        self.gaps = torch.full_like(start.prices[:, 0], torch.inf)
        self.since = torch.zeros_like(self.gaps, dtype=torch.int64)

    def record(self, samples: Tensor, point: Iterate, gaps: Tensor, iteration: int) -> None:
        better = gaps < self.gaps[samples]
        kept = samples[better]
        self.gaps[kept], self.since[kept] = gaps[better], iteration
        self._atoms[kept], self._prices[kept] = point.atoms[better], point.prices[better]
        self._error[kept] = point.error[better]

    def outcome(self, iterations: int) -> Outcome:
        return Outcome(self._atoms, self._prices, self._error, iterations)


def _worst_gap(system: Constraints, point: Iterate) -> Tensor:
    """The larger of the relative gap and the violation over the band, `(batch,)`; 0 where `h = b` is within it."""
    primal = point.atoms.abs().sum((1, 2))
    promised = (system.gains * point.prices).sum(1) - (system.bands * point.prices.abs()).sum(1)
    gap = (primal - promised).abs() / primal.clamp(min=torch.finfo(primal.dtype).tiny)
    violation = (_shortfall(system, point).abs() / system.bands).amax(1)
    trivial = (system.gains.abs() <= system.bands).all(1)
    return torch.where(trivial, torch.zeros_like(gap), torch.maximum(gap, violation))


def _shortfall(system: Constraints, point: Iterate) -> Tensor:
    return (system.gains - system.values(point.atoms) + point.error) * system.valid + point.error * (1 - system.valid)


def _step(system: Constraints, point: Iterate, share: float) -> Iterate:
    """Take one predictor-corrector step."""
    newton = _Newton(system, point)
    products = point.products(system.bands)
    mean = _mean(system, products)
    affine = newton.direction(tuple(-product for product in products))  # type: ignore[arg-type]
    ahead = point.moved(affine, *point.longest_steps(affine, system.bands)).products(system.bands)
    target = mean * (_mean(system, ahead) / mean) ** 3
    wanted = _second_order(system, products, affine, target)
    direction = newton.direction(wanted)
    direction, primal, dual = _recentred(system, point, newton, direction, wanted, target)
    return point.moved(direction, share * primal, share * dual)


def _second_order(system: Constraints, products: Products, affine: Iterate, target: Tensor) -> Products:
    """Aim every product at `target`, taking off the predictor's own second-order term (Mehrotra)."""
    wide, narrow = target[:, None, None], target[:, None]
    return (
        (wide - products[0] + affine.up * affine.earned) * system.atom_mask,
        (wide - products[1] - affine.down * affine.earned) * system.atom_mask,
        narrow - products[2] + affine.high * affine.error,
        narrow - products[3] - affine.low * affine.error,
    )


def _recentred(
    system: Constraints, point: Iterate, newton: _Newton, direction: Iterate, wanted: Products, target: Tensor
) -> tuple[Iterate, Tensor, Tensor]:
    """Bend the direction, sample by sample, while that lengthens the step (Gondzio)."""
    primal, dual = point.longest_steps(direction, system.bands)
    for _ in range(_CORRECTORS):
        ahead = point.moved(direction, (primal + _REACH).clamp(max=1), (dual + _REACH).clamp(max=1))
        bent_wanted = _pull_outliers(system, wanted, ahead.products(system.bands), target)
        bent = newton.direction(bent_wanted)
        bent_primal, bent_dual = point.longest_steps(bent, system.bands)
        better = bent_primal + bent_dual >= primal + dual + _WORTHWHILE
        if not bool(better.any()):
            break
        direction, wanted = choose(better, bent, direction), bent_wanted
        primal, dual = torch.where(better, bent_primal, primal), torch.where(better, bent_dual, dual)
    return direction, primal, dual


def _pull_outliers(system: Constraints, wanted: Products, ahead: Products, target: Tensor) -> Products:
    def pulled(want: Tensor, product: Tensor) -> Tensor:
        goal = target.view(-1, *(1,) * (product.ndim - 1))
        low, high = (factor * goal for factor in _CENTRED)
        return want + torch.maximum(product.clamp(low, high) - product, -high)

    one, two, three, four = (pulled(want, product) for want, product in zip(wanted, ahead, strict=True))
    return one * system.atom_mask, two * system.atom_mask, three, four


def _mean(system: Constraints, products: Products) -> Tensor:
    total = torch.stack([product.flatten(1).sum(1) for product in products]).sum(0)
    return total / pair_count(system)


class _Newton:
    """The linearised optimality conditions at a point, eliminated down to the prices and factorised."""

    def __init__(self, system: Constraints, point: Iterate) -> None:
        self._system, self._point = system, point
        self._slacks = rise, fall, above, below = point.slacks(system.bands)
        self._up, self._down = point.up / rise, point.down / fall
        self._high, self._low = point.high / above, point.low / below
        self._give = 1 / (self._high + self._low)  # how far a state's error moves per unit of price
        self._shortfall = _shortfall(system, point)
        self._normal = NormalEquations(system.normal_matrix(self._up + self._down, self._give))

    def direction(self, wanted: Products) -> Iterate:
        """Find the direction that changes the four products by `wanted`, to first order, and removes the shortfall."""
        up, down, high, low = (want / slack for want, slack in zip(wanted, self._slacks, strict=True))
        right = self._shortfall - self._system.values(up - down) + self._give * (low - high)
        prices = self._normal.solve(right)
        earned = self._system.correlations(prices)
        error = self._give * (low - high - prices)
        return Iterate(
            up=up + self._up * earned,
            down=down - self._down * earned,
            error=error,
            prices=prices,
            earned=earned,
            high=high + self._high * error,
            low=low - self._low * error,
        )
