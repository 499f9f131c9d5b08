"""The sparse problem as the published research code treats it, to compare with.

Gradient descent with momentum on the split γ and the noise δ of Eq. 12, from zero, along the subgradient of the
absolute values, in single precision, with a step size that shrinks tenfold on a logarithmic scale. It has no test of
convergence and proves nothing: its bound is 0. The arithmetic is done by the fast transforms, which changes the time
and not the iterates; the answer is put back into its band and certified like every other.
"""

from __future__ import annotations

import torch
from torch import Tensor

from worker.methods import _transforms as transforms
from worker.methods.and_or.interior_point import Watch
from worker.methods.and_or.problem import Solution, SparseProblem, certified, decompose

_MOMENTUM = 0.9
_SHRINKS = 10.0
_TOLD_EVERY = 100


def solve(
    problem: SparseProblem,
    *,
    steps: int = 10_000,
    learning_rate: float = 1e-5,
    dtype: torch.dtype = torch.float32,
    watch: Watch | None = None,
) -> Solution:
    """Run the published recipe.

    Args:
        learning_rate: Of the first step; the best one differs by a factor of 100 between tables.
    """
    gains, bands = problem.gains.to(dtype), (problem.bands[:, None] * problem.state_mask()).to(dtype)
    split, noise = torch.zeros_like(gains), torch.zeros_like(gains)
    split_speed, noise_speed = torch.zeros_like(gains), torch.zeros_like(gains)
    for step in range(steps):
        rate = learning_rate * _SHRINKS ** (-step / steps)
        noise = noise.clamp(-bands, bands)  # before the step, as published: the last noise may stick out
        by_and, by_or = _subgradients(gains, split, noise)
        split_speed = _MOMENTUM * split_speed + by_and - by_or
        noise_speed = _MOMENTUM * noise_speed - (by_and + by_or) / 2
        split, noise = split - rate * split_speed, noise - rate * noise_speed
        if watch is not None and step % _TOLD_EVERY == 0:
            watch(step, 1.0)
    return _answer(problem, split, noise, steps)


def _subgradients(gains: Tensor, split: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Differentiate the total strength by what AND and by what OR has to explain."""
    half = (gains - noise) / 2
    conjunctions, disjunctions = transforms.mobius(half + split), transforms.or_mobius(half - split)
    return transforms.mobius_adjoint(conjunctions.sign()), transforms.or_mobius_adjoint(disjunctions.sign())


def _answer(problem: SparseProblem, split: Tensor, noise: Tensor, steps: int) -> Solution:
    bands = problem.bands[:, None] * problem.state_mask()
    kept_noise = noise.to(problem.gains.dtype).clamp(-bands, bands)
    atoms = decompose(problem.gains - kept_noise, split.to(problem.gains.dtype))
    return certified(problem, atoms, torch.zeros_like(problem.gains), iterations=steps)
