"""Neural factorization machine: a perceptron on the sum of all pairs' products.

ŷ = w_0 + Σ_i w_i x_i + MLP(Σ_{i<j} x_i v_i ⊙ x_j v_j); the sum is the paper's bi-interaction pooling.

Source: He & Chua, "Neural Factorization Machines for Sparse Predictive Analytics", SIGIR 2017,
https://arxiv.org/abs/1708.05027
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from worker.methods.l0_sign.pairs import Rows
from worker.methods.recommenders._parts import FirstOrder, Perceptron, Vectors, pairs_added


class NFM(nn.Module):
    """A factorization machine whose pooled pairs go through a hidden layer."""

    def __init__(self, features: int, embedding: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first = FirstOrder(features)
        self.vectors = Vectors(features, embedding, generator)
        self.deep = Perceptron(embedding, generator)

    def forward(self, rows: Rows) -> Tensor:
        """Return logits, `(rows,)`."""
        logits: Tensor = self.first(rows) + self.deep(pairs_added(rows, self.vectors(rows)))
        return logits
