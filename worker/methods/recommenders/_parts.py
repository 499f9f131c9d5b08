"""What the models have in common: embeddings, the first-order part, a perceptron, and rows as a dense block."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from worker.methods.l0_sign.pairs import Rows

HIDDEN = 32
"""Units of a perceptron's hidden layer, as in L0-SIGN."""

_SPREAD = 0.1  # of embeddings at first: products of two begin well below the first-order part, as in the FM literature


class Vectors(nn.Module):
    """Embeddings v, one a feature and a last one for all unknown features."""

    def __init__(self, features: int, embedding: int, generator: torch.Generator) -> None:
        super().__init__()
        weight = _SPREAD * torch.randn(features + 1, embedding, generator=generator)
        weight[-1] = 0  # never seen in training unless rare features are made unknown
        self.weight = nn.Parameter(weight)

    def forward(self, rows: Rows) -> Tensor:
        """Return x_i v_i, `(entries, embedding)`."""
        vectors = nn.functional.embedding(_places(rows, self.weight), self.weight)
        return vectors if rows.values is None else vectors * rows.values[:, None].to(vectors.dtype)


class FirstOrder(nn.Module):
    """w_0 + Σ_i w_i x_i, all 0 at first."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))
        self.weight = nn.Parameter(torch.zeros(features + 1))

    def forward(self, rows: Rows) -> Tensor:
        """Return it, `(rows,)`."""
        weights = self.weight[_places(rows, self.weight)]
        if rows.values is not None:
            weights = weights * rows.values.to(weights.dtype)
        return self.bias + summed(rows, weights)


class Perceptron(nn.Module):
    """One hidden layer of rectified units, and one output."""

    def __init__(self, into: int, generator: torch.Generator) -> None:
        super().__init__()
        self.inner = affine(into, HIDDEN, generator)
        self.outer = affine(HIDDEN, 1, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(rows, into)` to `(rows,)`."""
        outputs: Tensor = self.outer(torch.relu(self.inner(x)))
        return outputs.squeeze(1)


class Joined(nn.Module):
    """The embeddings of a row as one vector: side by side with fields, their sum of a set."""

    def __init__(self, fields: int | None, embedding: int) -> None:
        super().__init__()
        self.fields = fields
        self.outputs = (fields or 1) * embedding

    def forward(self, rows: Rows, vectors: Tensor) -> Tensor:
        """Return `(rows, outputs)`.

        Raises:
            ValueError: There are fields, and a row has another number of entries.
        """
        if self.fields is None:
            return summed(rows, vectors)
        return by_field(rows, vectors, self.fields).flatten(1)


def affine(into: int, out: int, generator: torch.Generator, *, bias: bool = True) -> nn.Linear:
    """Make W x + b, uniform within ±1/√fan-in at first."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, into, out, bias=bias)  # type: ignore[no-untyped-call]
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -(into**-0.5), into**-0.5, generator=generator)
    return layer


def summed(rows: Rows, x: Tensor) -> Tensor:
    """Add up what the entries of each row have: `(entries, …)` to `(rows, …)`."""
    return x.new_zeros(len(rows), *x.shape[1:]).index_add(0, rows.row_of, x)


def pairs_added(rows: Rows, vectors: Tensor) -> Tensor:
    """Return Σ_{i<j} u_i ⊙ u_j = ½ ((Σ u)² − Σ u²) of each row, `(rows, embedding)`, without going through the pairs.

    This is the identity that makes a factorization machine linear in the entries (Rendle 2010, Lemma 3.1).
    """
    return (summed(rows, vectors).square() - summed(rows, vectors.square())) / 2


def by_field(rows: Rows, vectors: Tensor, fields: int) -> Tensor:
    """Return `(rows, fields, embedding)`.

    Raises:
        ValueError: A row has another number of entries.
    """
    lengths = rows.lengths
    if len(other := lengths[lengths != fields]):
        raise ValueError(f"expected {fields} entries in every row, one a field, got a row of {int(other[0])}")
    return vectors.view(len(rows), fields, -1)


def padded(rows: Rows, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows filled up with zeros, `(rows, longest, embedding)`, and what is not filled up, `(rows, longest)`."""
    longest = int(rows.lengths.max()) if len(rows) else 0
    present = torch.arange(longest, device=vectors.device) < rows.lengths[:, None]
    dense = vectors.new_zeros(len(rows), longest, vectors.shape[1])
    return dense.masked_scatter(present[:, :, None], vectors), present


def _places(rows: Rows, weight: Tensor) -> Tensor:
    """Return which row of the weights is each entry's: the last one of an unknown feature."""
    return torch.where(rows.features < 0, len(weight) - 1, rows.features.long())
