"""The theoretical learning strength of every context order, beside the measured one (Theorem 1).

With gradients of different contexts independent, of zero mean and equal variance, the update that an order-m
interaction receives has the size

    F(m) ∝ C(n - 2, m)^(-1/2),

a term independent of the order over the root of its contextual variability. The derivation from Eq. 10 leaves the
weight of the order in the output, (n - m - 1) / (n (n - 1)), as a second factor; the paper's text counts it out, and
so do we unless asked: with it the curve falls to the right, and measured ones rise again. Networks repeat themselves,
so the paper computes the curve for fewer variables, n' instead of n, and does not say how many: here n' is fitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma

import torch
from torch import Tensor

SMALLEST, STEPS = 2.5, 400
"""n' is searched from there to n, on a grid of that many steps."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fitted curve.

    Attributes:
        n_prime: The fitted number of variables n', a real number.
        curve: `(orders,)`, F(m)/F(0).
        error: Root mean squared difference from J(m)/J(0).
        with_weight: Whether the weight (n' - m' - 1) is kept.
    """

    n_prime: float
    curve: Tensor
    error: float
    with_weight: bool


def learning_strength(n: float, position: Tensor, *, with_weight: bool = False) -> Tensor:
    """Return F(m)/F(0) of n variables at m = position · (n - 2) (Eq. 13).

    Args:
        n: Above 2, not necessarily whole: the binomial is continued by the gamma function.
        position: `(orders,)` in [0, 1].
        with_weight: Keep the weight w^(m) of the order in the output; without it the curve is symmetric.
    """
    m = position.double() * (n - 2)
    log_contexts = lgamma(n - 1) - torch.lgamma(m + 1) - torch.lgamma(n - 1 - m)
    weight = (n - 1 - m) / (n - 1) if with_weight else torch.ones_like(m)
    return weight * torch.exp(-log_contexts / 2)


def fit(relative: Tensor, orders: Tensor, n: int, *, with_weight: bool = False) -> Fit:
    """Fit n' so that F(m)/F(0) is nearest to J(m)/J(0), in the least squares.

    Args:
        relative: `(orders,)`, J; its first order must be 0 and not vanish.
        orders: `(orders,)`, the context orders m, in 0..n - 2.

    Raises:
        ValueError: The first order is not 0, or J is 0 there.
    """
    if int(orders[0]) != 0 or float(relative[0]) <= 0:
        raise ValueError("expected order 0 first, with J above 0, to compare with")
    measured = (relative / relative[0]).double()
    position = orders.double() / (n - 2)
    candidates = torch.linspace(SMALLEST, n, STEPS, dtype=torch.float64).tolist()
    curves = [learning_strength(candidate, position, with_weight=with_weight) for candidate in candidates]
    errors = [float((curve - measured).square().mean().sqrt()) for curve in curves]
    best = min(range(STEPS), key=errors.__getitem__)
    return Fit(n_prime=candidates[best], curve=curves[best], error=errors[best], with_weight=with_weight)
