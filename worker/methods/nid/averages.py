"""How the weights of a set into one unit become one number, μ of the paper (Fig. 3).

Each is at least the minimum and at most the maximum of the sizes it averages. Only the minimum, the geometric and the
harmonic mean vanish when one weight does, which is when the unit cannot combine the set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

Average = Literal["minimum", "maximum", "root-mean-square", "arithmetic", "geometric", "harmonic"]


def of_pairs(average: Average, one: Tensor, other: Tensor) -> Tensor:
    """Average two tensors of sizes, both at least 0, element by element."""
    return _PAIRS[average](one, other)


def of_prefixes(average: Average, falling: Tensor) -> Tensor:
    """Average the first j of sizes that fall along the last axis, for every j: `(..., p)` to `(..., p)`."""
    counts = torch.arange(1, falling.shape[-1] + 1, dtype=falling.dtype, device=falling.device)
    return _PREFIXES[average](falling, counts)


def _harmonic_pair(one: Tensor, other: Tensor) -> Tensor:
    total = one + other
    return torch.where(total > 0, 2 * one * other / total.clamp(min=_tiny(total)), 0.0)


def _harmonic_prefix(falling: Tensor, counts: Tensor) -> Tensor:
    inverse = (1 / falling.clamp(min=_tiny(falling))).cumsum(-1)
    return torch.where(falling > 0, counts / inverse, 0.0)


def _geometric_prefix(falling: Tensor, counts: Tensor) -> Tensor:
    logarithm = falling.clamp(min=_tiny(falling)).log().cumsum(-1)
    return torch.where(falling > 0, (logarithm / counts).exp(), 0.0)


def _tiny(like: Tensor) -> float:
    return torch.finfo(like.dtype).tiny


_PAIRS: Mapping[Average, Callable[[Tensor, Tensor], Tensor]] = {
    "minimum": torch.minimum,
    "maximum": torch.maximum,
    "root-mean-square": lambda one, other: ((one.square() + other.square()) / 2).sqrt(),
    "arithmetic": lambda one, other: (one + other) / 2,
    "geometric": lambda one, other: one.sqrt() * other.sqrt(),
    "harmonic": _harmonic_pair,
}

_PREFIXES: Mapping[Average, Callable[[Tensor, Tensor], Tensor]] = {
    "minimum": lambda falling, counts: falling,
    "maximum": lambda falling, counts: falling[..., :1].expand_as(falling),
    "root-mean-square": lambda falling, counts: (falling.square().cumsum(-1) / counts).sqrt(),
    "arithmetic": lambda falling, counts: falling.cumsum(-1) / counts,
    "geometric": _geometric_prefix,
    "harmonic": _harmonic_prefix,
}
