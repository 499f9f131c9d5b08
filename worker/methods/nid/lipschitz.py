"""How steep activations are: the factor by which a bound on slopes grows or shrinks behind them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from worker.models.elementwise import LeakyRectifier

LIPSCHITZ: Mapping[type[nn.Module], float] = {
    nn.ReLU: 1.0,
    nn.ReLU6: 1.0,
    nn.LeakyReLU: 1.0,
    nn.ELU: 1.0,
    nn.SELU: 1.7580993,
    nn.Tanh: 1.0,
    nn.Softplus: 1.0,
    nn.Sigmoid: 0.25,
    nn.Hardsigmoid: 1 / 6,
    nn.Hardswish: 1.5,
    nn.GELU: 1.1289042,
    nn.SiLU: 1.0998394,
}
"""The steepest slope of each activation. GELU's is Φ(√2) + √2 φ(√2); Hardswish's is at 3, its upper kink; SELU's is
λα, just below 0."""


def steepest(layer: nn.Module) -> float | None:
    """Return the steepest slope of an activation; None for another layer."""
    match layer:
        case LeakyRectifier():
            return max(1.0, abs(layer.slope))
        case nn.LeakyReLU():
            return max(1.0, abs(layer.negative_slope))
        case nn.ELU():
            return max(1.0, abs(layer.alpha))
    return LIPSCHITZ.get(type(layer))
