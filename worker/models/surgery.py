"""Surgery: a copy of a model that can be differentiated twice.

A rectifier's second derivative is zero almost everywhere, so a network of them shows no interactions in its Hessian.
Here every rectifier gets the derivatives of a smooth one; with `straight_through` its value stays exact. Operators
without a second derivative in PyTorch are composed from ones that have it.

Source of the smooth rectifier: H-Sets, equation 1, after Zhang et al. 2020 (ADV2).
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

Smoothing = Literal["paper", "algebraic", "softplus"]


def smooth_relu(z: Tensor, *, smoothing: Smoothing = "paper", t: float = 1e-3) -> Tensor:
    """Evaluate a smooth rectifier of width √t.

    - paper: r(z) = z + √(z² + t) for z < 0, √(z² + t) for z ≥ 0. Its slope jumps from 1 to 0 at zero, while its
      second derivative t / (z² + t)^(3/2) is continuous; it exceeds the rectifier by √t at zero.
    - algebraic: (z + √(z² + t)) / 2, smooth everywhere.
    - softplus: √t log(1 + exp(z / √t)), smooth everywhere.
    """
    match smoothing:
        case "paper":
            # -relu(-z) is min(z, 0) with the slope 0 at z = 0, which the paper's z ≥ 0 branch asks for.
            return torch.sqrt(z * z + t) - torch.relu(-z)
        case "algebraic":
            return (z + torch.sqrt(z * z + t)) / 2
        case "softplus":
            return nn.functional.softplus(z, beta=t**-0.5)
    raise ValueError(f"expected paper, algebraic or softplus, got {smoothing!r}")


class SmoothReLU(nn.Module):
    """A rectifier, capped at `cap` where given, with a smooth one's derivatives.

    With `straight_through` its value is the exact rectifier's, so that the model's outputs do not change.
    """

    def __init__(self, smoothing: Smoothing, t: float, straight_through: bool, cap: float | None = None) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.t = t
        self.straight_through = straight_through
        self.cap = cap

    def forward(self, z: Tensor) -> Tensor:
        smooth = self._smooth(z)
        if not self.straight_through:
            return smooth
        # The difference is exactly zero and carries the derivatives; nothing here is a custom autograd function, so
        # it holds under vmap and forward-mode differentiation too.
        return z.clamp(0, self.cap).detach() + (smooth - smooth.detach())

    def _smooth(self, z: Tensor) -> Tensor:
        rising = smooth_relu(z, smoothing=self.smoothing, t=self.t)
        if self.cap is None:
            return rising
        return rising - smooth_relu(z - self.cap, smoothing=self.smoothing, t=self.t)

    def extra_repr(self) -> str:
        return f"{self.smoothing}, t={self.t}, straight_through={self.straight_through}, cap={self.cap}"


class ComposedHardsigmoid(nn.Module):
    """`nn.Hardsigmoid` from clamp: PyTorch has no second derivative of its own operator."""

    def forward(self, z: Tensor) -> Tensor:
        return (z + 3).clamp(0, 6) / 6


@dataclass(frozen=True)
class Operated:
    """A model after surgery.

    Attributes:
        model: Shares the weights of the original, which is unchanged.
        replaced: How many uses of each operator were replaced, by its name.
        traced: False where the model could not be traced, so that only modules were replaced and not functions.
    """

    model: nn.Module
    replaced: Mapping[str, int]
    traced: bool


def twice_differentiable(
    model: nn.Module, *, smoothing: Smoothing = "paper", t: float = 1e-3, straight_through: bool = True
) -> nn.Module:
    """Return a copy of `model`, sharing its weights, whose rectifiers have the derivatives of `smooth_relu`.

    Args:
        model: In eval mode; left as it is.
        t: Squared width of the smoothing, in the square of a pre-activation's unit; above 0.
        straight_through: Keep the model's outputs; otherwise they are those of the smooth rectifiers.
    """
    return operate(model, smoothing=smoothing, t=t, straight_through=straight_through).model


def operate(
    model: nn.Module, *, smoothing: Smoothing = "paper", t: float = 1e-3, straight_through: bool = True
) -> Operated:
    """Do what `twice_differentiable` does, and say what was replaced."""
    if t <= 0:
        raise ValueError(f"expected t above 0, got {t}")

    def substitute(operator: str) -> nn.Module:
        if operator == "hardsigmoid":
            return ComposedHardsigmoid()
        return SmoothReLU(smoothing, t, straight_through, cap=6.0 if operator == "relu6" else None)

    try:
        traced = fx.symbolic_trace(model)
    except (fx.proxy.TraceError, TypeError, RuntimeError, ValueError):
        # Control flow that depends on the data, or a call that takes no symbolic values.
        return _swap_modules(model, substitute)
    return _replace_nodes(traced, substitute)


@contextmanager
def attention_on_math() -> Iterator[None]:
    """Run attention as plain matrix products, the only way in which it differentiates twice.

    The fused kernels lack a second derivative, and `nn.MultiheadAttention`'s shortcut for inference has no forward-mode
    derivative at all.
    """
    shortcut = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(shortcut)


_MODULES: Mapping[type[nn.Module], str] = {nn.ReLU: "relu", nn.ReLU6: "relu6", nn.Hardsigmoid: "hardsigmoid"}
_FUNCTIONS: Mapping[Any, str] = {
    nn.functional.relu: "relu",
    nn.functional.relu_: "relu",
    torch.relu: "relu",
    torch.relu_: "relu",
    nn.functional.relu6: "relu6",
    nn.functional.hardsigmoid: "hardsigmoid",
}
_METHODS: Mapping[str, str] = {"relu": "relu", "relu_": "relu"}

Substitute = Callable[[str], nn.Module]


def _operator(node: fx.Node, modules: Mapping[str, nn.Module]) -> str | None:
    match node.op:
        case "call_module":
            return _MODULES.get(type(modules[str(node.target)]))
        case "call_function":
            return _FUNCTIONS.get(node.target)
        case "call_method":
            return _METHODS.get(str(node.target))
    return None


def _replace_nodes(traced: fx.GraphModule, substitute: Substitute) -> Operated:
    """Replace each use on its own, so that a module that is used several times is no longer shared."""
    replaced: Counter[str] = Counter()
    modules = dict(traced.named_modules())
    for node in list(traced.graph.nodes):
        operator = _operator(node, modules)
        if operator is None:
            continue
        name = f"surgery_{operator}_{replaced[operator]}"
        traced.add_submodule(name, substitute(operator))
        with traced.graph.inserting_after(node):
            replacement = traced.graph.call_module(name, (_operand(node),))
        node.replace_all_uses_with(replacement)
        traced.graph.erase_node(node)
        replaced[operator] += 1
    traced.delete_all_unused_submodules()
    traced.recompile()
    return Operated(traced.eval(), dict(replaced), traced=True)


def _operand(node: fx.Node) -> Any:
    return node.args[0] if node.args else node.kwargs["input"]


def _swap_modules(model: nn.Module, substitute: Substitute) -> Operated:
    """Replace modules on a copy that shares the weights; functional rectifiers stay, as they cannot be seen."""
    replaced: Counter[str] = Counter()
    shared = {id(tensor): tensor for tensor in chain(model.parameters(), model.buffers())}
    changed = copy.deepcopy(model, shared)
    for parent in list(changed.modules()):
        # Not named_children(), which names a module once that its parent uses twice.
        for name, child in parent._modules.items():
            if child is not None and (operator := _MODULES.get(type(child))):
                setattr(parent, name, substitute(operator))
                replaced[operator] += 1
    return Operated(changed, dict(replaced), traced=False)
