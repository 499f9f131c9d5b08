"""An ONNX file as plain values: nodes, attributes, tensors. Nothing is executed, nothing outside the file is opened.

Only the fields that dense networks need are read; what would change the meaning of a network and is not understood
(functions, subgraphs, external data, sparse or quantised tensors) is refused where it is met.

Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from worker.models.formats import named
from worker.models.onnx.protobuf import fields, numbers, part, signed, text

MOST_NODES = 10_000
MOST_TENSORS = 10_000
_MOST_AXES = 8
_MOST_NUMBERS = 64
"""Of an attribute, or of a tensor of whole numbers: axes and shapes."""

_FLOATS: Mapping[int, tuple[str, type[np.generic]]] = {
    1: ("float32", np.float32), 10: ("float16", np.float16), 11: ("float64", np.float64),
}  # fmt: skip
_INT64 = 7


@dataclass
class OnnxTensor:
    """A constant.

    Attributes:
        data: The bytes of its numbers, little-endian; a view of the file.
        whole: Its numbers, where they are of int64 and stand in a field of their own.
    """

    name: str = ""
    dims: tuple[int, ...] = ()
    kind: int = 0
    data: memoryview = field(default_factory=lambda: memoryview(b""))
    whole: tuple[int, ...] = ()

    def floats(self) -> Tensor:
        """Return the numbers.

        Raises:
            ValueError: They are of another type, or fewer or more than the shape says.
        """
        if self.kind not in _FLOATS:
            raise ValueError(f"tensor {named(self.name)!r}: expected float numbers, got ONNX's data type {self.kind}")
        kind = np.dtype(_FLOATS[self.kind][1]).newbyteorder("<")
        expected = math.prod(self.dims) * kind.itemsize
        if len(self.data) != expected:
            raise ValueError(
                f"tensor {named(self.name)!r} of shape {list(self.dims)} takes {expected} bytes, but has "
                f"{len(self.data)}"
            )
        return torch.from_numpy(np.frombuffer(self.data, kind).reshape(self.dims).copy())

    def integers(self) -> tuple[int, ...]:
        """Return a short list of whole numbers, such as a shape.

        Raises:
            ValueError: It is none.
        """
        if self.kind != _INT64 or len(self.data) > 8 * _MOST_NUMBERS or len(self.data) % 8:
            raise ValueError(f"tensor {named(self.name)!r}: expected a few whole numbers of int64")
        return self.whole or struct.unpack(f"<{len(self.data) // 8}q", self.data)


Attribute = float | int | str | tuple[float, ...] | tuple[int, ...] | OnnxTensor


@dataclass
class OnnxNode:
    """One operation: names of what it takes and gives."""

    operator: str = ""
    name: str = ""
    domain: str = ""
    takes: list[str] = field(default_factory=list)
    gives: list[str] = field(default_factory=list)
    attributes: dict[str, Attribute] = field(default_factory=dict)

    def __str__(self) -> str:
        operator = f"{self.domain}.{self.operator}" if self.domain not in ("", "ai.onnx") else self.operator
        label = self.name or (self.gives[0] if self.gives else "")
        return f"node {named(label)!r} ({named(operator)})"


@dataclass
class OnnxGraph:
    """A network.

    Attributes:
        inputs: The sample's shape by name, without the batch's axis; None for an axis without a fixed size.
    """

    nodes: list[OnnxNode] = field(default_factory=list)
    tensors: dict[str, OnnxTensor] = field(default_factory=dict)
    inputs: dict[str, tuple[int | None, ...]] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)


def read_onnx(data: memoryview) -> OnnxGraph:
    """Read a file.

    Raises:
        ValueError: It is no ONNX file, is damaged, too large, or holds what is not understood.
    """
    graph = None
    for number, value in fields(data):
        if number == 7:
            graph = _graph(part(value))
        elif number == 25:
            raise ValueError("the file defines functions of its own; export without them")
    if graph is None:
        raise ValueError("the file holds no graph")
    return graph


def _graph(message: memoryview) -> OnnxGraph:
    graph = OnnxGraph()
    for number, value in fields(message):
        match number:
            case 1:
                graph.nodes.append(_node(part(value)))
            case 5:
                tensor = _tensor(part(value))
                graph.tensors[tensor.name] = tensor
            case 11:
                name, shape = _value(part(value))
                graph.inputs[name] = shape
            case 12:
                graph.outputs.append(_value(part(value))[0])
            case 15:
                raise ValueError("the file holds sparse tensors; save dense ones")
        if len(graph.nodes) > MOST_NODES or len(graph.tensors) > MOST_TENSORS:
            raise ValueError(f"expected at most {MOST_NODES} nodes and {MOST_TENSORS} tensors, got more")
    return graph


def _node(message: memoryview) -> OnnxNode:
    node = OnnxNode()
    for number, value in fields(message):
        match number:
            case 1:
                node.takes.append(text(value))
            case 2:
                node.gives.append(text(value))
            case 3:
                node.name = text(value)
            case 4:
                node.operator = text(value)
            case 5:
                name, attribute = _attribute(part(value))
                node.attributes[name] = attribute
            case 7:
                node.domain = text(value)
        if len(node.takes) + len(node.gives) + len(node.attributes) > _MOST_NUMBERS:
            raise ValueError(f"{node}: expected at most {_MOST_NUMBERS} inputs, outputs and attributes, got more")
    return node


def _attribute(message: memoryview) -> tuple[str, Attribute]:
    name, several = "", list[float]()
    found: Attribute | None = None
    for number, value in fields(message):
        match number:
            case 1:
                name = text(value)
            case 2:
                (found,) = _packed_floats(part(value))
            case 3:
                found = signed(value)
            case 4:
                found = text(value)
            case 5:
                found = _tensor(part(value))
            case 6 | 11:
                raise ValueError("the file holds graphs within its graph, such as the branches of an If")
            case 7:
                several += _packed_floats(part(value))
            case 8:
                several += numbers(value, most=_MOST_NUMBERS)
        if len(several) > _MOST_NUMBERS:
            raise ValueError(f"attribute {named(name)!r}: expected at most {_MOST_NUMBERS} numbers, got more")
    return name, tuple(several) if found is None else found


def _packed_floats(data: memoryview) -> list[float]:
    if len(data) > 4 * _MOST_NUMBERS or len(data) % 4:
        raise ValueError(f"an attribute holds {len(data)} bytes of numbers; expected a few numbers")
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def _tensor(message: memoryview) -> OnnxTensor:
    tensor, dims = OnnxTensor(), list[int]()
    for number, value in fields(message):
        match number:
            case 1:
                dims += numbers(value, most=_MOST_AXES)
            case 2:
                tensor.kind = signed(value)
            case 4 | 9 | 10:
                tensor.data = part(value)
            case 7:
                tensor.whole = (*tensor.whole, *numbers(value, most=_MOST_NUMBERS))
            case 8:
                tensor.name = text(value)
            case 13 | 14 if number == 13 or value:
                raise ValueError(
                    f"tensor {named(tensor.name)!r} lies in another file; save the model with all its data in one file"
                )
        if len(tensor.whole) > _MOST_NUMBERS or len(dims) > _MOST_AXES or any(size < 0 for size in dims):
            raise ValueError(f"tensor {named(tensor.name)!r} has an invalid shape")
    tensor.dims = tuple(dims)
    return tensor


def _value(message: memoryview) -> tuple[str, tuple[int | None, ...]]:
    """Return name and sample shape of a graph's input or output: the first axis is the batch's."""
    name, shape = "", list[int | None]()
    for number, value in fields(message):
        if number == 1:
            name = text(value)
        elif number == 2:
            shape = [size for kind in _all(part(value), 1) for sizes in _all(kind, 2) for size in _sizes(sizes)]
    return name, tuple(shape[1:])


def _sizes(message: memoryview) -> list[int | None]:
    sizes: list[int | None] = []
    for axis in _all(message, 1):
        known = [signed(value) for number, value in fields(axis) if number == 1]
        sizes.append(known[0] if known and known[0] > 0 else None)
        if len(sizes) > _MOST_AXES:
            raise ValueError(f"expected at most {_MOST_AXES} axes, got more")
    return sizes


def _all(message: memoryview, wanted: int) -> list[memoryview]:
    return [part(value) for number, value in fields(message) if number == wanted]
