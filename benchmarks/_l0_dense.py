"""L0-SIGN as dense blocks: rows padded to the longest, every pair of places evaluated, padding masked.

A pair i ≤ j is evaluated once and its message goes to both nodes, so no work is done twice; what is padded, and what
other rows have evaluated already, is. It has the parameters of `L0Sign` and computes the paper's model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, embedding, linear

from worker.methods.l0_sign.hard_concrete import HardConcrete
from worker.methods.l0_sign.losses import Lambdas
from worker.methods.l0_sign.model import L0Sign
from worker.methods.l0_sign.pairs import Rows, pairs_of


@dataclass(frozen=True, kw_only=True)
class Block:
    """A batch of rows of features whose values are 1, padded.

    Attributes:
        features: `(rows, longest)`.
        lengths: `(rows,)`.
        first, second: `(places,)`: the pairs of places, first ≤ second.
        present: `(rows, places)` bool: pairs of features, not of padding.
    """

    features: Tensor
    lengths: Tensor
    first: Tensor
    second: Tensor
    present: Tensor


def block_of(rows: Rows, *, features: int) -> Block:
    """Pad rows; index `features` stands for unknown ones, and for padding, which is masked."""
    longest = int(rows.lengths.max())
    here = torch.arange(longest) < rows.lengths[:, None]
    known = torch.where(rows.features < 0, features, rows.features.long())
    first, second = torch.triu_indices(longest, longest)
    return Block(
        features=torch.full(here.shape, features).masked_scatter(here, known), lengths=rows.lengths,
        first=first, second=second, present=here[:, second],
    )  # fmt: skip


def noise_of(rows: Rows, block: Block, uniform: Tensor) -> Tensor:
    """Put the noise of each pair of `pairs_of(rows)`, `(pairs,)`, in its place: `(rows, places)`."""
    pairs = pairs_of(rows)
    start, longest = rows.offsets[pairs.row], block.features.shape[1]
    place = torch.zeros(longest, longest, dtype=torch.int64)
    place[block.first, block.second] = torch.arange(len(block.first))
    noise = torch.full(block.present.shape, 0.5)
    noise[pairs.row, place[pairs.first - start, pairs.second - start]] = uniform
    return noise


class DenseL0Sign(nn.Module):
    """The paper's model on padded rows."""

    def __init__(self, like: L0Sign) -> None:
        super().__init__()
        self.gate = HardConcrete(beta=like.design.beta)
        self.weights = nn.ParameterDict(
            {name.replace(".", "_"): nn.Parameter(weight.detach().clone()) for name, weight in like.named_parameters()}
        )

    def risk(self, block: Block, noise: Tensor, labels: Tensor, lambdas: Lambdas) -> Tensor:
        """Return R of one batch (Eq. 6), given the noise of each pair of places, `(rows, places)`."""
        log_alpha = self._perceptron("edge", self._products("edge_nodes", block)).squeeze(2)
        gates = self.gate.drawn(log_alpha, noise) * block.present
        z = self._perceptron("pair", self._products("nodes", block))
        losses = binary_cross_entropy_with_logits(self._outputs(block, gates, z), labels)
        twice = block.present * (1 + (block.first != block.second).to(z.dtype)) / len(labels)
        gate_penalty = (self.gate.penalty(log_alpha) * twice).sum()
        return losses + lambdas.gates * gate_penalty + lambdas.messages * (z.square().sum(2) * twice).sum()

    def _products(self, name: str, block: Block) -> Tensor:
        nodes = embedding(block.features, self.weights[name])
        return nodes[:, block.first] * nodes[:, block.second]

    def _perceptron(self, name: str, x: Tensor) -> Tensor:
        hidden = torch.relu(linear(x, self.weights[f"{name}_inner_weight"], self.weights[f"{name}_inner_bias"]))
        return linear(hidden, self.weights[f"{name}_outer_weight"], self.weights[f"{name}_outer_bias"])

    def _outputs(self, block: Block, gates: Tensor, z: Tensor) -> Tensor:
        """Return margins, `(rows,)`: means over the open edges of each node, then over the nodes of each row."""
        apart = (block.first != block.second).to(z.dtype)
        shape, open = block.features.shape, (gates > 0).to(z.dtype)
        degrees = z.new_zeros(shape).index_add(1, block.second, open).index_add(1, block.first, open * apart)
        said, back = gates[:, :, None] * z, (gates * apart)[:, :, None] * z
        nodes = z.new_zeros(*shape, z.shape[2]).index_add(1, block.second, said).index_add(1, block.first, back)
        means = linear(nodes / degrees.clamp(min=1)[:, :, None], self.weights["head_weight"]).squeeze(2)
        return means.sum(1) / block.lengths.clamp(min=1) + self.weights["head_bias"]
