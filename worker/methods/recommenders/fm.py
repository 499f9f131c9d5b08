"""Factorization machine: ŷ = w_0 + Σ_i w_i x_i + Σ_{i<j} <v_i, v_j> x_i x_j.

Source: Rendle, "Factorization Machines", ICDM 2010, https://doi.org/10.1109/ICDM.2010.127
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from worker.methods.l0_sign.pairs import Rows
from worker.methods.recommenders._parts import FirstOrder, Vectors, pairs_added


class FM(nn.Module):
    """Every pair counts by the inner product of two embeddings."""

    def __init__(self, features: int, embedding: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first = FirstOrder(features)
        self.vectors = Vectors(features, embedding, generator)

    def forward(self, rows: Rows) -> Tensor:
        """Return logits, `(rows,)`."""
        logits: Tensor = self.first(rows) + pairs_added(rows, self.vectors(rows)).sum(1)
        return logits
