"""The structural test: accuracy with players masked at random, or from a picture's border inwards.

Masked at random, a picture keeps local evidence without its arrangement; masked around, it keeps the middle whole.
What a network is better by under surrounding masking is what it takes from structure (Fig. 10 and 11).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_MOST_STEPS = 9


def masked_counts(players: int) -> list[int]:
    """Return how many players are masked, from none to all in about equal steps."""
    return sorted({round(share) for share in torch.linspace(0, players, min(players + 1, _MOST_STEPS)).tolist()})


def at_random(rows: int, players: int, masked: int, generator: torch.Generator) -> Tensor:
    """Draw who is present, anew for every row: `(rows, players)` bool."""
    return torch.rand(rows, players, generator=generator).argsort(dim=1).argsort(dim=1) >= masked


def around(rows: int, grid: tuple[int, int], masked: int, generator: torch.Generator) -> Tensor:
    """Leave those nearest to the middle; among cells equally far away, the draw decides: `(rows, players)` bool."""
    far = _distances(*grid) + 1e-6 * torch.rand(rows, grid[0] * grid[1], generator=generator)
    return far.argsort(dim=1, descending=True).argsort(dim=1) >= masked


def _distances(rows: int, columns: int) -> Tensor:
    """Return how far each cell's middle is from the picture's, in half pictures: `(cells,)`."""
    down, across = ((2 * torch.arange(size) + 1 - size).abs() / size for size in (rows, columns))
    return torch.hypot(down[:, None], across[None, :]).flatten()


def area_between(shares: Sequence[float], surrounding: Sequence[float], random: Sequence[float]) -> float:
    """Integrate surrounding minus random accuracy over the masked share (trapezoids)."""
    gaps = torch.tensor(surrounding, dtype=torch.float64) - torch.tensor(random, dtype=torch.float64)
    return float(torch.trapezoid(gaps, torch.tensor(shares, dtype=torch.float64)))
