"""What each ONNX operator of a dense network becomes.

The outputs are those before a last softmax, as everything here explains logits.
Source: https://onnx.ai/onnx/operators/
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from worker.models.onnx.activations import ACTIVATIONS, gated
from worker.models.onnx.expectations import expect, number, width
from worker.models.onnx.file import OnnxNode, OnnxTensor
from worker.models.onnx.translation import Given, Misfit, Operator, Translation, Wire


def _gemm(network: Translation, node: OnnxNode) -> Wire:
    expect(node, "transA", 0, only=[0])
    expect(node, "alpha", 1, only=[1])
    expect(node, "beta", 1, only=[1])
    weight = network.weights(node, 1)
    if weight.dim() != 2:
        raise Misfit(f"expected a matrix of weights, got the shape {list(weight.shape)}")
    weight = weight if number(node, "transB", 0) else weight.T
    bias = network.vector(node, 2, len(weight)) if network.constant(node, 2) is not None else None
    return network.linear(network.wire(node), weight, bias)


def _matmul(network: Translation, node: OnnxNode) -> Wire:
    wire, weight = network.wire(node), network.weights(node, 1)
    if weight.dim() != 2:
        raise Misfit(f"expected a matrix of weights, got the shape {list(weight.shape)}")
    return network.linear(wire, weight.T, None)


def _add(network: Translation, node: OnnxNode) -> Wire:
    constant = next((place for place in (0, 1) if network.is_constant(node, place)), None)
    if constant is None:
        return _joined(network, "add", [network.wire(node, place) for place in range(len(node.takes))])
    wire = network.wire(node, 1 - constant)
    bias = network.vector(node, constant, width(wire))
    return network.with_bias(node, 1 - constant, bias) or network.affine(wire, torch.ones_like(bias), bias)


def _subtract(network: Translation, node: OnnxNode) -> Wire:
    if network.is_constant(node, 1):
        wire = network.wire(node)
        minus = -network.vector(node, 1, width(wire))
        return network.with_bias(node, 0, minus) or network.affine(wire, torch.ones_like(minus), minus)
    taken = network.wire(node, 1)
    ones = torch.ones(width(taken))
    if network.is_constant(node, 0):
        return network.affine(taken, -ones, network.vector(node, 0, width(taken)))
    negative = network.affine(taken, -ones, torch.zeros_like(ones))
    return _joined(network, "add", [network.wire(node), negative])


def _multiply(network: Translation, node: OnnxNode) -> Wire:
    constant = next((place for place in (0, 1) if network.is_constant(node, place)), None)
    if constant is None:
        return gated(network, network.wire(node), network.wire(node, 1))
    wire = network.wire(node, 1 - constant)
    factor = network.vector(node, constant, width(wire))
    return network.affine(wire, factor, torch.zeros_like(factor))


def _divide(network: Translation, node: OnnxNode) -> Wire:
    wire = network.wire(node)
    factor = 1 / network.vector(node, 1, width(wire))
    return network.affine(wire, factor, torch.zeros_like(factor))


def _sum(network: Translation, node: OnnxNode) -> Wire:
    return _joined(network, "add", [network.wire(node, place) for place in range(len(node.takes))])


def _concat(network: Translation, node: OnnxNode) -> Wire:
    wires = [network.wire(node, place) for place in range(len(node.takes))]
    axes = (1, -1) if all(len(wire.shape) == 1 for wire in wires) else (1,)
    expect(node, "axis", 1, only=axes)
    return _joined(network, "concat", wires)


def _joined(network: Translation, type: str, wires: Sequence[Wire]) -> Wire:
    if not wires:
        raise Misfit("takes nothing")
    free = 1 if type == "concat" else 0
    if len({(len(wire.shape), *wire.shape[free:]) for wire in wires}) > 1:
        raise Misfit(f"expected shapes that fit together, got {' and '.join(str(wire.shape) for wire in wires)}")
    if len(wires) == 1:
        return wires[0]
    first = wires[0].shape
    shape = (sum(wire.shape[0] for wire in wires), *first[1:]) if free else first
    return network.add(type, [wire.node for wire in wires], shape, {})


def _batch_norm(network: Translation, node: OnnxNode) -> Wire:
    expect(node, "training_mode", 0, only=[0])
    wire = network.wire(node)
    keys = ("weight", "bias", "running_mean", "running_var")
    tensors = {key: network.vector(node, place, wire.shape[0]) for place, key in enumerate(keys, start=1)}
    epsilon = number(node, "epsilon", 1e-5)
    if not 0 < epsilon <= 1:
        raise Misfit(f"expected an epsilon above 0 and up to 1, got {epsilon:g}")
    return network.add("batch-norm", [wire.node], wire.shape, tensors, epsilon=epsilon)


def _same(network: Translation, node: OnnxNode) -> Given:
    """What only matters in training, or to types: Identity, Dropout, Cast."""
    if node.operator == "Dropout" and network.constant(node, 2) is not None:
        raise Misfit("drops at random when it is evaluated, too (training_mode); export for evaluation")
    constant = network.constant(node, 0) if network.is_constant(node, 0) else None
    return network.wire(node) if constant is None else constant


def _flatten(network: Translation, node: OnnxNode) -> Wire:
    expect(node, "axis", 1, only=[1])
    return _flat(network, network.wire(node))


def _reshape(network: Translation, node: OnnxNode) -> Wire:
    wire, shape = network.wire(node), network.constant(node, 1)
    wanted = shape.integers() if isinstance(shape, OnnxTensor) else ()
    if len(wanted) != 2 or wanted[1] not in (-1, math.prod(wire.shape)) or wanted[0] not in (-1, 0, 1):
        raise Misfit(f"expected a shape of (batch, features) that flattens a sample of {wire.shape}, got {wanted}")
    return _flat(network, wire)


def _flat(network: Translation, wire: Wire) -> Wire:
    if len(wire.shape) == 1:
        return wire
    return network.add("flatten", [wire.node], (math.prod(wire.shape),), {})


def _transpose(network: Translation, node: OnnxNode) -> Tensor:
    """Of a matrix of weights, as exporters leave it."""
    weight = network.weights(node, 0)
    if weight.dim() != 2 or node.attributes.get("perm", (1, 0)) != (1, 0):
        raise Misfit("expected a matrix of weights whose axes change places")
    return weight.T


def _constant(network: Translation, node: OnnxNode) -> OnnxTensor | Tensor:  # noqa: ARG001  # as all others
    for name in ("value", "value_float", "value_floats"):
        match node.attributes.get(name):
            case OnnxTensor() as found:
                return found
            case float() as number:
                return torch.tensor(number)
            case tuple() as several:
                return torch.tensor(several, dtype=torch.float32)
    raise Misfit("expected a tensor or floats")


def _softmax(network: Translation, node: OnnxNode) -> Wire:
    if not network.is_output(node):
        raise Misfit("only a last softmax can be left out; inside a network it mixes all values by their sizes")
    return network.wire(node)


OPERATORS: Mapping[str, Operator] = {
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Add": _add,
    "Sub": _subtract,
    "Mul": _multiply,
    "Div": _divide,
    "Sum": _sum,
    "Concat": _concat,
    "BatchNormalization": _batch_norm,
    "Identity": _same,
    "Dropout": _same,
    "Cast": _same,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Constant": _constant,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    **ACTIVATIONS,
}
