"""Networks that are no chain: layers wired as a graph by name, with sums (residuals) and concatenations.

A node's parameters have its name before theirs, so the state dict of a module whose attributes have the nodes' names
fits as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn

from jobs.errors import UnsupportedModel
from jobs.layers import INPUT, Node
from jobs.schemas import ModelInput
from worker.models.sequential import Shape, build_layer, check_fields

MOST_NUMBERS = 1 << 26
"""Of one sample, over all nodes: 256 MiB. Concatenations of concatenations would grow without end."""


class Add(nn.Module):
    """The sum of what comes in."""

    def forward(self, *values: Tensor) -> Tensor:
        return reduce(torch.add, values)


class Concat(nn.Module):
    """What comes in, side by side: features, or channels of pictures."""

    def forward(self, *values: Tensor) -> Tensor:
        return torch.cat(values, dim=1)


class Graph(nn.Module):
    """Nodes in the order in which they are computed; the last gives the outputs.

    Attributes:
        wiring: Each node's name, and the names of what it takes.
    """

    def __init__(self, nodes: Sequence[tuple[str, tuple[str, ...], nn.Module]]) -> None:
        super().__init__()
        self.wiring = tuple((name, takes) for name, takes, _ in nodes)
        for name, _, module in nodes:
            _put_in(self, name, module)

    def forward(self, x: Tensor) -> Tensor:
        values = {INPUT: x}
        for name, takes in self.wiring:
            values[name] = self.get_submodule(name)(*[values[one] for one in takes])
        return values[self.wiring[-1][0]]


def build_graph(nodes: Sequence[Node], input: ModelInput) -> Graph:
    """Build the nodes for samples of `input`.

    Raises:
        UnsupportedModel: A node does not fit what comes in, is used by none, or the last one gives no vector.
    """
    shapes: dict[str, Shape] = {INPUT: input.shape}
    wired = _wired(nodes)
    _refuse_unused(wired)
    built = []
    for node, takes in wired:
        try:
            module, shape = _build_node(node, [shapes[one] for one in takes], input)
        except (ValueError, RuntimeError) as error:  # The second where a size exceeds 64 bits.
            raise UnsupportedModel(f"node {node.name!r} ({node.type}): {error}") from error
        shapes[node.name] = shape
        built.append((node.name, takes, module))
        if sum(map(math.prod, shapes.values())) > MOST_NUMBERS:
            raise UnsupportedModel(
                f"node {node.name!r}: expected at most {MOST_NUMBERS} numbers in all nodes, got more"
            )
    if len(shapes[built[-1][0]]) != 1:
        raise UnsupportedModel(f"the last node {built[-1][0]!r} gives {shapes[built[-1][0]]}; expected (outputs,)")
    return Graph(built)


def _wired(nodes: Sequence[Node]) -> list[tuple[Node, tuple[str, ...]]]:
    """Return every node with what it takes, where it leaves that out the node before it."""
    before = [INPUT, *(node.name for node in nodes)]
    return [(node, node.takes or (before[place],)) for place, node in enumerate(nodes)]


def _refuse_unused(wired: Sequence[tuple[Node, tuple[str, ...]]]) -> None:
    used = {name for _, takes in wired for name in takes}
    for node, _ in wired[:-1]:
        if node.name not in used:
            raise UnsupportedModel(f"node {node.name!r} is used by no other and is not the last")


def _build_node(node: Node, shapes: Sequence[Shape], input: ModelInput) -> tuple[nn.Module, Shape]:
    match node.type:
        case "add":
            _check_joined(node, shapes, free=0)
            return Add(), shapes[0]
        case "concat":
            _check_joined(node, shapes, free=1)
            return Concat(), (sum(shape[0] for shape in shapes), *shapes[0][1:])
    if len(shapes) != 1:
        raise ValueError(f"expected one node to take from, got {len(shapes)}; join them by add or concat")
    return build_layer(node, shapes[0], input, is_first=False)


def _check_joined(node: Node, shapes: Sequence[Shape], *, free: int) -> None:
    """Check that shapes agree in all but the first `free` axes."""
    check_fields(node)
    if len({(len(shape), *shape[free:]) for shape in shapes}) > 1:
        raise ValueError(f"expected shapes that fit together, got {' and '.join(map(str, shapes))}")


def _put_in(module: nn.Module, name: str, part: nn.Module) -> None:
    """Make `part` the submodule of a dotted name, as `nn.Module.get_submodule` finds it."""
    *folders, last = name.split(".")
    for folder in folders:
        if folder not in module._modules:
            _check_free(module, folder, name)
            module.add_module(folder, nn.Module())
        module = module.get_submodule(folder)
        if type(module) is not nn.Module:
            raise UnsupportedModel(f"node {name!r}: {folder!r} is a node itself and can hold no other")
    _check_free(module, last, name)
    module.add_module(last, part)


def _check_free(module: nn.Module, attribute: str, name: str) -> None:
    if hasattr(module, attribute):
        raise UnsupportedModel(f"expected another name for node {name!r}: {attribute!r} is taken in torch's modules")
