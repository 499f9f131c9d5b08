"""Interactions by order: their strength profile, the salient ones, their mean order, and what two sets share.

Order means the size of the set. Profiles are `(..., 2, n)`: positive strength, then negative, both at least 0, for the
orders 1 to n. Interactions are `(..., 2, 2^n)`: AND, then OR; the empty atom has no order and is left out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from worker.methods import _transforms as transforms


def salience_threshold(tables: Tensor, share: float = 0.02) -> float:
    """Compute τ, `share` of the mean |v(N) - v(∅)| over `(samples, 2^n)` values; the paper's share is 0.02."""
    return share * float((tables[:, -1] - tables[:, 0]).abs().mean())


def salient(atoms: Tensor, threshold: float) -> Tensor:
    """Mark interactions stronger than `threshold`: bool, of the shape of `atoms`."""
    marked = atoms.abs() > threshold
    marked[..., 0] = False
    return marked


def order_profile(atoms: Tensor, *, threshold: float = 0.0) -> Tensor:
    """Sum positive and negative strength order by order (Eq. 4), of interactions stronger than `threshold`."""
    kept = torch.where(salient(atoms, threshold), atoms, 0.0)
    signed = torch.stack([kept.clamp(min=0), (-kept).clamp(min=0)], dim=-3)  # (..., sign, kind, 2^n)
    return _by_order(signed.sum(-2))


def mean_order(profile: Tensor) -> Tensor:
    """Average the order, weighted by strength: `(..., 2, n)` to `(...)`; 0 where there is no strength."""
    strength = profile.sum(-2)
    sizes = torch.arange(1, strength.shape[-1] + 1, dtype=strength.dtype, device=strength.device)
    weight = strength.sum(-1)
    return torch.where(weight > 0, (strength * sizes).sum(-1) / weight.clamp(min=_tiny(weight)), 0.0)


def normaliser(atoms: Tensor, *, threshold: float) -> float:
    """Compute Z of Appendix I.3: the mean over samples of the salient strength of order 1, `(samples, 2, 2^n)`.

    Raises:
        ValueError: No single player is salient in any sample, so that nothing can be divided by Z.
    """
    strength = float(order_profile(atoms, threshold=threshold)[..., 0].sum(-1).mean())
    if not strength > 0:
        raise ValueError(f"expected a salient interaction of order 1, got none above {threshold:g}")
    return strength


def jaccard_by_order(some: Tensor, others: Tensor) -> Tensor:
    """Compare two sets of samples by what they share (Definition 2.2), order by order.

    Players must mean the same thing in every sample.

    Args:
        some, others: `(samples, 2, 2^n)`; the numbers of samples may differ.

    Returns:
        `(n,)`, between 0 and 1; 1 where neither set has strength of that order.
    """
    one, two = _mean_parts(some), _mean_parts(others)
    shared = _by_order(torch.minimum(one, two)).sum(0)
    either = _by_order(torch.maximum(one, two)).sum(0)
    return torch.where(either > 0, shared / either.clamp(min=_tiny(either)), 1.0)


def _mean_parts(atoms: Tensor) -> Tensor:
    """Average positive and negative parts over samples: `(4, 2^n)`."""
    return torch.cat([atoms.clamp(min=0), (-atoms).clamp(min=0)], dim=-2).mean(0)


def _by_order(table: Tensor) -> Tensor:
    """Add `(..., 2^n)` up by order: `(..., n)`."""
    n = transforms.player_count(table)
    sizes = transforms.orders(n, device=table.device)
    sums = table.new_zeros(*table.shape[:-1], n + 1)
    return sums.index_add_(-1, sizes, table)[..., 1:]


def _tiny(like: Tensor) -> float:
    return torch.finfo(like.dtype).tiny
