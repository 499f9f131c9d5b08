"""Disturbances that put what does not generalize into a network or an input: weight noise and FGSM (Section 2.2.2).

The paper gives its σ of weight noise without a scale. Here it is relative to each weight tensor's root mean square, so
that it means the same in every layer; noise of another σ has the same direction, only another size.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from jobs.errors import UnsupportedModel
from jobs.schemas import Target
from worker.methods._registry import Subject
from worker.methods._values import value_function


@torch.no_grad()
def noisy(model: nn.Module, size: float, *, seed: int) -> nn.Module:
    """Return a copy of the network with Gaussian noise on every weight tensor, `size` times its root mean square."""
    generator = torch.Generator().manual_seed(seed)
    disturbed = copy.deepcopy(model)
    for weight in disturbed.parameters():
        noise = torch.randn(weight.shape, generator=generator, dtype=weight.dtype).to(weight)
        weight.add_(size * weight.square().mean().sqrt() * noise)
    return disturbed


def against(subject: Subject, target: Target) -> Tensor:
    """Return the direction of a fast gradient step against the target: entries -1, 0 and 1, shaped like the input.

    The sign of the gradient of the cross-entropy, which is that of the log-odds turned round, and does not vanish
    where the network is sure.

    Raises:
        UnsupportedModel: The network has no gradient.
    """
    value = value_function("log-odds", target)
    with torch.enable_grad():
        input = subject.input.detach().clone().requires_grad_()
        found = value(subject.model(input[None]))
        if not found.requires_grad:
            raise UnsupportedModel("expected a network with a gradient for FGSM, got one without")
        (slope,) = torch.autograd.grad(found.sum(), input)
    return -slope.sign()


def stepped(subject: Subject, direction: Tensor, size: float) -> Tensor:
    """Return the input after a step of `size` in every feature, or in every pixel, which stays in [0, 1]."""
    if not subject.std:
        return subject.input + size * direction
    mean, std = (
        torch.tensor(values, dtype=torch.float64)[:, None, None].to(subject.input)
        for values in (subject.mean, subject.std)
    )
    pixels = (subject.input * std + mean + size * direction).clamp(0, 1)
    return (pixels - mean) / std
