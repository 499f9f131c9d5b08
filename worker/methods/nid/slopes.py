"""The slopes of losses, written out: forward and back through all networks in buffers that are made once.

Half of what `autograd` takes for networks so small is its book-keeping, and its fresh memory falls out of the cache.
"""

from __future__ import annotations

import torch
from torch import Tensor

from worker.methods.nid.blocks import Block, Layers
from worker.methods.nid.losses import Task, turn_into_slopes
from worker.methods.nid.networks import Design


class Pass:
    """The way of one batch through the networks and back.

    Args:
        values: The networks' parameters, read anew in every run.
        slopes: To which runs add.
        batch: Rows of a batch.
    """

    def __init__(self, design: Design, values: Block, slopes: Block, batch: int) -> None:
        self._design, self._batch = design, batch
        self._deep = _Chain(values.deep, slopes.deep, batch)
        self._mains = _Chain(values.mains, slopes.mains, batch) if design.mains else None
        self._sees = design.sees[:, :, None].to(values.numbers.dtype)
        self._answers = values.numbers.new_empty(design.members, design.outputs, batch)

    def run(self, x: Tensor, y: Tensor, task: Task) -> None:
        """Add the slopes of every network's mean loss on its own batch.

        Args:
            x: `(members, batch, inputs)`.
            y: As `losses` takes it.
        """
        columns = x.transpose(1, 2).contiguous()
        self._forward(columns)
        self._back(turn_into_slopes(self._answers, y, task))

    def _forward(self, columns: Tensor) -> None:
        owner, answers = self._design.owner, self._answers
        deep = self._deep.forward(columns.index_select(0, owner).mul_(self._sees))
        if self._mains:
            small = self._mains.forward(columns.view(-1, 1, self._batch))
            torch.sum(small.view(len(answers), -1, *answers.shape[1:]), 1, out=answers)
        else:
            answers.zero_()
        answers.index_add_(0, owner, deep)

    def _back(self, slopes: Tensor) -> None:
        self._deep.back(slopes.index_select(0, self._design.owner))
        if self._mains:
            each = slopes[:, None].expand(-1, self._design.inputs, -1, -1)
            self._mains.back(each.reshape(-1, *slopes.shape[1:]))


class _Chain:
    """MLPs of one shape on a batch: a unit's values lie beside each other, `(rows, units, batch)`."""

    def __init__(self, values: Layers, slopes: Layers, batch: int) -> None:
        self._values, self._slopes = values, slopes
        shapes = [(len(weights), weights.shape[2], batch) for weights in values.weights]
        self._units = [values.weights[0].new_empty(shape) for shape in shapes]
        self._falls = [values.weights[0].new_empty(shape) for shape in shapes[:-1]]

    def forward(self, x: Tensor) -> Tensor:
        """Return the answers to `(rows, fan_in, batch)`; they are overwritten by the next call."""
        self._x = x
        biases = self._values.biases
        for layer, (weights, units) in enumerate(zip(self._values.weights, self._units, strict=True)):
            below = self._units[layer - 1].clamp_min_(0) if layer else x
            if layer < len(biases):
                units.copy_(biases[layer][:, :, None]).baddbmm_(weights.transpose(1, 2), below)
            else:
                torch.bmm(weights.transpose(1, 2), below, out=units)
        return self._units[-1]

    def back(self, fall: Tensor) -> None:
        """Add the slopes of parameters, given those of the answers, `(rows, fan_out, batch)`."""
        for layer in reversed(range(len(self._units))):
            below = self._units[layer - 1] if layer else self._x
            self._slopes.weights[layer].baddbmm_(below, fall.transpose(1, 2))
            if layer < len(self._slopes.biases):
                self._slopes.biases[layer].add_(fall.sum(2))
            if layer:
                fall = self._through(layer, fall)

    def _through(self, layer: int, fall: Tensor) -> Tensor:
        """Carry slopes through a layer's weights and the rectifiers below, which let pass what is above zero."""
        onto = torch.bmm(self._values.weights[layer], fall, out=self._falls[layer - 1])
        torch.ops.aten.threshold_backward.grad_input(onto, self._units[layer - 1], 0, grad_input=onto)
        return onto
