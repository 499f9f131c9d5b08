"""DeepFM: a factorization machine and a perceptron on the same embeddings, added up.

Source: Guo, Tang, Ye, Li & He, "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction", IJCAI 2017,
https://arxiv.org/abs/1703.04247
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from worker.methods.l0_sign.pairs import Rows
from worker.methods.recommenders._parts import FirstOrder, Joined, Perceptron, Vectors, pairs_added


class DeepFM(nn.Module):
    """y_FM + y_DNN; the deep part takes the embeddings of all fields side by side."""

    def __init__(self, features: int, fields: int | None, embedding: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first = FirstOrder(features)
        self.vectors = Vectors(features, embedding, generator)
        self.joined = Joined(fields, embedding)
        self.deep = Perceptron(self.joined.outputs, generator)

    def forward(self, rows: Rows) -> Tensor:
        """Return logits, `(rows,)`.

        Raises:
            ValueError: There are fields, and a row has another number of entries.
        """
        vectors = self.vectors(rows)
        logits: Tensor = self.first(rows) + pairs_added(rows, vectors).sum(1) + self.deep(self.joined(rows, vectors))
        return logits
