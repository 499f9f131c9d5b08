"""From an ONNX file's nodes to those of a `graph` architecture: what has been translated so far, and what to take.

Constants keep being views of the file, however often they are used, so that a small file cannot take much memory.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jobs.layers import INPUT, Node
from worker.models.formats import State, named
from worker.models.graph import MOST_NUMBERS
from worker.models.onnx.file import OnnxGraph, OnnxNode, OnnxTensor

Shape = tuple[int, ...]

MOST_A_SIDE = 4096
"""Of an input's axes, as in a manifest; said here too, before anything of that size is made."""

ERF, ABOVE = "erf", "above-20"
PARTS: Mapping[str, str] = {
    ERF: "an Erf is supported as a part of GELU only, x · (1 + erf(x / √2))",
    ABOVE: "a Greater is supported as a part of Softplus only, x where x > 20, else softplus(x)",
}
"""Nodes of erf(x / √2) and x > 20, which must be gone at the end, and of what they are a part."""

ROUNDING = 1e-6
"""What constants such as 1/√2, in float32, and products of a few may be off."""

ADVICE = (
    "dense networks are read: Gemm, MatMul, Add, Sub, Mul, Div, Sum, Concat, BatchNormalization, Flatten, Reshape, "
    "Identity, Dropout and activations; of others, upload the state dict and list the layers in the manifest (for "
    "convolutions and attention that h-sets, and-or and multi-order explain)"
)


@dataclass(frozen=True)
class Wire:
    """A value that depends on the input: the node that gives it and a sample's shape."""

    node: str
    shape: Shape


Given = Wire | OnnxTensor | Tensor
"""What a node gives: a value, or a constant."""


@dataclass(frozen=True)
class Network:
    """What a file says.

    Attributes:
        shape: Of a sample.
    """

    nodes: tuple[Node, ...]
    state: State
    shape: Shape


Operator = Callable[["Translation", OnnxNode], Given]


class Translation:
    """A graph that grows node by node.

    Args:
        operators: Says for each operator what it gives; see `worker.models.onnx.operators`.
    """

    def __init__(self, graph: OnnxGraph, operators: Mapping[str, Operator]) -> None:
        self._graph = graph
        self._operators = operators
        self._size = 0
        self._nodes: dict[str, dict[str, Any]] = {}
        self._state: State = {}
        self._counts: Counter[str] = Counter()
        self._constants: dict[str, OnnxTensor | Tensor] = dict(graph.tensors)
        self._wires: dict[str, Wire] = {}
        self._uses = Counter(name for node in graph.nodes for name in node.takes)

    def network(self) -> Network:
        """Translate everything that the output needs.

        Raises:
            ValueError: A node cannot be translated; it is named.
        """
        name, shape = self._input()
        self._wires[name] = Wire(INPUT, shape)
        (output,) = self._graph.outputs if len(self._graph.outputs) == 1 else self._refuse_outputs()
        for node in _needed(self._graph.nodes, output):
            self._translate(node)
        if output not in self._wires:
            raise ValueError(f"no node computes the output {named(output)!r} from the input")
        return Network(self._ending_at(self._wires[output].node), self._state, shape)

    def _input(self) -> tuple[str, Shape]:
        inputs = {name: shape for name, shape in self._graph.inputs.items() if name not in self._constants}
        if len(inputs) != 1:
            names = ", ".join(named(name) for name in list(inputs)[:5])
            raise ValueError(f"expected a network of one input, got {len(inputs)}: {names}; concatenate them into one")
        ((name, shape),) = inputs.items()
        fixed = tuple(size for size in shape if size is not None)
        if len(fixed) != len(shape) or len(shape) not in (1, 3):
            raise ValueError(
                f"input {named(name)!r}: expected the shape (batch, features) or (batch, channels, height, width), all "
                f"but the batch fixed, got {['?' if size is None else size for size in (None, *shape)]}"
            )
        if max(fixed) > MOST_A_SIDE:
            raise ValueError(f"input {named(name)!r}: expected at most {MOST_A_SIDE} along an axis, got {max(fixed)}")
        return name, fixed

    def _refuse_outputs(self) -> tuple[str]:
        raise ValueError(f"expected one output, got {len(self._graph.outputs)}; export the scores alone, before labels")

    def _translate(self, node: OnnxNode) -> None:
        if node.domain not in ("", "ai.onnx") or node.operator not in self._operators:
            raise ValueError(f"{node}: this operator is not supported; {ADVICE}")
        if not node.gives:
            raise ValueError(f"{node} gives nothing")
        try:
            given = self._operators[node.operator](self, node)
        except Misfit as fault:
            raise ValueError(f"{node}: {fault}") from fault
        if isinstance(given, Wire):
            self._wires[node.gives[0]] = given
        else:
            self._constants[node.gives[0]] = given

    def _ending_at(self, last: str) -> tuple[Node, ...]:
        """Return the nodes without those that only a dropped softmax's or another's dead end used."""
        if last == INPUT:
            raise ValueError("the output is the input itself: there is no layer in between")
        used, kept = {last}, []
        for name, fields in reversed(self._nodes.items()):
            if name in used:
                if fields["type"] in PARTS:
                    raise ValueError(PARTS[fields["type"]])
                used.update(fields["takes"])
                kept.append(Node.model_validate({"name": name, **fields}))
        self._state = {key: tensor for key, tensor in self._state.items() if key.rpartition(".")[0] in used}
        return tuple(reversed(kept))

    # -------------------------------------------------------------- what operators take

    def wire(self, node: OnnxNode, place: int = 0) -> Wire:
        """Return an input that depends on the network's input."""
        name = node.takes[place] if place < len(node.takes) else ""
        if name in self._wires:
            return self._wires[name]
        if name in self._constants:
            raise Misfit(f"expected {named(name)!r} to depend on the network's input, got a constant")
        raise Misfit(
            f"takes {named(name)!r}, which no earlier node gives: nodes are not in the order of computation, or in a "
            "cycle"
        )

    def constant(self, node: OnnxNode, place: int) -> OnnxTensor | Tensor | None:
        """Return an input that is a constant; None where it is left out."""
        name = node.takes[place] if place < len(node.takes) else ""
        if not name:
            return None
        if name not in self._constants:
            raise Misfit(f"expected {named(name)!r} to be a constant in the file, got a value that is computed")
        return self._constants[name]

    def is_constant(self, node: OnnxNode, place: int) -> bool:
        return place < len(node.takes) and node.takes[place] in self._constants

    def weights(self, node: OnnxNode, place: int) -> Tensor:
        """Return a constant's numbers; the same tensor for every use, so that uses take no memory."""
        found = self.constant(node, place)
        if found is None:
            raise Misfit(f"expected a constant as input {place}, got none")
        name = node.takes[place]
        if isinstance(found, OnnxTensor):
            self._constants[name] = found = found.floats()
        return found

    def vector(self, node: OnnxNode, place: int, size: int) -> Tensor:
        """Return a constant, broadcast to a number for each feature."""
        weights = self.weights(node, place)
        if weights.numel() not in (1, size) or weights.dim() > 2 or (weights.dim() == 2 and len(weights) != 1):
            raise Misfit(f"expected one number, or {size}, one for each feature, got the shape {list(weights.shape)}")
        return weights.reshape(-1).expand(size)

    # -------------------------------------------------------------- what operators give

    def add(self, type: str, takes: Sequence[str], shape: Shape, tensors: Mapping[str, Tensor], **fields: Any) -> Wire:
        """Add a node with its tensors."""
        self._size += math.prod(shape)
        if self._size > MOST_NUMBERS:
            raise Misfit(f"expected at most {MOST_NUMBERS} numbers in all nodes for one sample, got more")
        name = f"{type.replace('-', '_')}_{self._counts[type]}"
        self._counts[type] += 1
        self._nodes[name] = {"type": type, "takes": tuple(takes), **fields}
        self._state |= {f"{name}.{key}": tensor for key, tensor in tensors.items()}
        return Wire(name, shape)

    def linear(self, wire: Wire, weight: Tensor, bias: Tensor | None) -> Wire:
        """Add a layer of weights `(outputs, inputs)`."""
        if len(wire.shape) != 1 or weight.dim() != 2 or weight.shape[1] != wire.shape[0]:
            raise Misfit(f"weights of shape {list(weight.shape)} (outputs, inputs) do not fit a sample of {wire.shape}")
        tensors = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
        outputs = len(weight)
        return self.add("linear", [wire.node], (outputs,), tensors, outputs=outputs, bias=bias is not None)

    def affine(self, wire: Wire, weight: Tensor, bias: Tensor) -> Wire:
        """Add a factor and a shift; several in a row are one, and one that changes nothing is none."""
        if len(wire.shape) != 1:
            raise Misfit(f"expected a vector coming in, got {wire.shape}")
        source = wire.node
        if self.node(wire).get("type") == "affine":
            (source,) = self.node(wire)["takes"]
            bias = bias + weight * self._state[f"{wire.node}.bias"]
            weight = weight * self._state[f"{wire.node}.weight"]
        if torch.allclose(weight, torch.ones_like(weight), rtol=0, atol=ROUNDING) and not bias.any():
            return Wire(source, wire.shape)
        return self.add("affine", [source], wire.shape, {"weight": weight, "bias": bias})

    def factor(self, wire: Wire) -> tuple[str, Tensor, Tensor] | None:
        """Return what an affine node takes, its factors and its shifts; None for another node."""
        node = self.node(wire)
        if node.get("type") != "affine":
            return None
        return node["takes"][0], self._state[f"{wire.node}.weight"], self._state[f"{wire.node}.bias"]

    def with_bias(self, node: OnnxNode, place: int, bias: Tensor) -> Wire | None:
        """Give a linear layer without a bias this one, where nothing else takes what the layer gives."""
        wire = self.wire(node, place)
        layer = self._nodes.get(wire.node, {})
        if layer.get("type") != "linear" or layer["bias"] or self._uses[node.takes[place]] > 1:
            return None
        layer["bias"] = True
        self._state[f"{wire.node}.bias"] = bias
        return wire

    def node(self, wire: Wire) -> dict[str, Any]:
        return self._nodes.get(wire.node, {})

    def is_output(self, node: OnnxNode) -> bool:
        return node.gives[0] in self._graph.outputs


class Misfit(Exception):
    """What is wrong with a node, without its name."""


def _needed(nodes: Sequence[OnnxNode], output: str) -> list[OnnxNode]:
    """Return the nodes that the output needs, in the file's order, which is that of computation."""
    wanted, found = {output}, []
    for node in reversed(nodes):
        if wanted.intersection(node.gives):
            wanted.update(node.takes)
            found.append(node)
    return found[::-1]
