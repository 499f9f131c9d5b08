"""Rectifiers whose slope and curvature are computed once, not again for every Hessian row.

A smooth rectifier is a dozen elementwise operations, and differentiating them twice is a few dozen: most of a Hessian
row's time in a mobile network. But at one input they are constants: going back multiplies by the slope, and going back
through that multiplies by the slope and by the curvature. Both are taken from the rectifier itself, by differentiating
it on its own, so that its formula stands in one place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from worker.models.surgery import SmoothReLU


@contextmanager
def stored_slopes(model: nn.Module) -> Iterator[None]:
    """Within this context, a forward through `model` stores the derivatives of its smooth rectifiers."""
    rectifiers = [module for module in model.modules() if isinstance(module, SmoothReLU)]
    hooks = [rectifier.register_forward_hook(_store) for rectifier in rectifiers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _store(rectifier: nn.Module, inputs: tuple[Tensor, ...], value: Tensor) -> Tensor:
    (z,) = inputs
    alone = z.detach().requires_grad_()
    slope = torch.autograd.grad(rectifier.forward(alone).sum(), alone, create_graph=True)[0]
    curvature = torch.autograd.grad(slope.sum(), alone)[0]
    stored: Tensor = _Elementwise.apply(z, value.detach(), slope.detach(), curvature)
    return stored


class _Elementwise(torch.autograd.Function):
    """An elementwise function with known value, slope and curvature."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, value: Tensor, slope: Tensor, curvature: Tensor) -> Tensor:
        ctx.save_for_backward(z, slope, curvature)
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        z, slope, curvature = ctx.saved_tensors
        (gradient,) = gradients
        if not torch.is_grad_enabled():
            return gradient * slope, None, None, None
        return _TimesSlope.apply(gradient, z, slope, curvature), None, None, None


class _TimesSlope(torch.autograd.Function):
    """gradient * slope(z), which depends on the gradient and, by the curvature, on z."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, z: Tensor, slope: Tensor, curvature: Tensor) -> Tensor:  # noqa: ARG004
        ctx.save_for_backward(slope, gradient * curvature)
        return gradient * slope

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        slope, bend = ctx.saved_tensors
        (gradient,) = gradients
        return gradient * slope, gradient * bend, None, None
