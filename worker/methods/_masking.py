"""Masking: the input as a model sees it when only a coalition of the players is present."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.methods._players import count


@dataclass(frozen=True, kw_only=True)
class Masking:
    """Puts the baseline in the place of absent players.

    Attributes:
        input: `shape`: a picture, a feature map, a row of a table, or token ids.
        baseline: Broadcastable to `shape`: what stands for absence, such as zero or the id of a mask token.
        labels: The owner of every number, over the last axes of `shape`; see `worker.methods._players`.
    """

    input: Tensor
    baseline: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        axes = tuple(self.input.shape[self.input.ndim - self.labels.ndim :])
        if axes != tuple(self.labels.shape):
            raise ValueError(
                f"expected labels over the last axes of {list(self.input.shape)}, got {list(self.labels.shape)}"
            )
        count(self.labels)

    @property
    def players(self) -> int:
        return int(self.labels.max()) + 1

    def __call__(self, coalitions: Tensor) -> Tensor:
        """Return `(n_coalitions, *shape)` for `(n_coalitions, players)` bool."""
        always = torch.ones(len(coalitions), 1, dtype=torch.bool)
        # Label -1 reads the last column, which holds what is always present.
        present = torch.cat([coalitions.cpu(), always], dim=1)[:, self.labels.cpu()].to(self.input.device)
        leading = (1,) * (self.input.ndim - self.labels.ndim)
        spread = present.reshape(len(coalitions), *leading, *self.labels.shape)
        return torch.where(spread, self.input, self.baseline.to(self.input))


def per_player(labels: Tensor, baselines: Sequence[Tensor]) -> Tensor:
    """Put together one baseline in which every player has its own.

    Args:
        labels: See `Masking`.
        baselines: One for each player, each shaped like the input.

    Raises:
        ValueError: Another number of baselines than of players.
    """
    n = count(labels)
    if len(baselines) != n:
        raise ValueError(f"expected {n} baselines, one a player, got {len(baselines)}")
    together = baselines[0].clone()
    for player, baseline in enumerate(baselines):
        together = torch.where((labels == player).to(together.device), baseline, together)
    return together
