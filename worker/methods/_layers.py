"""A network cut at a named layer: what the layer gives, computed once, and the rest, computed for every mask.

Where torch.fx can trace the network, only the part behind the layer runs again, with everything else that this part
needs from before (such as a skip connection) kept from the one full run. Else the whole network runs each time and a
forward hook replaces the layer's output: the same numbers, for more time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from jobs.errors import UnsupportedModel


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A network cut at a layer, for one input.

    Attributes:
        activation: What the layer gives at the input, without the batch axis.
        tail: `(batch, *activation.shape)` in place of the layer's output, to logits `(batch, outputs)`.
        partial: Whether `tail` is only the part behind the layer, or the whole network with a hook.
        forwards: Passes of one sample that cutting took, through the network or its tail.
    """

    activation: Tensor
    tail: Callable[[Tensor], Tensor]
    partial: bool
    forwards: int


@torch.no_grad()
def cut(model: nn.Module, layer: str, input: Tensor) -> Cut:
    """Cut `model` at `layer` for `input`, `shape`, without a batch axis.

    Raises:
        UnsupportedModel: No such layer, one that runs not exactly once, or one that gives no tensor of the batch.
    """
    module = _named(model, layer)
    activation, logits = _recorded(model, module, layer, input)
    tail = _traced_tail(model, layer, input)
    # Two through the whole network, two in the trial of the tail.
    forwards = 1 if tail is None else 4
    if tail is not None and _agrees(tail, activation, logits):
        return Cut(activation=activation, tail=tail, partial=True, forwards=forwards)
    return Cut(activation=activation, tail=_hooked_tail(model, module, input), partial=False, forwards=forwards)


def layer_names(model: nn.Module) -> tuple[str, ...]:
    """List the layers that have no layers within."""
    return tuple(name for name, module in model.named_modules() if name and not any(module.children()))


def check_layer(model: nn.Module, layer: str) -> None:
    """Check, without running it, that a network has a layer.

    Raises:
        UnsupportedModel: It has not.
    """
    _named(model, layer)


def _named(model: nn.Module, layer: str) -> nn.Module:
    try:
        return model.get_submodule(layer)
    except AttributeError as error:
        some = ", ".join(layer_names(model)[:8])
        raise UnsupportedModel(f"expected the name of a layer, such as {some}, got {layer!r}") from error


def _recorded(model: nn.Module, module: nn.Module, layer: str, input: Tensor) -> tuple[Tensor, Tensor]:
    """Run the network once and return the layer's output and the logits, both of one sample."""
    outputs: list[Any] = []
    handle = module.register_forward_hook(lambda module, arguments, output: outputs.append(output))
    try:
        logits = model(input[None])
    finally:
        handle.remove()
    if len(outputs) != 1:
        raise UnsupportedModel(
            f"expected a layer that runs once in a forward pass, got {layer!r}: {len(outputs)} times"
        )
    if not isinstance(outputs[0], Tensor) or outputs[0].shape[:1] != (1,):
        raise UnsupportedModel(f"expected layer {layer!r} to give one tensor with a batch axis")
    # A later layer that works in place would change it.
    return outputs[0][0].clone(), logits


def _hooked_tail(model: nn.Module, module: nn.Module, input: Tensor) -> Callable[[Tensor], Tensor]:
    def tail(masked: Tensor) -> Tensor:
        handle = module.register_forward_hook(lambda module, arguments, output: masked.clone())
        try:
            logits: Tensor = model(input.expand(len(masked), *input.shape))
        finally:
            handle.remove()
        return logits

    return tail


def _agrees(tail: Callable[[Tensor], Tensor], activation: Tensor, logits: Tensor) -> bool:
    """Whether the tail gives the network's own answer, for a batch too: tracing may have fixed a batch of one."""
    try:
        found = tail(activation.expand(2, *activation.shape))
    except (RuntimeError, ValueError, TypeError, IndexError):
        return False
    return found.shape == (2, *logits.shape[1:]) and torch.allclose(
        found, logits.expand_as(found), rtol=1e-4, atol=1e-5
    )


def _traced_tail(model: nn.Module, layer: str, input: Tensor) -> Callable[[Tensor], Tensor] | None:
    """Return the part of the network behind the layer, or None where it cannot be traced."""
    try:
        traced = fx.symbolic_trace(model)
    except Exception:  # noqa: BLE001 (tracing runs the network's own code on proxies, which may raise anything)
        return None
    at = [node for node in traced.graph.nodes if node.op == "call_module" and node.target == layer]
    behind = _behind(traced.graph, at[0]) if len(at) == 1 else []
    if not behind or behind[-1].op != "output":
        return None
    kept = _needed(behind, at[0])
    values = _Recorder(traced, kept).recorded(input[None])
    return _Tail(traced, at[0], behind, kept, values)


def _behind(graph: fx.Graph, cut_at: fx.Node) -> list[fx.Node]:
    """List the nodes that depend on the layer's output, in order."""
    found: dict[fx.Node, None] = {}
    for node in graph.nodes:
        if any(source is cut_at or source in found for source in node.all_input_nodes):
            found[node] = None
    return list(found)


def _needed(behind: list[fx.Node], cut_at: fx.Node) -> list[fx.Node]:
    """List the nodes before the layer whose values the part behind it takes."""
    inside = {cut_at, *behind}
    return list({source: None for node in behind for source in node.all_input_nodes if source not in inside})


class _Recorder(fx.Interpreter):
    """Runs a network and keeps the values of some nodes."""

    def __init__(self, traced: fx.GraphModule, kept: list[fx.Node]) -> None:
        super().__init__(traced)
        self._wanted = set(kept)
        self._values: dict[fx.Node, Any] = {}

    def recorded(self, batch: Tensor) -> dict[fx.Node, Any]:
        self.run(batch)
        return self._values

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n in self._wanted:
            self._values[n] = value.clone() if isinstance(value, Tensor) else value
        return value


class _Tail(fx.Interpreter):
    """Runs only what depends on the layer's output."""

    def __init__(
        self,
        traced: fx.GraphModule,
        cut_at: fx.Node,
        behind: list[fx.Node],
        kept: list[fx.Node],
        values: dict[fx.Node, Any],
    ) -> None:
        super().__init__(traced)
        self._cut_at, self._behind, self._kept, self._recorded = cut_at, behind, kept, values

    def __call__(self, masked: Tensor) -> Tensor:
        # A clone: a layer behind may work in place, on what is kept for the next call.
        self.env = {node: _of_batch(self._recorded[node], len(masked)) for node in self._kept}
        self.env[self._cut_at] = masked.clone()
        for node in self._behind:
            self.env[node] = self.run_node(node)
        logits: Tensor = self.env[self._behind[-1]]
        return logits


def _of_batch(value: Any, size: int) -> Any:
    """Repeat a kept value of one sample; parameters and numbers stay as they are."""
    if isinstance(value, Tensor) and not isinstance(value, nn.Parameter) and value.shape[:1] == (1,):
        return value.repeat(size, *(1,) * (value.ndim - 1))
    return value
