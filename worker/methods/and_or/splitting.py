"""A first-order solver for the sparse AND-OR problem: batched, certified, and light on memory.

An OR atom is an AND atom of absence: with `q(T) = u_OR(N∖T)` the OR interactions are `-Möbius(q)`, so that both halves
of Eq. 12 are alike,

    minimise  Σ |Möbius(a)(S)| + |Möbius(q)(S)|   subject to   |a(T) + q(N∖T) - v(T)| ≤ ζ.

Douglas-Rachford splitting (ADMM) alternates between what is separable, shrinking the atoms and moving the values into
their band, and what couples them, `atoms = Möbius(values)`. The Möbius transform's Gram matrix is the Kronecker power
of a 2x2 matrix, so in that matrix's eigenbasis the coupling is a division. A step is eight transforms, however many
states bind; some thousand steps prove a gap of a few per cent where a factorisation would not fit.

Source: Eckstein & Bertsekas 1992 (with over-relaxation).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from worker.methods import _transforms as transforms
from worker.methods._transforms import Factor
from worker.methods.and_or.interior_point import Watch
from worker.methods.and_or.problem import Solution, SparseProblem, best_of, certified

_ATOM_WEIGHT = 100.0  # of the quadratic terms, at gains of size 1: more favours the objective,
_VALUE_WEIGHT = 5.0  # less the bound
_SHARE = _VALUE_WEIGHT / _ATOM_WEIGHT
_RELAXATION = 1.7
_PROOF_EVERY = 250  # steps; a proof costs as much as two
_WATCH_EVERY = 10
_SINGLE_UNTIL = 0.05  # relative gap; beyond it the rounding of single precision would show on 2^(n+1) atoms


class Splitting:
    """The iteration on one problem, which can be run on to a finer tolerance.

    Attributes:
        solution: The best answer and the best bound proved so far.
    """

    def __init__(self, problem: SparseProblem) -> None:
        self._problem = problem
        largest = problem.gains.abs().amax(1)
        self._scale = torch.where(largest > 0, largest, 1.0)
        batch, states = problem.gains.shape
        # (batch, atoms and values, AND and OR, 2^n); the OR half is that of absence.
        self._point = problem.gains.new_zeros(batch, 2, 2, states, dtype=torch.float32)
        self._step = 0
        self.solution = certified(problem, problem.gains.new_zeros(batch, 2, states), 0 * problem.gains, iterations=0)

    def run(self, *, tolerance: float, steps: int, watch: Watch | None = None) -> Solution:
        """Step until every relative gap is at most `tolerance`, or until `steps` were made in all."""
        halves = self._halves()
        while self._step < steps and bool((self.solution.gap > tolerance).any()):
            settled = halves.settle(self._point)
            self._point += _RELAXATION * (halves.couple(2 * settled - self._point) - settled)
            self._step += 1
            if self._step % _PROOF_EVERY == 0 or self._step == steps:
                self._prove(halves.settle(self._point))
                halves = self._halves()
            if watch is not None and self._step % _WATCH_EVERY == 0:
                watch(self._step, float(self.solution.gap.max()))
        return self.solution

    def _halves(self) -> _Halves:
        if bool((self.solution.gap <= _SINGLE_UNTIL).all()):
            self._point = self._point.double()
        return _Halves(self._problem, self._scale, self._point.dtype)

    def _prove(self, settled: Tensor) -> None:
        """Certify the values, which are inside their band, and the prices that push them there."""
        pushes = (settled - self._point)[:, 1].double()
        prices = _VALUE_WEIGHT * (pushes[:, 0] + pushes[:, 1].flip(-1)) / 2
        prices[:, 0] = _shrink(prices[:, 0], 1.0)  # up to 1 is the constant's own resistance, not its band's
        atoms = _atoms(settled[:, 1].double()) * self._scale[:, None, None]
        proved = certified(self._problem, atoms, prices, iterations=0)
        self.solution = replace(best_of(self.solution, proved), iterations=self._step)


class _Halves:
    """The two halves of a step, in one precision."""

    def __init__(self, problem: SparseProblem, scale: Tensor, dtype: torch.dtype) -> None:
        self._gains = (problem.gains / scale[:, None]).to(dtype)
        self._bands = ((problem.bands / scale)[:, None] * problem.state_mask()).to(dtype)
        mobius = torch.tensor(((1, 0), (-1, 1)), dtype=torch.float64)
        eigenvalues, basis = torch.linalg.eigh(mobius.T @ mobius)
        image = mobius @ basis / eigenvalues.sqrt()  # orthogonal: basis and image are the singular vectors
        self._to_values, self._from_values = _factor(basis), _factor(basis.T)
        self._to_atoms, self._from_atoms = _factor(image), _factor(image.T)
        lengths = torch.ones(1, dtype=torch.float64)
        for _ in range(problem.n):
            lengths = torch.cat([lengths * eigenvalues[0], lengths * eigenvalues[1]])
        self._lengths = lengths.sqrt().to(scale.device, dtype)
        self._divisor = (lengths + _SHARE).to(scale.device, dtype)

    def settle(self, point: Tensor) -> Tensor:
        """Shrink the atoms, but for the empty ones, and move the values into their band, each half as far."""
        atoms, values = point[:, 0], point[:, 1]
        shrunk = _shrink(atoms, 1 / _ATOM_WEIGHT)
        shrunk[..., 0] = atoms[..., 0]
        error = values[:, 0] + values[:, 1].flip(-1) - self._gains
        inside = error.clone()
        inside[:, 0] = _shrink(error[:, 0], 2 / _VALUE_WEIGHT)  # the constant is penalised where it is not fixed
        move = (inside.clamp(-self._bands, self._bands) - error) / 2
        return torch.stack([shrunk, values + torch.stack([move, move.flip(-1)], dim=1)], dim=1)

    def couple(self, point: Tensor) -> Tensor:
        """Project on `atoms = Möbius(values)`, in the norm that weighs values `_SHARE` as much as atoms."""
        atoms = transforms.kronecker_power(point[:, 0], self._from_atoms) * self._lengths
        values = transforms.kronecker_power(point[:, 1], self._from_values) * _SHARE
        both = (atoms + values) / self._divisor
        coupled = transforms.kronecker_power(both * self._lengths, self._to_atoms)
        return torch.stack([coupled, transforms.kronecker_power(both, self._to_values)], dim=1)


def _shrink(numbers: Tensor, by: float) -> Tensor:
    return numbers - numbers.clamp(-by, by)


def _atoms(values: Tensor) -> Tensor:
    """Transform `a` and `q`, `(batch, 2, 2^n)`, to AND and OR atoms; `a(∅) + q(N)` is the constant."""
    dividends = transforms.mobius(values)
    conjunctions, disjunctions = dividends[:, 0], -dividends[:, 1]
    conjunctions[:, 0], disjunctions[:, 0] = values[:, 0, 0] + values[:, 1, -1], 0
    return torch.stack([conjunctions, disjunctions], dim=1)


def _factor(matrix: Tensor) -> Factor:
    (one, two), (three, four) = matrix.tolist()
    return (one, two), (three, four)
