"""All numbers of some networks in one tensor, layer by layer: one pass over it updates every parameter of all of them.

A row of `Parameters` holds all layers of one part, so that networks can come and go. Batched products want a layer of
all parts without gaps, and so it lies here: each layer's weights of all parts side by side.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from worker.methods.nid.networks import Design, Parameters


@dataclass(frozen=True)
class Layers:
    """MLPs of one shape, side by side.

    Attributes:
        weights: Of each layer `(rows, fan_in, fan_out)`.
        biases: Of each layer that has them `(rows, fan_out)`.
    """

    weights: list[Tensor]
    biases: list[Tensor]

    def rows(self) -> Tensor:
        """Return them as `Parameters` has them, a row an MLP."""
        return torch.cat([layer.flatten(1) for layer in (*self.weights, *self.biases)], dim=1)


class Block:
    """One number for every parameter of the networks of a design: its value, its slope, or a mean of slopes.

    Attributes:
        numbers: `(n,)`; the rest are views of it.
        deep_weights: `(m,)`, the weights of the deep parts: layer by layer, part by part.
        deep, mains: The parts.
    """

    def __init__(self, design: Design, numbers: Tensor) -> None:
        parts, small = len(design.owner), design.members * design.inputs if design.mains else 0
        deep, mains = numbers.split_with_sizes([parts * sum(design.deep_sizes), small * sum(design.main_sizes)])
        self.numbers = numbers
        self.deep = _layers(deep, parts, design.deep_shapes, design.deep_sizes)
        self.mains = _layers(mains, small, design.main_shapes, design.main_sizes)
        self.deep_weights = deep[: sum(weights.numel() for weights in self.deep.weights)]

    @classmethod
    def of(cls, design: Design, parameters: Parameters) -> Block:
        """Copy rows of parameters."""
        kinds = ((parameters.deep, design.deep_sizes), (parameters.mains, design.main_sizes))
        stretches = [part.reshape(-1) for rows, sizes in kinds for part in rows.split_with_sizes(sizes, dim=1)]
        return cls(design, torch.cat(stretches))

    def parameters(self) -> Parameters:
        """Copy them back into rows."""
        return Parameters(self.deep.rows(), self.mains.rows())


def _layers(numbers: Tensor, rows: int, shapes: list[tuple[int, int]], sizes: list[int]) -> Layers:
    parts = numbers.split_with_sizes([rows * size for size in sizes])
    weights = [part.view(rows, *shape) for part, shape in zip(parts, shapes, strict=False)]
    biases = [part.view(rows, size) for part, size in zip(parts[len(shapes) :], sizes[len(shapes) :], strict=True)]
    return Layers(weights, biases)
