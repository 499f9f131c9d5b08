"""Solve the normal equations of an interior-point step: dense Cholesky, mended by conjugate gradients.

Near the optimum the weights spread over twelve decades and the factor alone is too inexact: without the corrections
the iteration stalls at a relative gap of some 1e-5.
"""

from __future__ import annotations

import torch
from torch import Tensor

_JITTERS = (1e-14, 1e-12, 1e-10, 1e-8, 1e-6)  # on a unit diagonal; the smallest that factorises is used
_CORRECTIONS = 4
_ENOUGH = 1e-10  # relative residual: steps are cut to 99 % anyway


class NormalEquations:
    """A factorised symmetric positive definite system per sample.

    Args:
        matrix: `(batch, states, states)`; kept, and overwritten by its scaled form.

    Raises:
        ArithmeticError: No jitter made it positive definite, as with values that are no numbers.
    """

    def __init__(self, matrix: Tensor) -> None:
        self._scaling = matrix.diagonal(dim1=1, dim2=2).rsqrt()
        self._matrix = matrix.mul_(self._scaling[:, :, None]).mul_(self._scaling[:, None, :])
        self._factor = _factorise(self._matrix)

    def solve(self, right: Tensor) -> Tensor:
        """Solve for `(batch, states)`."""
        right = right * self._scaling
        solution = self._precondition(right)
        residual = right - self._apply(solution)
        enough = _ENOUGH * right.norm(dim=1)
        direction, previous = torch.zeros_like(right), torch.ones_like(enough)
        for _ in range(_CORRECTIONS):
            if bool((residual.norm(dim=1) <= enough).all()):
                break
            smooth = self._precondition(residual)
            strength = (residual * smooth).sum(1)
            direction = smooth + _ratio(strength, previous)[:, None] * direction
            image = self._apply(direction)
            length = _ratio(strength, (direction * image).sum(1))[:, None]
            solution, residual, previous = solution + length * direction, residual - length * image, strength
        return solution * self._scaling

    def _apply(self, vector: Tensor) -> Tensor:
        return (self._matrix @ vector[:, :, None])[:, :, 0]

    def _precondition(self, vector: Tensor) -> Tensor:
        return torch.cholesky_solve(vector[:, :, None], self._factor)[:, :, 0]


def _factorise(matrix: Tensor) -> Tensor:
    added = 0.0
    for jitter in _JITTERS:
        matrix.diagonal(dim1=1, dim2=2).add_(jitter - added)
        added = jitter
        factor: Tensor
        factor, failed = torch.linalg.cholesky_ex(matrix)
        if not bool(failed.any()):
            # The system to be solved is the one without jitter; conjugate gradients make up for the difference.
            matrix.diagonal(dim1=1, dim2=2).sub_(jitter)
            return factor
    raise ArithmeticError(f"expected a positive definite normal matrix, got none with a jitter of {added}")


def _ratio(top: Tensor, bottom: Tensor) -> Tensor:
    """Divide; 0 where a sample has nothing left to correct."""
    return torch.where(bottom > 0, top / bottom.clamp(min=torch.finfo(bottom.dtype).tiny), 0.0)
