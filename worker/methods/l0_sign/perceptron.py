"""One hidden layer on thousands of short columns, the shape that pairs of features come in.

With a column for each pair, and weight gradients multiplied shorter matrix first, 20,000 pairs go forward and back in
two thirds of the time that they take with a row for each: tall matrices are what matrix multiplication is slowest at.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Perceptron(nn.Module):
    """One hidden layer of rectified units."""

    def __init__(self, into: int, hidden: int, out: int, generator: torch.Generator) -> None:
        super().__init__()
        self.inner = Affine(into, hidden, generator)
        self.outer = Affine(hidden, out, generator)

    def activations(self, x: Tensor) -> Tensor:
        """Return the hidden layer, `(hidden, n)`, for `x`, `(into, n)`."""
        return torch.relu(self.inner.of(x))


class Affine(nn.Module):
    """W x + b on columns, uniform within ±1/√fan-in at first; drawn from a generator, which `nn.Linear` cannot take."""

    def __init__(self, into: int, out: int, generator: torch.Generator) -> None:
        super().__init__()
        bound = into**-0.5
        self.weight = nn.Parameter((2 * torch.rand(out, into, generator=generator) - 1) * bound)
        self.bias = nn.Parameter((2 * torch.rand(out, generator=generator) - 1) * bound)

    def of(self, x: Tensor) -> Tensor:
        """Return `(out, n)` for `x`, `(into, n)`."""
        result: Tensor = _OnColumns.apply(x, self.weight, self.bias)
        return result


class _OnColumns(torch.autograd.Function):
    """W x + b, once differentiable."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.addmm(bias[:, None], weight, x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        of_weight = gradient @ x.T if len(gradient) <= len(x) else (x @ gradient.T).T
        return weight.T @ gradient, of_weight, gradient.sum(1)
