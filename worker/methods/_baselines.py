"""Baselines: the input that stands for absence."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from jobs.errors import FieldError, InvalidParameters

Baseline = Literal["zeros", "black", "mean", "blur"]

BLUR_SHARE = 0.05
"""Standard deviation of the blur as a share of the shorter side: 11 pixels at 224, which leaves colour, not shape."""


def baseline(kind: Baseline, input: Tensor, *, mean: tuple[float, ...] = (), std: tuple[float, ...] = ()) -> Tensor:
    """Return the baseline of one input, shaped like it.

    Args:
        kind: `zeros` in the model's own (normalised) space, so the data set's mean grey; `black` pixels;
            `mean`, the picture's own colour; `blur`, the picture blurred. Features know `zeros` only.
        input: `(channels, height, width)`, normalised; or `(features,)`.
        mean, std: Per channel; `input = (pixels - mean) / std`.

    Raises:
        InvalidParameters: Features with anything but zeros.
    """
    if kind == "zeros":
        return torch.zeros_like(input)
    if input.ndim != 3:
        detail = f"expected baseline zeros for an input of features, got {kind}"
        raise InvalidParameters(detail, errors=[FieldError(pointer="/params/baseline", detail=detail)])
    if kind == "mean":
        return input.mean(dim=(1, 2), keepdim=True).expand_as(input).clone()
    return _black(input, mean=mean, std=std) if kind == "black" else _blurred(input)


def _black(input: Tensor, *, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    channels = -torch.tensor(mean, dtype=torch.float64) / torch.tensor(std, dtype=torch.float64)
    return channels.to(input)[:, None, None].expand_as(input).clone()


def _blurred(input: Tensor) -> Tensor:
    """Blur by a Gaussian, one axis after the other, mirrored at the border."""
    shorter = min(input.shape[1:])
    sigma = BLUR_SHARE * shorter
    # A mirror shows at most the picture's own width.
    radius = min(math.ceil(3 * sigma), shorter - 1)
    offsets = torch.arange(-radius, radius + 1, device=input.device, dtype=input.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    mirrored = pad(input[:, None], (radius, radius, radius, radius), mode="reflect")
    return conv2d(conv2d(mirrored, kernel[None, None, :, None]), kernel[None, None, None, :])[:, 0]
