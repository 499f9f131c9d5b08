"""How many rows survive an untargeted attack: projected gradient ascent on the loss within a box around the input.

A row counts as lost as soon as any point on the way is misclassified, and a row that a small box loses is lost in
every larger one: accuracy never rises with epsilon.

Source: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", https://arxiv.org/abs/1706.06083
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


@dataclass(frozen=True, kw_only=True)
class Box:
    """Where an attack may go.

    Attributes:
        unit: Broadcastable to an input: what an epsilon of 1 is there; 0 where nothing may change.
        low, high: Likewise: bounds of every input, such as black and white.
    """

    unit: Tensor
    low: Tensor
    high: Tensor


def survivors(
    network: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    epsilons: Sequence[float],
    box: Box,
    steps: int,
    step: float | None,
    generator: torch.Generator,
) -> Iterator[tuple[float, Tensor]]:
    """Yield every epsilon, rising, with the rows that are still classified right: `(rows,)` bool. First comes 0.

    Args:
        network: In eval mode.
        step: In units of `box`; default: 2.5 epsilon / steps.
    """
    right = _right(network, inputs, targets)
    yield 0.0, right.clone()
    for epsilon in sorted(epsilons):
        # Drawn for lost rows too, so that the others start where they do with any other network.
        start = 2 * torch.rand(inputs.shape, generator=generator).to(inputs) - 1
        alive = right.nonzero()[:, 0]
        if len(alive):
            size = 2.5 * epsilon / steps if step is None else step
            right[alive] = _attacked(network, inputs[alive], targets[alive], start[alive], epsilon, box, steps, size)
        yield epsilon, right.clone()


def _attacked(
    network: nn.Module, inputs: Tensor, targets: Tensor, start: Tensor, epsilon: float, box: Box, steps: int,
    size: float,
) -> Tensor:  # fmt: skip
    """Return which rows withstand the attack that begins at `start`, in -1 to 1 of epsilon: `(rows,)` bool."""
    low = torch.maximum(inputs - epsilon * box.unit, box.low)
    high = torch.minimum(inputs + epsilon * box.unit, box.high)
    moved = (inputs + epsilon * box.unit * start).clamp(low, high)
    right = torch.ones(len(inputs), dtype=torch.bool, device=inputs.device)
    for _ in range(steps):
        logits, slope = _slope(network, moved, targets)
        right &= logits.argmax(1) == targets
        moved = (moved + size * box.unit * slope.sign()).clamp(low, high)
    return right & _right(network, moved, targets)


@torch.enable_grad()
def _slope(network: nn.Module, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    leaf = inputs.detach().requires_grad_()
    logits = network(leaf)
    (slope,) = torch.autograd.grad(cross_entropy(logits, targets, reduction="sum"), leaf)
    return logits.detach(), slope


@torch.no_grad()
def _right(network: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    right: Tensor = network(inputs).argmax(1) == targets
    return right
