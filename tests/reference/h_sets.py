"""H-Sets, slowly: one backward a path point and subset, one queue, no sharing. Written from the paper's formulas."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn


def gradient(model: nn.Module, point: Tensor, target: int | None) -> Tensor:
    """Return the gradient of one logit at one point; of the largest one there where `target` is None."""
    point = point.clone().requires_grad_()
    logits = model(point[None])[0]
    chosen = int(logits.argmax()) if target is None else target
    logits[chosen].backward()
    assert point.grad is not None
    return point.grad


def directional_gradient(
    model: nn.Module, x: Tensor, baseline: Tensor, subset: Tensor, *, steps: int, target: int
) -> float:
    """Eq. 7: (1/m) sum over j = 1..m of |grad f(x' + (j/m)(x - x')) . u_T|, u_T by eq. 3 and 4."""
    z = (x - baseline) * subset
    length = z.norm()
    if length == 0:
        return 0.0
    direction = z / length
    total = 0.0
    for j in range(1, steps + 1):
        point = baseline + (j / steps) * (x - baseline)
        total += abs(float((gradient(model, point, target) * direction).sum()))
    return total / steps


def score(
    model: nn.Module, x: Tensor, baseline: Tensor, subsets: Sequence[Tensor], *, steps: int, target: int
) -> float:
    """Eq. 6: the mean of eq. 7 over the subsets."""
    values = [directional_gradient(model, x, baseline, subset, steps=steps, target=target) for subset in subsets]
    return sum(values) / len(values)


def published_score(model: nn.Module, x: Tensor, subsets: Sequence[Tensor], *, steps: int = 30) -> float:
    """The published code's number: the sum over subsets of the length of v * mean |gradient|.

    v is the masked input over its length (the baseline is zero), the mean runs over 31 points with both ends, and the
    gradient is that of the class predicted at each point.
    """
    total = 0.0
    for subset in subsets:
        v = x * subset
        if v.norm() == 0:
            continue
        v = v / v.norm()
        mean = sum(v * gradient(model, (j / steps) * x, None).abs() for j in range(steps + 1)) / (steps + 1)
        assert isinstance(mean, Tensor)
        total += float(mean.norm())
    return total


def hessian(model: nn.Module, x: Tensor, target: int) -> Tensor:
    """Return `(d, d)` by PyTorch's own, whole."""
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        whole = torch.autograd.functional.hessian(lambda point: model(point[None])[0, target], x)
    assert isinstance(whole, Tensor)
    return whole.reshape(x.numel(), x.numel())


def grow(
    H: np.ndarray, seed: int, regions: Sequence[int], *, threshold: float, set_size: int, max_rows: int
) -> tuple[list[int], int]:
    """Algorithm 1: from the seed, the strongest pending candidate next; relative threshold, inside the region."""
    members, pending, rows, current = [seed], [], 0, seed
    while True:
        row = [abs(float(entry)) for entry in H[current]]
        rows += 1
        limit = threshold * max(row)
        candidates = [j for j in range(len(row)) if row[j] > limit and j not in members and regions[j] == regions[seed]]
        for j in sorted(candidates, key=lambda j: (-row[j], j)):
            if len(members) < set_size:
                members.append(j)
                pending.append((row[j], j))
        if len(members) >= set_size or not pending or rows >= max_rows:
            return members, rows
        strongest = max(pending, key=lambda entry: (entry[0], -entry[1]))
        pending.remove(strongest)
        current = strongest[1]


def published_grow(H: np.ndarray, seed: int, *, threshold: float, set_size: int) -> list[int]:
    """The published code's growth: signed min-max rows, recursion into what each row added, in its order."""
    members: list[int] = []

    def visit(current: int) -> None:
        row = (H[current] - H[current].min()) / (H[current].max() - H[current].min())
        added = []
        for j in sorted(range(len(row)), key=lambda j: (-row[j], j)):
            if row[j] > threshold and j not in members and len(members) < set_size:
                members.append(j)
                added.append(j)
        for j in added:
            if len(members) < set_size:
                visit(j)

    visit(seed)
    return members
