"""How fast an output can move with the numbers inside a network: sizes of weights, multiplied along paths and summed.

Lemma 3 of the paper, z = |w_y|ᵀ |W_L| … |W_2|, for any graph: weights by their sizes, activations by their steepest
slopes, biases 0, and the output backpropagated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from jobs.schemas import Target
from worker.methods.nid.lipschitz import steepest
from worker.methods.nid.steps import Step, factors
from worker.models.graph import Add, Concat

_Arrived = tuple[Tensor, bool]
"""A bound for each number, and whether it still has a sign, as it has from a contrast up to the first weights."""


@torch.no_grad()
def influences(
    steps: Sequence[Step], widths: Mapping[str, int], target: Target | None, *, at: Sequence[str]
) -> Mapping[str, Tensor]:
    """Bound how fast the target's output moves with what some activations are given.

    Args:
        widths: Numbers that each step gives, and the input.
        target: A class; the difference of two; None: the sum over all outputs.
        at: Names of activations.

    Returns:
        `(width,)` float64 for each.
    """
    arrived: dict[str, list[_Arrived]] = defaultdict(list)
    arrived[steps[-1].name].append(_start(widths[steps[-1].name], target))
    found = {}
    for step in reversed(steps):
        bound, signed = _together(arrived.pop(step.name))
        if step.name in at:
            found[step.name] = bound.abs() * (steepest(step.layer) or 1.0)
        if len(found) == len(at):
            break
        for name, part in zip(step.takes, _before(step, (bound, signed), widths), strict=True):
            arrived[name].append(part)
    return found


def _start(outputs: int, target: Target | None) -> _Arrived:
    if target is None:
        return torch.ones(outputs).double(), False
    start = torch.zeros(outputs).double()
    start[target.index] = 1
    if target.against is not None:
        start[target.against] = -1
    return start, target.against is not None


def _together(parts: Sequence[_Arrived]) -> _Arrived:
    signed = all(with_sign for _, with_sign in parts)
    return torch.stack([bound if signed else bound.abs() for bound, _ in parts]).sum(0), signed


def _before(step: Step, arrived: _Arrived, widths: Mapping[str, int]) -> Sequence[_Arrived]:
    """Return what arrives at each of the values that a step takes."""
    bound, signed = arrived
    layer = step.layer
    if isinstance(layer, nn.Linear):
        weights = layer.weight.double()
        return [((bound @ weights).abs() if signed else bound @ weights.abs(), False)]
    if isinstance(layer, Add):
        return [arrived] * len(step.takes)
    if isinstance(layer, Concat):
        ends = torch.tensor([widths[name] for name in step.takes]).cumsum(0)
        return [(part, signed) for part in bound.tensor_split(ends[:-1])]
    if (scale := factors(layer)) is not None:
        return [(bound * (scale if signed else scale.abs()), signed)]
    if (slope := steepest(layer)) is not None:
        return [(bound.abs() * slope, False)]
    return [arrived]
