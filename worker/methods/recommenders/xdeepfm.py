"""xDeepFM: a first-order part, a perceptron, and a compressed interaction network (CIN), added up.

Map h of layer k is X^k_h = Σ_i Σ_j W^{k,h}_ij (X^{k-1}_i ⊙ X^0_j), where X^0 holds the embeddings of the fields; the
sums of all maps over the embedding's axis go through a linear output (Eq. 6 to 8).

A set has no fields, so W cannot tell places apart: with W^{1,h}_ij = W^{1,h} and W^{k,h}_ij = W^{k,h}_i the sums over
fields move inside, and X^0 counts as the one vector Σ_j x_j v_j.

Source: Lian, Zhou, Zhang, Chen, Xie & Sun, "xDeepFM: Combining Explicit and Implicit Feature Interactions for
Recommender Systems", KDD 2018, https://arxiv.org/abs/1803.05170
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from worker.methods.l0_sign.pairs import Rows
from worker.methods.recommenders._parts import FirstOrder, Joined, Perceptron, Vectors, affine, by_field, summed

MAPS = (8, 8)
"""Of the layers of the interaction network: pairs, then triples."""


class XDeepFM(nn.Module):
    """Interactions vector by vector, of an order that grows with the layers."""

    def __init__(self, features: int, fields: int | None, embedding: int, generator: torch.Generator) -> None:
        super().__init__()
        self.fields = fields
        self.first = FirstOrder(features)
        self.vectors = Vectors(features, embedding, generator)
        self.joined = Joined(fields, embedding)
        self.deep = Perceptron(self.joined.outputs, generator)
        places = fields or 1
        before = (places, *MAPS)
        self.compress = nn.ModuleList(
            affine(before[layer] * places, maps, generator, bias=False) for layer, maps in enumerate(MAPS)
        )
        self.output = affine(sum(MAPS), 1, generator, bias=False)

    def forward(self, rows: Rows) -> Tensor:
        """Return logits, `(rows,)`.

        Raises:
            ValueError: There are fields, and a row has another number of entries.
        """
        vectors = self.vectors(rows)
        explicit = self.output(self._pooled(rows, vectors)).squeeze(1)
        logits: Tensor = self.first(rows) + explicit + self.deep(self.joined(rows, vectors))
        return logits

    def _pooled(self, rows: Rows, vectors: Tensor) -> Tensor:
        """Return the sum of every map of every layer, `(rows, Σ maps)`."""
        fields = summed(rows, vectors)[:, None] if self.fields is None else by_field(rows, vectors, self.fields)
        maps, sums = fields, []
        for compress in self.compress:
            products = torch.einsum("rid,rjd->rdij", maps, fields).flatten(2)  # (rows, embedding, maps · fields)
            maps = compress(products).transpose(1, 2)
            sums.append(maps.sum(2))
        return torch.cat(sums, 1)
