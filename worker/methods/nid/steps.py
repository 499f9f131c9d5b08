"""A network as steps in the order of computation, whether it is a chain or a graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from jobs.errors import UnsupportedModel
from jobs.layers import INPUT
from worker.models.elementwise import Affine
from worker.models.graph import Graph


@dataclass(frozen=True)
class Step:
    """A layer and the steps, or the input, that it takes."""

    name: str
    takes: tuple[str, ...]
    layer: nn.Module


def steps(model: nn.Module) -> Iterator[Step]:
    """Yield the steps of a graph, or of a chain, however nested."""
    if isinstance(model, Graph):
        for name, takes in model.wiring:
            yield Step(name, takes, model.get_submodule(name))
        return
    before = INPUT
    for name, layer in _layers(model, "layer"):
        yield Step(name, (before,), layer)
        before = name


def factors(layer: nn.Module) -> Tensor | None:
    """Return what a layer multiplies each feature by, `(features,)` float64; None for one that does something else.

    Raises:
        UnsupportedModel: A batch norm lacks its statistics.
    """
    if isinstance(layer, Affine):
        return layer.weight.double()
    if not isinstance(layer, nn.BatchNorm1d):
        return None
    if layer.running_var is None:
        raise UnsupportedModel(
            "it has a batch norm without running statistics; use and-or or multi-order instead, which ask the network "
            "and not its weights"
        )
    factor = torch.rsqrt(layer.running_var.double() + layer.eps)
    return factor if layer.weight is None else factor * layer.weight.double()


def _layers(model: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    if isinstance(model, nn.Sequential):
        for place, layer in enumerate(model):
            yield from _layers(layer, f"{name} {place}")
    else:
        yield name, model
