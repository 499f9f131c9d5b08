"""Which weights of a network NID reads: the units that first mix inputs, and what lies between them and the outputs.

A network is walked twice. From the inputs: what works on one feature at a time multiplies that feature's column, linear
layers without an activation between them are one, and the first activation behind a mixture makes hidden units. From
the outputs: weights are replaced by their sizes, activations by their steepest slopes, biases by 0, and what arrives at
a unit is its influence; paths of residual and concatenated networks add up.

A batch norm is a fixed scale, γ/√(var + ε); a layer norm is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor, nn

from jobs.errors import UnsupportedModel
from jobs.layers import INPUT
from jobs.schemas import Target
from worker.methods.nid.backwards import influences
from worker.methods.nid.dependence import Dependence, Each, Sums, added, nothing, one_each, side_by_side
from worker.methods.nid.lipschitz import steepest
from worker.methods.nid.steps import Step, factors, steps
from worker.models.graph import Add, Concat

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
        first: `(units, inputs)` float64, signed: what the first mixing units weigh, scales of inputs folded in.
        steps: Of the network.
        widths: Numbers that each of its steps gives, by name.
        units: The rows of `first`, by the activation that makes them hidden units.
        deviations: `(inputs,)`: of the inputs the network was trained on, where a batch norm that sees them says so.
        blind: Activations in which hidden units and inputs that went past them meet; NID does not see what they do
            together there.
    """

    first: Tensor
    steps: tuple[Step, ...]
    widths: Mapping[str, int]
    units: Mapping[str, Tensor]
    deviations: Tensor | None
    blind: tuple[str, ...]

    @property
    def outputs(self) -> int:
        return self.widths[self.steps[-1].name]

    def influences(self, target: Target | None) -> Tensor:
        """Return `(units,)`, z: how fast the target's output moves with each unit at most; None: all outputs summed."""
        found = influences(self.steps, self.widths, target, at=list(self.units))
        return torch.cat([found[name][rows] for name, rows in self.units.items()])


@dataclass(frozen=True)
class _Value:
    """What a step gives.

    Attributes:
        direct: On which inputs it depends other than through hidden units.
        hidden: `(width,)` bool: what depends on hidden units.
        raw: Whether it is the input as it came.
    """

    direct: Dependence
    hidden: Tensor
    raw: bool = False


def obstacle(model: nn.Module, shape: Sequence[int]) -> str | None:
    """Say why NID cannot read a network; None where it can."""
    try:
        read(model, shape)
    except UnsupportedModel as error:
        return error.detail
    return None


@torch.no_grad()
def read(model: nn.Module, shape: Sequence[int]) -> Reading:
    """Read a chain or a graph of layers.

    Args:
        shape: Of one input.

    Raises:
        UnsupportedModel: NID has no meaning for it, or nothing to find; with the method to use instead.
    """
    walk = _Walk(prod(shape))
    for step in steps(model):
        walk.take(step)
    return walk.reading()


class _Walk:
    """From the inputs to the outputs."""

    def __init__(self, inputs: int) -> None:
        whole = Each(inputs, torch.arange(inputs), torch.ones(inputs).double())
        self._inputs = inputs
        self._values = {INPUT: _Value(whole, torch.zeros(inputs, dtype=torch.bool), raw=True)}
        self._steps: list[Step] = []
        self._first: list[Tensor] = []
        self._units: dict[str, Tensor] = {}
        self._deviations: Tensor | None = None
        self._blind: list[str] = []

    def take(self, step: Step) -> None:
        taken = [self._values[name] for name in step.takes]
        self._values[step.name] = self._given(step, taken)
        self._steps.append(step)

    def reading(self) -> Reading:
        if not self._first:
            raise UnsupportedModel(
                "it has no hidden layer with an activation behind it: outputs are sums of one number for each input, "
                "so that no inputs interact; use integrated-gradients for single inputs"
            )
        widths = {name: len(value.hidden) for name, value in self._values.items()}
        return Reading(
            torch.cat(self._first), tuple(self._steps), widths, self._units, self._deviations, tuple(self._blind)
        )

    def _given(self, step: Step, taken: Sequence[_Value]) -> _Value:
        value, layer = taken[0], step.layer
        if isinstance(layer, Add):
            return _Value(added([one.direct for one in taken]), torch.stack([one.hidden for one in taken]).any(0))
        if isinstance(layer, Concat):
            return _Value(side_by_side([one.direct for one in taken]), torch.cat([one.hidden for one in taken]))
        if isinstance(layer, nn.Linear):
            weights = layer.weight.double()
            return _Value(value.direct.mixed(weights), weights[:, value.hidden].ne(0).any(1))
        if (scale := factors(layer)) is not None:
            self._remember(layer, value)
            return replace(value, direct=value.direct.scaled(scale), raw=False)
        if (slope := steepest(layer)) is not None:
            return self._bend(step.name, value, slope)
        if isinstance(layer, _NEUTRAL):
            return value
        raise UnsupportedModel(_reason(layer))

    def _remember(self, layer: nn.Module, value: _Value) -> None:
        if value.raw and isinstance(layer, nn.BatchNorm1d) and layer.running_var is not None:
            self._deviations = layer.running_var.double().sqrt()

    def _bend(self, name: str, value: _Value, slope: float) -> _Value:
        """Behind an activation, what mixes inputs is a hidden unit; a function of one input remains one."""
        direct = value.direct
        if isinstance(direct, Sums) and not value.hidden.any():
            direct = one_each(direct) or direct
        met = direct.present & value.hidden
        if met.any():
            self._blind.append(name)
        if isinstance(direct, Each):
            return _Value(direct.without(met).bent(slope), value.hidden)
        rows = (direct.present | ~value.hidden).nonzero()[:, 0]
        self._units[name] = rows
        self._first.append(direct.slopes[rows])
        return _Value(nothing(self._inputs, len(value.hidden)), torch.ones_like(value.hidden))


def _reason(layer: nn.Module) -> str:
    """Explain a layer by what of its inside comes first."""
    for part in layer.modules():
        for kind, reason in _REFUSED.items():
            if isinstance(part, kind):
                return reason
    return f"NID reads networks of linear layers and activations, not a {type(layer).__name__}; {_INSTEAD}"
