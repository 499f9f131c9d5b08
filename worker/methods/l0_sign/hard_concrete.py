"""The hard concrete gate: between 0 and 1, exactly 0 or 1 with positive probability, differentiable in log α.

A binary concrete variable on (0, 1) is stretched to (γ, ζ), which reaches over both ends, and clipped to [0, 1].

Source: Louizos, Welling & Kingma, "Learning Sparse Neural Networks through L0 Regularization", ICLR 2018,
https://arxiv.org/abs/1712.01312
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class HardConcrete:
    """A family of gates, one for each log α.

    Attributes:
        beta: Temperature: the lower, the more often a gate is exactly 0 or 1.
        gamma: Lower end of the stretched interval, below 0.
        zeta: Upper end, above 1.
        base: Of the logarithms of noise and penalty shift. The code published for L0-SIGN takes 2: its noise is
            1.44 times as wide, and its penalty is no longer the probability that the gate is open.

    Raises:
        ValueError: An attribute is out of its range.
    """

    beta: float = 0.66
    gamma: float = -0.1
    zeta: float = 1.1
    base: float = math.e

    def __post_init__(self) -> None:
        if not (self.beta > 0 and self.gamma < 0 and self.zeta > 1 and self.base > 1):
            raise ValueError(f"expected beta > 0, gamma < 0, zeta > 1 and base > 1, got {self}")

    def drawn(self, log_alpha: Tensor, uniform: Tensor) -> Tensor:
        """Return gates from noise that is uniform on [0, 1): s = σ((log α + log u − log(1 − u)) / β), stretched."""
        noise = torch.logit(uniform) / math.log(self.base)
        return self._stretched(torch.sigmoid((log_alpha + noise) / self.beta))

    def at_rest(self, log_alpha: Tensor) -> Tensor:
        """Return gates without noise: σ(log α), stretched and clipped."""
        return self._stretched(torch.sigmoid(log_alpha))

    def penalty(self, log_alpha: Tensor) -> Tensor:
        """Return π = σ(log α − β log(−γ/ζ)): with natural logarithms the probability that a drawn gate is not 0."""
        return torch.sigmoid(log_alpha - self.beta * math.log(-self.gamma / self.zeta, self.base))

    def probability_below(self, log_alpha: Tensor, gate: float) -> Tensor:
        """Return P(drawn gate ≤ `gate`) for 0 ≤ `gate` < 1; at 0 it is the probability of no edge."""
        s = (gate - self.gamma) / (self.zeta - self.gamma)
        return torch.sigmoid((self.beta * math.log(s / (1 - s)) - log_alpha) * math.log(self.base))

    def probability_of_one(self, log_alpha: Tensor) -> Tensor:
        """Return P(drawn gate = 1)."""
        s = (1 - self.gamma) / (self.zeta - self.gamma)
        return torch.sigmoid((log_alpha - self.beta * math.log(s / (1 - s))) * math.log(self.base))

    def _stretched(self, s: Tensor) -> Tensor:
        return (s * (self.zeta - self.gamma) + self.gamma).clamp(0, 1)
