"""Convolutions and batch norms whose double backward computes nothing for the weights.

PyTorch's double backward of these two always computes the mixed derivatives with respect to the weights, also when
they are frozen and nobody asks: more than half of a Hessian row's time. Here the gradient with respect to the input is
written as what it is, a transposed convolution or a multiplication with constant weights, so that its own derivative
is a convolution or a multiplication again. Forward values stay those of PyTorch's own operators, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import batch_norm, conv_transpose2d
from torch.overrides import TorchFunctionMode


class FrozenWeights(TorchFunctionMode):
    """Within this context, frozen `conv2d` and `batch_norm` are differentiated with respect to their input only."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.conv2d and not kwargs and _is_plain_convolution(args):
            return _Convolution.apply(*args)
        if func is batch_norm and _is_frozen_norm(args, kwargs):
            return _Norm.apply(*args[:3], kwargs["weight"], kwargs["bias"], kwargs["eps"])
        return func(*args, **kwargs)


def _is_plain_convolution(args: Sequence[Any]) -> bool:
    """Tell the call that `nn.Conv2d` makes, with frozen weights and paddings in numbers, from all others."""
    if len(args) != 7:
        return False
    _, weight, bias, stride, padding, dilation, _ = args
    return _frozen(weight, bias) and all(isinstance(size, tuple) for size in (stride, padding, dilation))


def _is_frozen_norm(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Tell the call that a `nn.BatchNorm` in eval mode makes from all others."""
    if len(args) != 3 or args[1] is None or kwargs["training"]:
        return False
    return _frozen(kwargs["weight"], kwargs["bias"])


def _frozen(*weights: Tensor | None) -> bool:
    return not any(weight is not None and weight.requires_grad for weight in weights)


Pair = tuple[int, int]


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.sizes = (stride, padding, dilation, groups)
        ctx.shape = x.shape[-2:]
        return torch.conv2d(x, weight, bias, stride, padding, dilation, groups)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.sizes
        (gradient,) = gradients
        # Input pixels at the far border that the stride never reached come back through the output padding.
        reached = [
            (gradient.shape[axis] - 1) * stride[axis]
            - 2 * padding[axis]
            + dilation[axis] * (weight.shape[axis] - 1)
            + 1
            for axis in (-2, -1)
        ]
        rest = [size - covered for size, covered in zip(ctx.shape, reached, strict=True)]
        back = conv_transpose2d(gradient, weight, None, stride, padding, rest, groups, dilation)
        return back, None, None, None, None, None, None


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> Tensor:
        slope = torch.rsqrt(variance + eps) if weight is None else weight * torch.rsqrt(variance + eps)
        ctx.save_for_backward(slope.reshape(-1, *[1] * (x.ndim - 2)))  # (channels, 1, …)
        return batch_norm(x, mean, variance, weight=weight, bias=bias, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (slope,) = ctx.saved_tensors
        return gradients[0] * slope, None, None, None, None, None
