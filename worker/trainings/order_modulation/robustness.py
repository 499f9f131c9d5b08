"""Accuracy when inputs are attacked or partly masked, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import sqrt

import torch
from torch import Tensor, nn

from jobs.modulation import Attack, Masked, Share
from jobs.schemas import Manifest
from worker.trainings.order_modulation import occlusion
from worker.trainings.order_modulation.attack import Box, survivors
from worker.trainings.order_modulation.params import OrderModulationParams
from worker.trainings.order_modulation.players import Seating

PIXEL_EPSILONS = (1 / 255, 2 / 255, 4 / 255, 8 / 255)
COLUMN_EPSILONS = (0.1, 0.2, 0.4, 0.6)
_Z = 1.959964
"""Of a two-sided interval of 95 %."""

Batches = Sequence[tuple[Tensor, Tensor]]
"""Inputs and labels, in parts that go through a network at once."""

Tell = Callable[[str, int, int], None]
"""Progress; may raise to cancel."""


def share_of(right: Tensor) -> Share:
    """Return the share of True with Wilson's interval, which stays within 0 and 1."""
    n, p = len(right), float(right.double().mean())
    middle, half = p + _Z**2 / (2 * n), _Z * sqrt(p * (1 - p) / n + _Z**2 / (4 * n * n))
    scale = 1 + _Z**2 / n
    # At 0 and 1 the bound is the share itself, which rounding may miss by a digit.
    return Share(value=p, low=min(p, max(0.0, (middle - half) / scale)), high=max(p, min(1.0, (middle + half) / scale)))


def epsilons_of(params: OrderModulationParams, seating: Seating) -> tuple[float, ...]:
    """Return what is attacked with, rising."""
    default = COLUMN_EPSILONS if seating.grid is None else PIXEL_EPSILONS
    return tuple(sorted(set(params.epsilons or default)))


def box_of(manifest: Manifest, parts: Iterable[Tensor], device: torch.device) -> Box:
    """Return where attacks may go: pixels between black and white, or a table's inputs in standard deviations.

    Args:
        parts: Batches of training inputs; a table's deviations are theirs.
    """
    if manifest.input.kind == "image":
        looks = manifest.preprocessing
        mean, std = (torch.tensor(one, device=device)[:, None, None] for one in (looks.mean, looks.std))
        return Box(unit=1 / std, low=-mean / std, high=(1 - mean) / std)
    deviation = _deviations(parts).to(device)
    endless = torch.tensor(torch.inf, device=device)
    return Box(unit=deviation, low=-endless, high=endless)


def _deviations(parts: Iterable[Tensor]) -> Tensor:
    """Return the standard deviation of every input over all rows: `(inputs,)`."""
    count = 0
    sums = torch.zeros(2, 1, dtype=torch.float64)
    for part in parts:
        count += len(part)
        sums = sums + torch.stack([part.double().sum(0), part.double().square().sum(0)])
    mean, square = sums / count
    deviations: Tensor = (square - mean.square()).clamp(min=0).sqrt().float()
    return deviations


def attacked(
    network: nn.Module, batches: Batches, box: Box, epsilons: Sequence[float], params: OrderModulationParams,
    *, seed: int, tell: Tell,
) -> tuple[Attack, ...]:  # fmt: skip
    """Return the accuracy under attack by epsilon, without attack first."""
    generator = torch.Generator().manual_seed(seed)
    right: dict[float, list[Tensor]] = {}
    for done, (inputs, targets) in enumerate(batches):
        tell("attacks", done, len(batches))
        found = survivors(
            network, inputs, targets, epsilons=epsilons, box=box, steps=params.attack_steps, step=params.attack_step,
            generator=generator,
        )  # fmt: skip
        for epsilon, alive in found:
            tell("attacks", done, len(batches))
            right.setdefault(epsilon, []).append(alive.cpu())
    return tuple(Attack(epsilon=epsilon, accuracy=share_of(torch.cat(parts))) for epsilon, parts in right.items())


def occluded(
    network: nn.Module, batches: Batches, seating: Seating, *, seed: int, tell: Tell
) -> tuple[tuple[Masked, ...], float | None]:
    """Return the accuracy by masked share, and the area between surrounding and random masking."""
    generator = torch.Generator().manual_seed(seed)
    counts, found = occlusion.masked_counts(seating.players), []
    for done, masked in enumerate(counts):
        tell("masking", done, len(counts))
        random = _accuracy(network, batches, seating, _random(seating, masked, generator))
        around = (
            _accuracy(network, batches, seating, _around(seating.grid, masked, generator)) if seating.grid else None
        )
        found.append(Masked(share=masked / seating.players, random=random, surrounding=around))
    pairs = [(one.share, one.surrounding.value, one.random.value) for one in found if one.surrounding is not None]
    return tuple(found), occlusion.area_between(*zip(*pairs, strict=True)) if pairs else None


Draw = Callable[[int], Tensor]
"""Who is present in so many rows."""


def _random(seating: Seating, masked: int, generator: torch.Generator) -> Draw:
    return lambda rows: occlusion.at_random(rows, seating.players, masked, generator)


def _around(grid: tuple[int, int], masked: int, generator: torch.Generator) -> Draw:
    return lambda rows: occlusion.around(rows, grid, masked, generator)


@torch.no_grad()
def _accuracy(network: nn.Module, batches: Batches, seating: Seating, draw: Draw) -> Share:
    right = [network(seating.masked(inputs, draw(len(inputs)))).argmax(1) == targets for inputs, targets in batches]
    return share_of(torch.cat(right).cpu())
