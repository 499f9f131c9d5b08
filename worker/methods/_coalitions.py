"""Coalitions: `(n_coalitions, n)` bool tensors, and their place in a table (player k is bit k of the index)."""

from __future__ import annotations

import torch
from torch import Tensor

MOST_PLAYERS_OF_AN_INDEX = 62
"""An index is a signed 64-bit number."""


def coalitions(indices: Tensor, n: int) -> Tensor:
    """Return the coalitions of `(n_coalitions,)` table indices."""
    return (indices[:, None] >> torch.arange(n, device=indices.device)) & 1 == 1


def all_coalitions(n: int) -> Tensor:
    """Return all 2^n coalitions in the order of a table."""
    return coalitions(torch.arange(1 << n), n)


def indices(present: Tensor) -> Tensor:
    """Return the table index of every coalition, `(n_coalitions,)` int64.

    Raises:
        ValueError: More players than an index has bits.
    """
    n = present.shape[1]
    if n > MOST_PLAYERS_OF_AN_INDEX:
        raise ValueError(f"expected at most {MOST_PLAYERS_OF_AN_INDEX} players, got {n}")
    return (present.long() << torch.arange(n, device=present.device)).sum(dim=1)


def members(present: Tensor) -> list[int]:
    """List the players of one coalition `(n,)`."""
    return [int(player) for player in present.nonzero().flatten()]
