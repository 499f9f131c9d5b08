"""Attentional factorization machine: a pair's vector counts by how much attention it gets in its row.

ŷ = w_0 + Σ_i w_i x_i + p · Σ_{i<j} a_ij (v_i ⊙ v_j) x_i x_j, with a the softmax over the pairs of a row of
h · ReLU(W (v_i ⊙ v_j) x_i x_j + b).

Source: Xiao, Ye, He, Zhang, Wu & Chua, "Attentional Factorization Machines: Learning the Weight of Feature
Interactions via Attention Networks", IJCAI 2017, https://arxiv.org/abs/1708.04617
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from worker.methods.l0_sign.pairs import Rows, pairs_of
from worker.methods.recommenders._parts import HIDDEN, FirstOrder, Vectors, affine


class AFM(nn.Module):
    """A factorization machine whose pairs compete for attention."""

    def __init__(self, features: int, embedding: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first = FirstOrder(features)
        self.vectors = Vectors(features, embedding, generator)
        self.attention = affine(embedding, HIDDEN, generator)  # W and b
        self.attending = affine(HIDDEN, 1, generator, bias=False)  # h
        self.prediction = affine(embedding, 1, generator, bias=False)  # p

    def forward(self, rows: Rows) -> Tensor:
        """Return logits, `(rows,)`; of a row with less than two features the first-order part.

        Raises:
            ValueError: A row is too long.
        """
        pairs, vectors = pairs_of(rows), self.vectors(rows)
        of_row = pairs.row[pairs.apart]
        products = vectors[pairs.first[pairs.apart]] * vectors[pairs.second[pairs.apart]]
        attention = _softmax(self.attending(torch.relu(self.attention(products))).squeeze(1), of_row, len(rows))
        logits: Tensor = self.first(rows)
        return logits.index_add(0, of_row, attention * self.prediction(products).squeeze(1))


def _softmax(scores: Tensor, of_row: Tensor, rows: int) -> Tensor:
    """Return the softmax over the pairs of each row, `(pairs,)`."""
    highest = scores.new_full((rows,), -torch.inf).scatter_reduce(0, of_row, scores.detach(), "amax")
    raised = (scores - highest[of_row]).exp()
    return raised / raised.new_zeros(rows).index_add(0, of_row, raised)[of_row]
