"""Architectures: manifest → module with shapes but without weights.

A module is built for a given state dict, which replaces every parameter; so none is allocated or initialised before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torchvision
from torch import nn
from torch.overrides import TorchFunctionMode

from jobs.errors import UnsupportedModel
from jobs.layers import GraphArchitecture
from jobs.schemas import Manifest, SequentialArchitecture, TorchvisionArchitecture
from worker.models.formats import State
from worker.models.graph import build_graph
from worker.models.sequential import build_sequential


@dataclass(frozen=True)
class _Argument:
    """What one keyword argument of a builder may be."""

    type: type[bool] | type[int] | type[float]
    low: float = 0
    high: float = 1

    def accepts(self, value: object) -> bool:
        if self.type is bool:
            return isinstance(value, bool)
        kinds = (int, float) if self.type is float else (int,)
        return isinstance(value, kinds) and not isinstance(value, bool) and self.low <= value <= self.high

    def __str__(self) -> str:
        return "bool" if self.type is bool else f"{self.type.__name__} in {self.low:g}…{self.high:g}"


# Builders take more than these, such as callables and downloads; what is not listed is refused.
_ARGUMENTS: Mapping[str, _Argument] = {
    "num_classes": _Argument(int, 1, 1_000_000),
    "image_size": _Argument(int, 1, 4096),
    "width_mult": _Argument(float, 0.01, 16),
    "reduced_tail": _Argument(bool),
    "dilated": _Argument(bool),
    "groups": _Argument(int, 1, 1024),
    "width_per_group": _Argument(int, 1, 1024),
    "transform_input": _Argument(bool),
    "aux_logits": _Argument(bool),
    "dropout": _Argument(float),
    "attention_dropout": _Argument(float),
    "stochastic_depth_prob": _Argument(float),
}

# These two have auxiliary heads for training. In eval mode the heads take no part, so they are not built, and their
# weights in a file are ignored. `init_weights` would fill the weights at random, slowly, before they are replaced.
_WITH_AUXILIARY_HEADS = ("googlenet", "inception_v3")
_WITHOUT_HEADS = {"aux_logits": False, "init_weights": False}
_AUXILIARY_KEYS = ("aux1.", "aux2.", "AuxLogits.")

# Files that torchvision still publishes, and what was trained from them, have layer names of its earlier versions.
_OLD_KEYS = (
    ("densenet", re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d)\."), r"\1\2."),
    ("vit_", re.compile(r"\.mlp\.linear_1\."), ".mlp.0."),
    ("vit_", re.compile(r"\.mlp\.linear_2\."), ".mlp.3."),
)


def build(manifest: Manifest, state: State) -> nn.Module:
    """Build the manifest's architecture for the weights in `state`, which are still to be put in.

    The number of classes, where the manifest's arguments leave it out, is that of the file's last layer.

    Returns:
        A module in eval mode whose parameters and running statistics are on the meta device.

    Raises:
        UnsupportedModel: There is no such architecture, or its arguments or layers do not fit together.
    """
    architecture = manifest.architecture
    with _WeightsOnMeta():
        if isinstance(architecture, SequentialArchitecture):
            return build_sequential(architecture.layers, manifest.input).eval()
        if isinstance(architecture, GraphArchitecture):
            return build_graph(architecture.nodes, manifest.input).eval()
        if isinstance(architecture, TorchvisionArchitecture):
            return _build_torchvision(architecture, state).eval()
    raise UnsupportedModel(f"family {architecture.family} is what a file says of itself, and not an architecture")


def fresh(manifest: Manifest, *, outputs: int) -> nn.Module:
    """Build the manifest's architecture with random weights, drawn from torch's global generator.

    Args:
        outputs: Classes of a torchvision model whose arguments do not say how many.

    Raises:
        UnsupportedModel: As `build`.
    """
    architecture = manifest.architecture
    if isinstance(architecture, SequentialArchitecture):
        return build_sequential(architecture.layers, manifest.input)
    if not isinstance(architecture, TorchvisionArchitecture):
        raise UnsupportedModel(f"expected a torchvision or sequential architecture, got family {architecture.family}")
    arguments = {"num_classes": outputs, **_checked_arguments(architecture)}
    if architecture.name in _WITH_AUXILIARY_HEADS:
        arguments |= _WITHOUT_HEADS
    return _call_builder(architecture.name, arguments)


def adapted(manifest: Manifest, state: State) -> State:
    """Return the state under today's keys, and without what an evaluated model has no use for."""
    name = getattr(manifest.architecture, "name", "")
    if name in _WITH_AUXILIARY_HEADS:
        state = {key: tensor for key, tensor in state.items() if not key.startswith(_AUXILIARY_KEYS)}
    for family, old, new in _OLD_KEYS:
        if name.startswith(family):
            state = {old.sub(new, key): tensor for key, tensor in state.items()}
    return state


class _WeightsOnMeta(TorchFunctionMode):
    """Make the functions with which layers create parameters and batch norm's running statistics allocate nothing.

    So an architecture of any size costs nothing until the file is known to have weights of its shapes. Unlike
    `torch.device("meta")` this leaves real what is computed when an architecture is built: RegNet's widths and Swin's
    position indices; and batch norm's counters, which a file may lack.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        device = {"device": "meta"} if func in (torch.empty, torch.zeros, torch.ones) else {}
        return func(*args, **{**(kwargs or {}), **device})


@lru_cache(maxsize=1)
def torchvision_names() -> frozenset[str]:
    """Return the names of torchvision's classification builders."""
    return frozenset(torchvision.models.list_models(module=torchvision.models))


def _build_torchvision(architecture: TorchvisionArchitecture, state: State) -> nn.Module:
    name, arguments = architecture.name, _checked_arguments(architecture)
    if name in _WITH_AUXILIARY_HEADS:
        arguments |= _WITHOUT_HEADS
    module = _call_builder(name, arguments)
    found = _classes_in(module, state)
    if "num_classes" in arguments or found is None:
        return module
    return _call_builder(name, {**arguments, "num_classes": found})


def _checked_arguments(architecture: TorchvisionArchitecture) -> dict[str, Any]:
    if architecture.name not in torchvision_names():
        raise UnsupportedModel(
            f"expected the name of a torchvision classification model, such as resnet18, got {architecture.name!r}"
        )
    for key, value in architecture.arguments.items():
        if key not in _ARGUMENTS:
            raise UnsupportedModel(f"expected arguments among {', '.join(_ARGUMENTS)}; got {key!r}")
        if not _ARGUMENTS[key].accepts(value):
            raise UnsupportedModel(f"argument {key}: expected {_ARGUMENTS[key]}, got {value!r}")
    return dict(architecture.arguments)


def _call_builder(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    try:
        module: nn.Module = torchvision.models.get_model(name, weights=None, **arguments)
    except (TypeError, ValueError, AssertionError, RuntimeError, ArithmeticError) as error:
        raise UnsupportedModel(f"{name} cannot be built with {dict(arguments)}: {error}") from error
    return module


def _classes_in(module: nn.Module, state: State) -> int | None:
    """Return the number of classes of the file's head: every torchvision classifier's last parameter belongs to it."""
    head = state.get(list(module.state_dict())[-1])
    return None if head is None or head.dim() == 0 else len(head)
