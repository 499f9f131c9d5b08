"""Which weights of a network NID reads: the first layer that mixes inputs, and what lies behind it.

Layers are walked from the input. What works on one feature at a time before anything is mixed multiplies that
feature's column; linear layers with nothing but fixed scales between them are one layer; behind the first activation,
a scale multiplies the unit's influence. A batch norm is a fixed scale, γ/√(var + ε); a layer norm is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from jobs.errors import UnsupportedModel
from jobs.schemas import Target

LIPSCHITZ: Mapping[type[nn.Module], float] = {
    nn.ReLU: 1.0,
    nn.ReLU6: 1.0,
    nn.LeakyReLU: 1.0,
    nn.ELU: 1.0,
    nn.Tanh: 1.0,
    nn.Softplus: 1.0,
    nn.Sigmoid: 0.25,
    nn.Hardsigmoid: 1 / 6,
    nn.Hardswish: 1.5,
    nn.GELU: 1.1289042,
    nn.SiLU: 1.0998394,
}
"""The steepest slope of each activation. GELU's is Φ(√2) + √2 φ(√2); Hardswish's is at 3, its upper kink."""

_NEUTRAL = (nn.Dropout, nn.Flatten, nn.Identity)
_INSTEAD = "use and-or or multi-order instead, which ask the network and not its weights"
_REFUSED: Mapping[type[nn.Module], str] = {
    nn.Conv2d: "its first layer is a convolution, which mixes neighbouring pixels only, so that its weights would say "
    "that neighbours interact and nothing else; use h-sets or multi-order instead",
    nn.Embedding: f"its first layer is an embedding, and what follows mixes tokens by their content; {_INSTEAD}",
    nn.MultiheadAttention: f"its first layers are attention, whose weights depend on the input; {_INSTEAD}",
    nn.LayerNorm: f"it has a layer norm, whose scale depends on the input and mixes all features; {_INSTEAD}",
}


@dataclass(frozen=True)
class Reading:
    """What the weights say.

    Attributes:
        first: `(units, inputs)` float64, signed: the first mixing layer, scales of inputs folded in.
        later: Matrices `(fan_out, fan_in)` float64 behind it, input side first, Lipschitz constants folded in.
        ends_linear: Whether nothing but fixed scales follows the last matrix, so that outputs may be subtracted.
        deviations: `(inputs,)`: of the inputs the network was trained on, where a batch norm that sees them says so.
    """

    first: Tensor
    later: tuple[Tensor, ...]
    ends_linear: bool
    deviations: Tensor | None

    def onto(self, target: Target | None) -> tuple[Tensor, ...]:
        """Return `later` with its last matrix reduced to the rows that a target asks for; None: all outputs."""
        *before, last = self.later
        if target is None:
            return self.later
        row = last[target.index]
        if target.against is not None:
            against = last[target.against]
            row = row - against if self.ends_linear else row.abs() + against.abs()
        return (*before, row[None])


def obstacle(model: nn.Module) -> str | None:
    """Say why NID cannot read a network; None where it can."""
    try:
        read(model)
    except UnsupportedModel as error:
        return error.detail
    return None


@torch.no_grad()
def read(model: nn.Module) -> Reading:
    """Read a chain of layers.

    Raises:
        UnsupportedModel: NID has no meaning for it, or nothing to find; with the method to use instead.
    """
    walk = _Walk()
    for layer in _layers(model):
        walk.step(layer)
    return walk.reading()


class _Walk:
    """From the input to the output: columns, then the first layer, then what is behind its activation."""

    def __init__(self) -> None:
        self._columns: Tensor | float = 1.0
        self._deviations: Tensor | None = None
        self._untouched = True
        self._first: Tensor | None = None
        self._scale: Tensor | None = None  # of the units behind the latest matrix; None while all is still linear
        self._later: list[Tensor] = []
        self._ends_linear = True

    def step(self, layer: nn.Module) -> None:
        if isinstance(layer, nn.Linear):
            self._mix(layer.weight.double())
        elif isinstance(layer, nn.BatchNorm1d):
            self._rescale(layer)
        elif type(layer) in LIPSCHITZ:
            self._bend(LIPSCHITZ[type(layer)])
        elif not isinstance(layer, _NEUTRAL):
            raise UnsupportedModel(_reason(layer))

    def reading(self) -> Reading:
        if self._first is None or self._scale is None:
            raise UnsupportedModel(
                "it has no hidden layer with an activation behind it: outputs are sums of one number for each input, "
                "so that no inputs interact; use integrated-gradients for single inputs"
            )
        last = self._later[-1] if self._later else torch.eye(len(self._first)).double()
        return Reading(
            self._first, (*self._later[:-1], self._scale[:, None] * last), self._ends_linear, self._deviations
        )

    def _mix(self, weights: Tensor) -> None:
        if self._first is None:
            self._first = weights * self._columns
        elif self._scale is None:
            self._first = weights @ self._first
        else:
            self._later.append(weights * self._scale)
            self._scale = weights.new_ones(len(weights))
            self._ends_linear = True

    def _rescale(self, layer: nn.BatchNorm1d) -> None:
        if layer.running_var is None:
            raise UnsupportedModel(f"it has a batch norm without running statistics; {_INSTEAD}")
        variance = layer.running_var.double()
        factor = (variance + layer.eps).rsqrt()
        if layer.weight is not None:
            factor = factor * layer.weight.double()
        if self._first is None:
            self._deviations = variance.sqrt() if self._untouched else self._deviations
            self._columns = self._columns * factor
            self._untouched = False
        elif self._scale is None:
            self._first = factor[:, None] * self._first
        else:
            self._scale = self._scale * factor

    def _bend(self, steepest: float) -> None:
        if self._first is None:
            self._columns = self._columns * steepest
            self._untouched = False
        else:
            self._scale = (self._first.new_ones(self._units()) if self._scale is None else self._scale) * steepest
            self._ends_linear = False

    def _units(self) -> int:
        assert self._first is not None  # noqa: S101  # an activation without a layer before it is a column's
        return len(self._first)


def _layers(model: nn.Module) -> Iterator[nn.Module]:
    if isinstance(model, nn.Sequential):
        for layer in model:
            yield from _layers(layer)
    else:
        yield model


def _reason(layer: nn.Module) -> str:
    """Explain a layer by what of its inside comes first."""
    for part in layer.modules():
        for kind, reason in _REFUSED.items():
            if isinstance(part, kind):
                return reason
    return f"NID reads chains of linear layers, not a {type(layer).__name__}; {_INSTEAD}"
