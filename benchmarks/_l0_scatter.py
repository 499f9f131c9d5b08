"""L0-SIGN as a graph library would run it: every directed edge of every row is evaluated, nodes sum what reaches them.

A batch is one graph: its nodes are the entries of its rows, its edges both directions of every pair and a loop at each
node. Nothing is shared between edges that join the same features. It has the parameters of `L0Sign` under the same
names and computes the paper's model, so that both can be asked for the same loss.
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
class Graph:
    """A batch of rows as one graph.

    Attributes:
        features: `(nodes,)`.
        values: `(nodes,)`; None where all are 1.
        row: `(nodes,)`: the row of each node.
        sources: `(edges,)` nodes.
        targets: `(edges,)` nodes.
        pair: `(edges,)`: the pair of each edge, so that both directions have the same noise.
        rows: How many.
    """

    features: Tensor
    values: Tensor | None
    row: Tensor
    sources: Tensor
    targets: Tensor
    pair: Tensor
    rows: int


def graph_of(rows: Rows, *, features: int) -> Graph:
    """Turn rows into a graph; index `features` stands for unknown ones."""
    pairs = pairs_of(rows)
    back = pairs.apart.nonzero().squeeze(1)
    return Graph(
        features=torch.where(rows.features < 0, features, rows.features.long()), values=rows.values, row=rows.row_of,
        sources=torch.cat([pairs.first, pairs.second[back]]), targets=torch.cat([pairs.second, pairs.first[back]]),
        pair=torch.cat([torch.arange(len(pairs.row)), back]), rows=len(rows),
    )  # fmt: skip


class ScatterL0Sign(nn.Module):
    """The paper's model on graphs."""

    def __init__(self, like: L0Sign) -> None:
        super().__init__()
        self.gate = HardConcrete(beta=like.design.beta)
        self.weights = nn.ParameterDict(
            {name.replace(".", "_"): nn.Parameter(weight.detach().clone()) for name, weight in like.named_parameters()}
        )

    def risk(self, graph: Graph, uniform: Tensor, labels: Tensor, lambdas: Lambdas) -> Tensor:
        """Return R of one batch (Eq. 6), given the noise of each pair."""
        log_alpha = self._perceptron("edge", self._products("edge_nodes", graph, None)).squeeze(1)
        gates = self.gate.drawn(log_alpha, uniform.index_select(0, graph.pair))
        z = self._perceptron("pair", self._products("nodes", graph, graph.values))
        losses = binary_cross_entropy_with_logits(self._outputs(graph, gates, z), labels)
        gate_penalty = self.gate.penalty(log_alpha).sum() / graph.rows
        return losses + lambdas.gates * gate_penalty + lambdas.messages * z.square().sum() / graph.rows

    def _products(self, name: str, graph: Graph, values: Tensor | None) -> Tensor:
        nodes = embedding(graph.features, self.weights[name])
        if values is not None:
            nodes = nodes * values[:, None]
        return nodes.index_select(0, graph.sources) * nodes.index_select(0, graph.targets)

    def _perceptron(self, name: str, x: Tensor) -> Tensor:
        hidden = torch.relu(linear(x, self.weights[f"{name}_inner_weight"], self.weights[f"{name}_inner_bias"]))
        return linear(hidden, self.weights[f"{name}_outer_weight"], self.weights[f"{name}_outer_bias"])

    def _outputs(self, graph: Graph, gates: Tensor, z: Tensor) -> Tensor:
        """Return margins, `(rows,)`: means over the open edges of each node, then over the nodes of each row."""
        nodes = z.new_zeros(len(graph.features), z.shape[1]).index_add(0, graph.targets, gates[:, None] * z)
        degrees = z.new_zeros(len(nodes)).index_add(0, graph.targets, (gates > 0).to(z.dtype)).clamp(min=1)
        said = linear(nodes / degrees[:, None], self.weights["head_weight"]).squeeze(1)
        if graph.values is not None:
            said = said * graph.values
        sizes = z.new_zeros(graph.rows).index_add(0, graph.row, torch.ones_like(said)).clamp(min=1)
        return z.new_zeros(graph.rows).index_add(0, graph.row, said) / sizes + self.weights["head_bias"]
