"""Many additive networks at once: every layer of all of them is one batched matrix product.

A network is a sum of parts: deep parts, each an MLP that sees some of the inputs, and, where wanted, one small network
for every single input. The paper's MLP is one deep part that sees everything; MLP-M adds the small networks, which
take the main effects off the deep part; the additive model of MLP-Cutoff has a deep part for every interaction, which
sees its members alone. All parameters of a part lie in one row, so that members leave by slicing two tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

HIDDEN = (140, 100, 60, 20)
"""Of a deep part, the paper's."""
MAIN_HIDDEN = (10, 10, 10)
"""Of the small network of a single input, the paper's; its output has no bias."""


@dataclass(frozen=True)
class Design:
    """Which parts the networks of an ensemble have.

    Attributes:
        inputs, outputs: Of every network.
        owner: `(parts,)` int64: the network that a deep part belongs to; ascending.
        sees: `(parts, inputs)` bool.
        mains: Whether there is a small network for every single input.
        hidden, main_hidden: Units of the hidden layers.
    """

    inputs: int
    outputs: int
    members: int
    owner: Tensor
    sees: Tensor
    mains: bool
    hidden: tuple[int, ...] = HIDDEN
    main_hidden: tuple[int, ...] = MAIN_HIDDEN

    @property
    def deep_shapes(self) -> list[tuple[int, int]]:
        """`(fan_in, fan_out)` of a deep part's layers."""
        return list(pairwise((self.inputs, *self.hidden, self.outputs)))

    @property
    def main_shapes(self) -> list[tuple[int, int]]:
        """`(fan_in, fan_out)` of a small network's layers."""
        return list(pairwise((1, *self.main_hidden, self.outputs)))

    @property
    def deep_sizes(self) -> list[int]:
        """Numbers in each stretch of a deep part's row: weights by layer, then biases by layer."""
        return _sizes(self.deep_shapes, last_bias=True)

    @property
    def main_sizes(self) -> list[int]:
        """Numbers in each stretch of a small network's row."""
        return _sizes(self.main_shapes, last_bias=False)

    def of(self, kept: Tensor) -> Design:
        """Keep some networks, by `(members,)` bool."""
        parts, _ = self.rows(kept)
        owner = (kept.cumsum(0) - 1)[self.owner[parts]]
        return replace(self, members=int(kept.sum()), owner=owner, sees=self.sees[parts])

    def rows(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        """Mark the rows of `Parameters` that belong to some networks, given by `(members,)` bool."""
        mains = kept.repeat_interleave(self.inputs) if self.mains else torch.empty(0, dtype=torch.bool)
        return kept[self.owner], mains


@dataclass(frozen=True)
class Parameters:
    """The numbers that are trained.

    Attributes:
        deep: `(parts, …)`, one row a deep part: weights, then biases.
        mains: `(members · inputs, …)`, one row a small network; no rows where the design has none.
    """

    deep: Tensor
    mains: Tensor

    def of(self, deep: Tensor, mains: Tensor) -> Parameters:
        """Keep some rows of each."""
        return Parameters(self.deep[deep], self.mains[mains])

    def like(self, number: float) -> Parameters:
        """Return as many numbers that are all the same."""
        return Parameters(torch.full_like(self.deep, number), torch.full_like(self.mains, number))


def mlp(inputs: int, outputs: int, *, members: int, mains: bool, hidden: tuple[int, ...] = HIDDEN) -> Design:
    """Design an ensemble of MLP, or with `mains` of MLP-M."""
    sees = torch.ones(members, inputs, dtype=torch.bool)
    return Design(inputs, outputs, members, torch.arange(members), sees, mains, hidden)


def additive(
    inputs: int, outputs: int, interactions: Sequence[Sequence[Sequence[int]]], *, hidden: tuple[int, ...] = HIDDEN
) -> Design:
    """Design additive models, one for each list of interactions: a deep part a set, and all main effects."""
    owner = [member for member, sets in enumerate(interactions) for _ in sets]
    sees = torch.zeros(len(owner), inputs, dtype=torch.bool)
    for part, members in enumerate(one for sets in interactions for one in sets):
        sees[part, list(members)] = True
    owners = torch.tensor(owner, dtype=torch.int64)
    return Design(inputs, outputs, len(interactions), owners, sees, mains=True, hidden=hidden)


def initial(design: Design, generators: Sequence[torch.Generator]) -> Parameters:
    """Draw weights and biases uniformly up to 1/√fan_in, each network by its own generator."""
    owners = design.owner.tolist()
    deep = [_drawn(design.deep_shapes, generators[owner], last_bias=True) for owner in owners]
    small = [
        _drawn(design.main_shapes, generator, last_bias=False)
        for generator in generators
        for _ in range(design.inputs if design.mains else 0)
    ]
    return Parameters(_stacked(deep, design.deep_sizes), _stacked(small, design.main_sizes))


def forward(design: Design, parameters: Parameters, x: Tensor) -> Tensor:
    """Evaluate every network on its own batch: `(members, batch, inputs)` to `(members, batch, outputs)`."""
    answers = x.new_zeros(design.members, design.outputs, x.shape[1])
    columns = x.transpose(1, 2)
    if len(design.owner):
        seen = columns[design.owner] * design.sees[:, :, None]
        answers = answers.index_add(0, design.owner, _chain(seen, parameters.deep, design.deep_shapes, last_bias=True))
    if design.mains:
        answers = answers + _small(design, parameters, columns).sum(1)
    return answers.transpose(1, 2)


def main_effects(design: Design, parameters: Parameters, x: Tensor) -> Tensor:
    """Evaluate the small networks: `(members, batch, inputs)` to `(members, inputs, batch, outputs)`."""
    return _small(design, parameters, x.transpose(1, 2)).transpose(2, 3)


def deep_weights(design: Design, parameters: Parameters) -> list[Tensor]:
    """Return each layer's weights, input side first: `(parts, fan_out, fan_in)`."""
    weights, _ = _split(parameters.deep, design.deep_shapes, last_bias=True)
    return [weight.transpose(1, 2) for weight in weights]


def _small(design: Design, parameters: Parameters, columns: Tensor) -> Tensor:
    """Evaluate the small networks: `(members, inputs, batch)` to `(members, inputs, outputs, batch)`."""
    alone = columns.reshape(-1, 1, columns.shape[2])
    answers = _chain(alone, parameters.mains, design.main_shapes, last_bias=False)
    return answers.view(design.members, design.inputs, design.outputs, columns.shape[2])


def _chain(x: Tensor, rows: Tensor, shapes: list[tuple[int, int]], *, last_bias: bool) -> Tensor:
    """Run `(rows, fan_in, batch)` through the MLPs whose parameters are `rows`.

    A unit's values lie beside each other: small networks have few units, and short stretches of memory are slow.
    """
    weights, biases = _split(rows, shapes, last_bias=last_bias)
    for layer, weight in enumerate(weights):
        if layer:
            x = x.relu()
        turned = weight.transpose(1, 2)
        x = torch.baddbmm(biases[layer], turned, x) if layer < len(biases) else torch.bmm(turned, x)
    return x


def _split(rows: Tensor, shapes: list[tuple[int, int]], *, last_bias: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Cut rows into weights `(rows, fan_in, fan_out)` and biases `(rows, fan_out, 1)`."""
    parts = rows.split_with_sizes(_sizes(shapes, last_bias=last_bias), dim=1)
    weights = [part.view(-1, *shape) for part, shape in zip(parts, shapes, strict=False)]
    return weights, [part.unsqueeze(2) for part in parts[len(shapes) :]]


def _sizes(shapes: list[tuple[int, int]], *, last_bias: bool) -> list[int]:
    biases = [fan_out for _, fan_out in shapes]
    return [fan_in * fan_out for fan_in, fan_out in shapes] + (biases if last_bias else biases[:-1])


def _drawn(shapes: list[tuple[int, int]], generator: torch.Generator, *, last_bias: bool) -> Tensor:
    fans = [fan_in for fan_in, _ in shapes]
    sizes = _sizes(shapes, last_bias=last_bias)
    bounds = [fan_in**-0.5 for fan_in in fans] * 2
    drawn = [
        (torch.rand(size, generator=generator) * 2 - 1) * bound for size, bound in zip(sizes, bounds, strict=False)
    ]
    return torch.cat(drawn)


def _stacked(rows: list[Tensor], sizes: list[int]) -> Tensor:
    return torch.stack(rows) if rows else torch.empty(0, sum(sizes))
