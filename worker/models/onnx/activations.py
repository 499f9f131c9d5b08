"""Activations of ONNX, those included that exporters write as several operators.

Source: https://onnx.ai/onnx/operators/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from worker.models.onnx.expectations import expect, number, width
from worker.models.onnx.file import OnnxNode
from worker.models.onnx.translation import ABOVE, ERF, PARTS, ROUNDING, Misfit, Operator, Translation, Wire


def gated(network: Translation, one: Wire, other: Wire) -> Wire:
    """x · σ(x) and x · (1 + erf(x / √2)), as exporters write SiLU and GELU; other products are no dense layers."""
    for value, gate in ((one, other), (other, one)):
        if network.node(gate).get("type") == "sigmoid" and network.node(gate)["takes"] == (value.node,):
            return network.add("silu", [value.node], value.shape, {})
        if (found := _gelu_of(network, value, gate)) is not None:
            return found
    raise Misfit("a product of two computed values is no layer of a dense network")


def _gelu_of(network: Translation, value: Wire, gate: Wire) -> Wire | None:
    """c x · (1 + erf(x / √2)) is 2c GELU(x); c is ½ where the exporter halves first."""
    shifted, scaled = network.factor(gate), network.factor(value)
    if shifted is None or not _is_constant(shifted[1], 1) or not _is_constant(shifted[2], 1):
        return None
    source, factor = value.node, torch.ones(width(value))
    if scaled is not None and not scaled[2].any():
        source, factor, _ = scaled
    erf = network.node(Wire(shifted[0], gate.shape))
    if erf.get("type") != ERF or erf["takes"] != (source,):
        return None
    return network.affine(network.add("gelu", [source], value.shape, {}), 2 * factor, torch.zeros_like(factor))


def _erf(network: Translation, node: OnnxNode) -> Wire:
    wire = network.wire(node)
    scaled = network.factor(wire)
    if scaled is None or not _is_constant(scaled[1], 0.5**0.5) or scaled[2].any():
        raise Misfit(PARTS[ERF])
    return network.add(ERF, [scaled[0]], wire.shape, {})


def _greater(network: Translation, node: OnnxNode) -> Wire:
    wire = network.wire(node)
    if not _is_constant(network.vector(node, 1, width(wire)), 20):
        raise Misfit(PARTS[ABOVE])
    return network.add(ABOVE, [wire.node], wire.shape, {})


def _where(network: Translation, node: OnnxNode) -> Wire:
    """Read x where x > 20, else softplus(x): PyTorch's softplus, which differs from it by rounding only."""
    condition, above, below = (network.wire(node, place) for place in range(3))
    parts = [(network.node(one).get("type"), network.node(one).get("takes")) for one in (condition, below)]
    if parts != [(ABOVE, (above.node,)), ("softplus", (above.node,))]:
        raise Misfit("expected PyTorch's softplus, x where x > 20, else softplus(x)")
    return below


def _is_constant(numbers: Tensor, expected: float) -> bool:
    return torch.allclose(numbers, torch.full_like(numbers, expected), rtol=0, atol=ROUNDING)


def _clip(network: Translation, node: OnnxNode) -> Wire:
    low, high = _bound(network, node, 1, "min"), _bound(network, node, 2, "max")
    if low != 0 or high not in (None, 6):
        raise Misfit(f"expected a rectifier, from 0 to 6 or from 0 on, got {low} to {high}")
    return _activated(network, node, "relu" if high is None else "relu6")


def _bound(network: Translation, node: OnnxNode, place: int, attribute: str) -> float | None:
    if network.constant(node, place) is not None:
        return float(network.vector(node, place, 1))
    return number(node, attribute, 0) if attribute in node.attributes else None


def _activated(network: Translation, node: OnnxNode, type: str, **fields: Any) -> Wire:
    wire = network.wire(node)
    return network.add(type, [wire.node], wire.shape, {}, **fields)


def _plain(type: str) -> Operator:
    return lambda network, node: _activated(network, node, type)


def _sloped(type: str, default: float) -> Operator:
    def translate(network: Translation, node: OnnxNode) -> Wire:
        slope = number(node, "alpha", default)
        if not 0 <= slope <= 100:
            raise Misfit(f"expected an alpha from 0 to 100, got {slope:g}")
        return _activated(network, node, type, slope=slope)

    return translate


def _selu(network: Translation, node: OnnxNode) -> Wire:
    expect(node, "alpha", 1.6732632, only=[1.6732632])
    expect(node, "gamma", 1.050701, only=[1.050701])
    return _activated(network, node, "selu")


def _hard_sigmoid(network: Translation, node: OnnxNode) -> Wire:
    expect(node, "alpha", 0.2, only=[1 / 6])
    expect(node, "beta", 0.5, only=[0.5])
    return _activated(network, node, "hardsigmoid")


def _gelu(network: Translation, node: OnnxNode) -> Wire:
    if node.attributes.get("approximate", "none") != "none":
        raise Misfit("expected the exact GELU, got an approximate one")
    return _activated(network, node, "gelu")


ACTIVATIONS: Mapping[str, Operator] = {
    "Clip": _clip,
    "Relu": _plain("relu"),
    "Tanh": _plain("tanh"),
    "Sigmoid": _plain("sigmoid"),
    "Softplus": _plain("softplus"),
    "HardSwish": _plain("hardswish"),
    "LeakyRelu": _sloped("leaky-relu", 0.01),
    "Elu": _sloped("elu", 1.0),
    "Selu": _selu,
    "HardSigmoid": _hard_sigmoid,
    "Gelu": _gelu,
    "Erf": _erf,
    "Greater": _greater,
    "Where": _where,
}
