"""AutoInt: features attend to the features of their row, several times over.

In head h of a layer feature m becomes Σ_k α_mk W_V e_k, with α the softmax over k of <W_Q e_m, W_K e_k>; the heads lie
side by side, and e'_m = ReLU(heads + W_res e_m) (Eq. 5 to 8). The logit is linear in all e'_m (Eq. 9).

Source: Song, Shi, Xiao, Duan, Xu, Zhang & Tang, "AutoInt: Automatic Feature Interaction Learning via Self-Attentive
Neural Networks", CIKM 2019, https://arxiv.org/abs/1810.11921
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from worker.methods.l0_sign.pairs import Rows
from worker.methods.recommenders._parts import Vectors, affine, by_field, padded

HEADS, LAYERS = 2, 2


class AutoInt(nn.Module):
    """Multi-head self-attention between the features of a row; rows of any length are padded and masked."""

    def __init__(self, features: int, fields: int | None, embedding: int, generator: torch.Generator) -> None:
        super().__init__()
        self.fields = fields
        self.vectors = Vectors(features, embedding, generator)
        wide = HEADS * embedding
        self.layers = nn.ModuleList(
            Attention(embedding if layer == 0 else wide, embedding, generator) for layer in range(LAYERS)
        )
        self.output = affine((fields or 1) * wide, 1, generator)

    def forward(self, rows: Rows) -> Tensor:
        """Return logits, `(rows,)`; of a row without features the bias.

        Raises:
            ValueError: There are fields, and a row has another number of entries.
        """
        e, present = padded(rows, self.vectors(rows))
        for layer in self.layers:
            e = layer(e, present)
        logits: Tensor = self.output(self._joined(rows, e[present])).squeeze(1)
        return logits

    def _joined(self, rows: Rows, e: Tensor) -> Tensor:
        if self.fields is not None:
            return by_field(rows, e, self.fields).flatten(1)
        mean = e / rows.lengths[rows.row_of, None]
        return e.new_zeros(len(rows), e.shape[1]).index_add(0, rows.row_of, mean)


class Attention(nn.Module):
    """One interacting layer."""

    def __init__(self, into: int, head: int, generator: torch.Generator) -> None:
        super().__init__()
        self.query = affine(into, HEADS * head, generator, bias=False)
        self.key = affine(into, HEADS * head, generator, bias=False)
        self.value = affine(into, HEADS * head, generator, bias=False)
        self.residual = affine(into, HEADS * head, generator, bias=False)

    def forward(self, e: Tensor, present: Tensor) -> Tensor:
        """Map `(rows, longest, into)` to `(rows, longest, heads · head)`; what is not `present` gets no attention."""
        query, key, value = (
            layer(e).unflatten(2, (HEADS, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )  # (rows, heads, longest, head)
        scores = query @ key.transpose(2, 3)
        # The lowest finite number rather than −∞, with which a row of padding alone would become NaN.
        attention = scores.masked_fill(~present[:, None, None], torch.finfo(scores.dtype).min).softmax(3)
        heads = (attention @ value).transpose(1, 2).flatten(2)
        return torch.relu(heads + self.residual(e))
