"""Networks written out: JSON with the weights in it, and scikit-learn's multilayer perceptrons as arrays.

    {"layers": [{"type": "linear", "weight": [[1, 2], [3, 4]], "bias": [0, 1]}, {"type": "relu"}, …]}
    {"nodes":  [{"name": "a", "type": "linear", "takes": ["input"], "weight": …}, …]}
    {"coefs_": [[[…]], …], "intercepts_": [[…], …], "activation": "relu"}

A layer's lists of numbers are its tensors, under the names of PyTorch's state dicts; all else is as in a manifest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from jobs.schemas import Architecture
from worker.models.formats import State, named

Written = tuple[Mapping[str, Any], State]
"""An architecture as a manifest has it, and its tensors."""

_ACTIVATIONS = {"identity": None, "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}
_NO_TENSOR = "takes"


def parsed_json(data: bytes) -> dict[str, Any]:
    """Return an object of JSON.

    Raises:
        ValueError: It is none, or holds NaN or infinity.
    """
    try:
        found = json.loads(data, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError(f"expected a JSON object, got {type(found).__name__}")
    return found


def written_network(content: Mapping[str, Any]) -> Written:
    """Read the layers or nodes of a network with their weights.

    Raises:
        ValueError: It has neither or both, or a tensor is no rectangular array of numbers.
    """
    if len(content) != 1 or not {"layers", "nodes"}.intersection(content):
        raise ValueError(
            f"expected an object with `layers`, or with `nodes`, got {[named(key) for key in content][:5]}"
        )
    ((what, listed),) = content.items()
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise ValueError(f"expected {what} to be a list of objects")
    state: State = {}
    described = []
    for place, one in enumerate(listed):
        owner = str(one.get("name", place)) if what == "nodes" else str(place)
        tensors = {key: _tensor(value, owner, key) for key, value in one.items() if _is_tensor(key, value)}
        state |= {f"{owner}.{key}": tensor for key, tensor in tensors.items()}
        described.append(_completed({key: value for key, value in one.items() if key not in tensors}, tensors))
    return {"family": "sequential" if what == "layers" else "graph", what: described}, state


def perceptron(coefficients: Sequence[Tensor], intercepts: Sequence[Tensor], activation: str) -> Written:
    """Read scikit-learn's `coefs_`, `(inputs, outputs)` each, and `intercepts_`; outputs are before the last function.

    Raises:
        ValueError: Their numbers or shapes do not fit each other.
    """
    if len(coefficients) != len(intercepts) or not coefficients:
        raise ValueError(f"expected as many intercepts_ as coefs_, got {len(intercepts)} and {len(coefficients)}")
    layers: list[dict[str, Any]] = []
    state: State = {}
    for place, (weight, bias) in enumerate(zip(coefficients, intercepts, strict=True)):
        if weight.dim() != 2 or bias.shape != weight.shape[1:]:
            raise ValueError(
                f"expected coefs_[{place}] of shape (inputs, outputs) and intercepts_[{place}] of (outputs,), got "
                f"{list(weight.shape)} and {list(bias.shape)}"
            )
        state |= {f"{len(layers)}.weight": weight.T, f"{len(layers)}.bias": bias}
        layers.append({"type": "linear", "inputs": weight.shape[0], "outputs": weight.shape[1]})
        if place < len(coefficients) - 1 and (function := _ACTIVATIONS[activation]):
            layers.append({"type": function})
    return {"family": "sequential", "layers": layers}, state


def written_perceptron(content: Mapping[str, Any]) -> tuple[list[Tensor], list[Tensor], str | None]:
    """Read `coefs_`, `intercepts_` and, where it is there, `activation` of a JSON object.

    Raises:
        ValueError: Something else is there, or they are no arrays.
    """
    if strange := [key for key in content if key not in ("coefs_", "intercepts_", "activation")]:
        raise ValueError(f"expected coefs_, intercepts_ and activation, got {named(strange[0])!r}")
    lists = []
    for name in ("coefs_", "intercepts_"):
        if not isinstance(content.get(name), list):
            raise ValueError(f"expected {name} to be a list of arrays")
        lists.append([_tensor(one, name, str(place)) for place, one in enumerate(content[name])])
    activation = content.get("activation")
    if activation is not None and activation not in _ACTIVATIONS:
        raise ValueError(f"expected an activation among {', '.join(_ACTIVATIONS)}, got {named(str(activation))!r}")
    return lists[0], lists[1], activation


def inputs_of(architecture: Architecture, state: State) -> int | None:
    """Return how many features a network's first tensor takes; None where it does not tell."""
    first = next(iter(state.values()), None)
    return None if first is None or architecture.family not in ("sequential", "graph") else first.shape[-1]


def _is_tensor(key: str, value: object) -> bool:
    return isinstance(value, list) and key != _NO_TENSOR


def _completed(layer: dict[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Say what a linear layer's weights say already."""
    weight = tensors.get("weight")
    if layer.get("type") != "linear" or weight is None:
        return layer
    return {"outputs": len(weight), "bias": "bias" in tensors, **layer}


def _tensor(value: Any, owner: str, key: str) -> Tensor:
    try:
        numbers = np.asarray(value)
    except ValueError:  # Lists of different lengths; NumPy says so in its own words.
        numbers = np.asarray(None)
    if numbers.dtype.kind not in "if" or not numbers.size:
        raise ValueError(f"{named(owner)}.{named(key)}: expected a rectangular array of numbers")
    return torch.from_numpy(numbers.astype(np.float64))


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"expected finite numbers, got {constant}")
