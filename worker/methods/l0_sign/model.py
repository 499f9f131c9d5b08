"""The network: gates on pairs, what a pair says, and means over neighbours and nodes.

An edge's message is u_ij = e_ij h(x_i v_i, x_j v_j); a node is the mean of its edges' messages, the prediction the mean
of w_g · (x_i node_i) (Eq. 5), and a bias, which the paper leaves out. All of it is linear in the messages, so an edge's
part in a prediction is its gate, times the score w_g · z_ij of its pair, times its share in the two means.

The paper says "its neighbours" in words and takes the mean over all j in Eq. 4; `Design.mean` chooses.

`compat="published"` is the authors' code instead: two outputs; a node hears only those that do not come after it in
the row, so the order of a row matters; values count as 1; logarithms to base 2; half of the edge predictor's hidden
units are dropped in training; and the noise stays on at evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from worker.methods.l0_sign.hard_concrete import HardConcrete
from worker.methods.l0_sign.pairs import Distinct, Pairs, Rows, distinct_pairs, pairs_of, times_of
from worker.methods.l0_sign.perceptron import Affine, Perceptron

Compat = Literal["paper", "published"]
_DROPPED = 0.5
_EDGES_OPEN = 0.2  # the authors' start: edge embeddings around it, and as much on the output weights, open the gates


@dataclass(frozen=True, kw_only=True)
class Design:
    """Sizes and rules of a network.

    Attributes:
        features: How many the vocabulary knows; one more row of embeddings stands for all unknown ones.
        hidden: Units in the hidden layer of either perceptron.
        gated: Without gates it is SIGN with all edges.
        mean: A node is the mean over its neighbours (edges whose gate is not 0), or over all nodes of its row.
        beta: Temperature of the gates.

    Raises:
        ValueError: A published network is to take the mean over all nodes, which the code does not do.
    """

    features: int
    embedding: int = 8
    edge_embedding: int = 8
    hidden: int = 32
    gated: bool = True
    mean: Literal["neighbours", "nodes"] = "neighbours"
    compat: Compat = "paper"
    beta: float = 0.66

    def __post_init__(self) -> None:
        if self.published and self.mean == "nodes":
            raise ValueError("expected a mean over neighbours of a published network, got one over nodes")

    @property
    def published(self) -> bool:
        return self.compat == "published"

    @property
    def outputs(self) -> int:
        return 2 if self.published else 1

    @property
    def gate(self) -> HardConcrete:
        return HardConcrete(beta=self.beta, base=2) if self.published else HardConcrete(beta=self.beta)


@dataclass(frozen=True, kw_only=True)
class Noise:
    """What is random in one evaluation.

    Attributes:
        uniform: `(pairs,)` on [0, 1), behind the gates.
        kept: `(pairs, hidden)` bool, hidden units of the edge predictor that are not dropped; None: all.
    """

    uniform: Tensor
    kept: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a network says of a batch.

    Attributes:
        outputs: `(rows, outputs)`; of a row without features, the bias.
        gates: `(pairs,)`: e_ij.
        scores: `(pairs, outputs)`: w_g · z_ij.
        shares: `(pairs,)`: what a pair's message counts in its row's prediction.
        times: `(distinct,)`: how often each distinct pair is (i, j) or (j, i) in the rows.
        penalty: π_ij: `(distinct,)`, and of a published network `(pairs,)`; None without gates.
        squares: `(distinct,)`: ‖z_ij‖².
        nodes: `(entries, embedding)`, the updated nodes of a published network; None of others.
    """

    rows: Rows
    pairs: Pairs
    outputs: Tensor
    gates: Tensor
    scores: Tensor
    shares: Tensor
    times: Tensor
    penalty: Tensor | None
    squares: Tensor
    nodes: Tensor | None

    @property
    def margins(self) -> Tensor:
        """`(rows,)`: above 0, the row is of class 1."""
        return margin(self.outputs)


def margin(outputs: Tensor) -> Tensor:
    """Reduce the last axis: one output is the margin, two are the scores of class 0 and 1."""
    return outputs[..., -1] - outputs[..., 0] if outputs.shape[-1] == 2 else outputs[..., 0]


class L0Sign(nn.Module):
    """L0-SIGN, or SIGN if the design is without gates."""

    def __init__(self, design: Design, generator: torch.Generator) -> None:
        super().__init__()
        self.design = design
        rows, hidden = design.features + 1, design.hidden
        nodes = torch.randn(rows, design.embedding, generator=generator)
        nodes[-1] = 0  # never seen in training unless rare features are made unknown: it says nothing of its own
        self.nodes = nn.Parameter(nodes)
        self.pair = Perceptron(design.embedding, hidden, design.embedding, generator)
        self.head = Affine(design.embedding, design.outputs, generator)
        if design.gated:
            spread = 0.01 * torch.randn(rows, design.edge_embedding, generator=generator)
            self.edge_nodes = nn.Parameter(_EDGES_OPEN + spread)
            self.edge = Perceptron(design.edge_embedding, hidden, 1, generator)
            with torch.no_grad():
                self.edge.outer.weight.add_(_EDGES_OPEN)

    def noise(self, pairs: Pairs, generator: torch.Generator) -> Noise | None:
        """Draw the noise that this evaluation has by the design's rules: in training, and always if published."""
        if not self.design.gated or not (self.training or self.design.published):
            return None
        uniform = torch.rand(len(pairs.row), generator=generator, dtype=self.nodes.dtype, device=generator.device)
        if not (self.training and self.design.published):
            return Noise(uniform=uniform)
        kept = (
            torch.rand(uniform.shape[0], self.design.hidden, generator=generator, device=generator.device) >= _DROPPED
        )
        return Noise(uniform=uniform, kept=kept)

    def forward(self, rows: Rows, generator: torch.Generator) -> Evaluation:
        """Evaluate `rows` with noise where the design has it.

        Raises:
            ValueError: A row is too long.
        """
        pairs = pairs_of(rows)
        return self.evaluate(rows, pairs, self.noise(pairs, generator))

    def evaluate(self, rows: Rows, pairs: Pairs, noise: Noise | None) -> Evaluation:
        """Evaluate `rows` under a given noise; None: without any."""
        if self.design.published:
            rows = Rows(offsets=rows.offsets, features=rows.features)
        distinct = distinct_pairs(rows, pairs, features=self.design.features)
        z, log_alpha = self.messages(distinct), self._log_alpha(distinct, noise)
        gates = self._gates(log_alpha, distinct, noise)
        shares = shares_of(self.design, rows, pairs, gates)
        scores = (self.head.weight @ z.T).index_select(1, distinct.of_pair)  # (outputs, pairs)
        return Evaluation(
            rows=rows, pairs=pairs, outputs=self._added_up(rows, pairs, gates * shares * scores), gates=gates,
            scores=scores.T, shares=shares, times=times_of(pairs, distinct).to(z.dtype), squares=z.square().sum(1),
            penalty=None if log_alpha is None else self.design.gate.penalty(log_alpha),
            nodes=self._heard(rows, pairs, gates, z[distinct.of_pair]) if self.design.published else None,
        )  # fmt: skip

    def _added_up(self, rows: Rows, pairs: Pairs, parts: Tensor) -> Tensor:
        """Add `(outputs, pairs)` to the bias, by row; an output at a time, as that is fastest."""
        starts = self.head.bias[:, None].expand(-1, len(rows))
        sums = [start.index_add(0, pairs.row, part) for start, part in zip(starts, parts, strict=True)]
        return torch.stack(sums, dim=1)

    def messages(self, distinct: Distinct) -> Tensor:
        """Return z = h(x_i v_i, x_j v_j), before the gate, `(distinct, embedding)`."""
        product = _products(self.nodes, distinct)
        if distinct.product is not None:
            product = product * distinct.product[:, None].to(product.dtype)
        return self.pair.outer.of(self.pair.activations(product.T)).T

    def log_alphas(self, distinct: Distinct) -> Tensor:
        """Return f_ep(v^e_i, v^e_j), the log α of the gates, `(distinct,)`."""
        return self.edge.outer.of(self._edge_hidden(distinct)).squeeze(0)

    def _edge_hidden(self, distinct: Distinct) -> Tensor:
        return self.edge.activations(_products(self.edge_nodes, distinct).T)

    def _log_alpha(self, distinct: Distinct, noise: Noise | None) -> Tensor | None:
        """Return log α by distinct pair; of a published network by pair, as each drops hidden units of its own."""
        if not self.design.gated:
            return None
        if not self.design.published:
            return self.log_alphas(distinct)
        if noise is None or noise.kept is None:
            return self.log_alphas(distinct).index_select(0, distinct.of_pair)
        left = self._edge_hidden(distinct).index_select(1, distinct.of_pair) * noise.kept.T / (1 - _DROPPED)
        return self.edge.outer.of(left).squeeze(0)

    def _gates(self, log_alpha: Tensor | None, distinct: Distinct, noise: Noise | None) -> Tensor:
        if log_alpha is None:
            return torch.ones(len(distinct.of_pair), dtype=self.nodes.dtype, device=self.nodes.device)
        if not self.design.published:
            log_alpha = log_alpha.index_select(0, distinct.of_pair)
        gate = self.design.gate
        return gate.at_rest(log_alpha) if noise is None else gate.drawn(log_alpha, noise.uniform)

    def _heard(self, rows: Rows, pairs: Pairs, gates: Tensor, z: Tensor) -> Tensor:
        """Return v'_j of the published code, `(entries, embedding)`: the mean of the messages that reach node j."""
        said = (gates / _neighbours(self.design, rows, pairs, gates).index_select(0, pairs.second))[:, None] * z
        return z.new_zeros(len(rows.features), z.shape[1]).index_add(0, pairs.second, said)


def shares_of(design: Design, rows: Rows, pairs: Pairs, gates: Tensor) -> Tensor:
    """Return the weight of each pair's message in the two means, `(pairs,)`.

    It is (x_i / deg_i + x_j / deg_j) / n, with one summand if i = j or if only node j hears the message.
    """
    weight = 1 / _neighbours(design, rows, pairs, gates)
    if rows.values is not None:
        weight = weight * rows.values.to(weight.dtype)
    weight = weight / rows.lengths.to(weight.dtype).index_select(0, rows.row_of)
    share = weight.index_select(0, pairs.second)
    if not design.published:
        share = share + weight.index_select(0, pairs.first) * pairs.apart
    return share


def _products(nodes: Tensor, distinct: Distinct) -> Tensor:
    # Not nodes[…]: the gradient of that takes twice as long for columns.
    return nodes.index_select(0, distinct.low) * nodes.index_select(0, distinct.high)


def _neighbours(design: Design, rows: Rows, pairs: Pairs, gates: Tensor) -> Tensor:
    """Count over how many messages each node takes the mean, `(entries,)`, at least 1."""
    if design.mean == "nodes":
        return rows.lengths[rows.row_of].to(gates.dtype)
    open = (gates > 0).to(gates.dtype)
    degrees = gates.new_zeros(len(rows.features)).index_add_(0, pairs.second, open)
    if not design.published:
        degrees.index_add_(0, pairs.first, open * pairs.apart)
    return degrees.clamp(min=1)
