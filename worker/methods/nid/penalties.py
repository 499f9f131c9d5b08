"""The norms that hold weights down: L1 with or without groups on the deep parts, the squared norm on everything."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from worker.methods.nid.blocks import Block
from worker.methods.nid.networks import Design, Parameters, deep_weights

Lasso = Literal["none", "inputs", "units", "sparse-inputs", "sparse-units"]
"""What L1 penalises in the first layer: weights one by one (`none`), an input's or a unit's together, or both."""


def sparsity(design: Design, parameters: Parameters, lasso: Lasso) -> Tensor:
    """Return the norm of every deep part's weights that the L1 weight multiplies, `(parts,)`."""
    first, *later = deep_weights(design, parameters)
    norm: Tensor = torch.cat([weights.flatten(1) for weights in later], dim=1).abs().sum(1)
    if _one_by_one(lasso):
        norm = norm + first.abs().sum((1, 2))
    if lasso == "none":
        return norm
    axis = 1 if lasso.endswith("inputs") else 2  # a column an input, a row a unit
    lengths: Tensor = torch.linalg.vector_norm(first, dim=axis)
    return norm + math.sqrt(first.shape[axis]) * lengths.sum(1)


class Penalty:
    """What is added to the losses of some networks.

    Args:
        block: Any block of their design.
        l1: `(parts,)`, the weight of each deep part's norm.
        l2: Of the squared norm of all numbers.
    """

    def __init__(self, block: Block, l1: Tensor, *, l2: float, lasso: Lasso) -> None:
        rates = [l1[:, None].expand(len(l1), weights[0].numel()) for weights in block.deep.weights if len(l1)]
        if rates and not _one_by_one(lasso):
            rates[0] = torch.zeros_like(rates[0])
        self._l1, self._l2, self._lasso = l1, l2, lasso
        self._rates = torch.cat([rate.flatten() for rate in rates]) if l1.any() else None

    def write_slopes(self, values: Block, onto: Block) -> None:
        """Write the penalty's slopes, over whatever is there; where a norm has a corner, at zero, its slope is zero."""
        onto.numbers.zero_()
        if self._rates is not None:
            torch.sign(values.deep_weights, out=onto.deep_weights).mul_(self._rates)
            if self._lasso != "none":
                self._add_groups(values.deep.weights[0], onto.deep.weights[0])
        if self._l2:
            onto.numbers.add_(values.numbers, alpha=2 * self._l2)

    def _add_groups(self, first: Tensor, onto: Tensor) -> None:
        axis = 2 if self._lasso.endswith("inputs") else 1  # layers of a block are `(parts, inputs, units)`
        lengths = torch.linalg.vector_norm(first, dim=axis, keepdim=True)
        steepness = math.sqrt(first.shape[axis]) * self._l1[:, None, None]
        onto.addcmul_(first, steepness / lengths.clamp(min=torch.finfo(first.dtype).tiny))


def _one_by_one(lasso: Lasso) -> bool:
    return lasso in ("none", "sparse-inputs", "sparse-units")
