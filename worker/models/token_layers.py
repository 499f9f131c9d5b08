"""Layers of text classifiers: from token ids `(batch, length)` to a vector, with padding left out of the answer.

State-dict keys are those of PyTorch's own layers: `weight` of an embedding and of positions, and those of
`nn.TransformerEncoderLayer` for a transformer block.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn


class OverTokens(nn.Module):
    """A layer in which tokens meet, so that it has to know which of them are padding."""

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """Map `(batch, length, dim)`; `present` is `(batch, length)` bool, false for padding."""
        raise NotImplementedError


class TokenSequential(nn.Sequential):
    """Layers one after the other on token ids, like `nn.Sequential`, whose keys it has."""

    def __init__(self, layers: Iterable[nn.Module], padding_id: int | None) -> None:
        super().__init__(*layers)
        self.padding_id = padding_id

    def forward(self, ids: Tensor) -> Tensor:
        """Map `(batch, length)` int64 to `(batch, outputs)`."""
        # No id is below 0, so that without a padding id every token is there.
        present = ids != (-1 if self.padding_id is None else self.padding_id)
        x = ids
        for layer in self:
            x = layer(x, present) if isinstance(layer, OverTokens) else layer(x)
        return x


class Positions(nn.Module):
    """A learned vector for every place of the text, added to what stands there."""

    def __init__(self, length: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(length, dim))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight


class TransformerBlock(OverTokens):
    """PyTorch's `nn.TransformerEncoderLayer` (batch first), with its keys, in eval mode."""

    def __init__(
        self,
        dim: int,
        heads: int,
        feedforward: int,
        *,
        norm: Literal["pre", "post"],
        activation: Literal["relu", "gelu"],
        epsilon: float = 1e-5,
    ) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.linear1 = nn.Linear(dim, feedforward)
        self.linear2 = nn.Linear(feedforward, dim)
        self.norm1 = nn.LayerNorm(dim, eps=epsilon)
        self.norm2 = nn.LayerNorm(dim, eps=epsilon)
        self.activation = nn.ReLU() if activation == "relu" else nn.GELU()
        self.norm = norm

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        if self.norm == "pre":
            x = x + self._attend(self.norm1(x), present)
            fed: Tensor = x + self._feed(self.norm2(x))
            return fed
        x = self.norm1(x + self._attend(x, present))
        normalised: Tensor = self.norm2(x + self._feed(x))
        return normalised

    def _attend(self, x: Tensor, present: Tensor) -> Tensor:
        # Attention over nothing is not a number; where all is padding, all is looked at, and nothing is read off it.
        ignored = ~present & present.any(dim=1, keepdim=True)
        attended: Tensor = self.self_attn(x, x, x, key_padding_mask=ignored, need_weights=False)[0]
        return attended

    def _feed(self, x: Tensor) -> Tensor:
        fed: Tensor = self.linear2(self.activation(self.linear1(x)))
        return fed

    def extra_repr(self) -> str:
        return f"norm={self.norm}"


class TokenFirst(OverTokens):
    """The vector of the first token, such as [CLS]; zero where that is padding."""

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        return x[:, 0].masked_fill(~present[:, :1], 0)


class TokenMean(OverTokens):
    """The mean over all tokens but padding; zero where there are none."""

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        total = x.masked_fill(~present[:, :, None], 0).sum(dim=1)
        count: Tensor = present.sum(dim=1, keepdim=True).clamp(min=1)
        return total / count


class TokenMax(OverTokens):
    """The largest of every number over all tokens but padding; zero where there are none."""

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        largest = x.masked_fill(~present[:, :, None], float("-inf")).amax(dim=1)
        return largest.masked_fill(~present.any(dim=1, keepdim=True), 0)
