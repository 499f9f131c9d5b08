"""Interactions of one network, or one set of samples, against another's: what emerged, and what both share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from jobs.order_profiles import SignedProfile, SpindleFit
from worker.methods.and_or import orders
from worker.methods.and_or.disentangling import DELTA, disentangle
from worker.methods.and_or.summary import signed


def difference(later: SignedProfile, earlier: SignedProfile) -> SignedProfile:
    """Compute ΔA^(m)±, a profile minus another: of either sign."""
    return SignedProfile(
        positive=_minus(later.positive, earlier.positive), negative=_minus(later.negative, earlier.negative)
    )


def _minus(some: Sequence[float], others: Sequence[float]) -> tuple[float, ...]:
    return tuple(one - other for one, other in zip(some, others, strict=True))


def change(noisy: Tensor, clean: Tensor) -> Tensor:
    """Compute ΔA^(m)± of a disturbance (Eq. 5): `I_noisy - I` first, then its strength by order, averaged over samples.

    Args:
        noisy, clean: `(samples, 2, 2^n)`, of the same samples.

    Returns:
        `(2, n)`, both at least 0.
    """
    return orders.order_profile(noisy - clean).mean(0)


def spindle_fit(profile: Tensor) -> SpindleFit:
    """Fit the spindle alone (Eq. 6) to `(2, n)`, as the paper does to what a disturbance made emerge (Fig. 3)."""
    no_decay = profile.new_zeros(1, 2, 1 << profile.shape[-1])
    fit = disentangle(profile, no_decay, mode="self", delta=DELTA)
    return SpindleFit(alpha=fit.alpha, beta=fit.beta, profile=signed(fit.spindle), error=fit.error)


def similarity(
    some: Tensor, others: Tensor, *, thresholds: tuple[float, float], relative: bool = False
) -> tuple[float | None, ...]:
    """Compare the salient interactions of two sets of samples (Definition 2.2), order by order.

    Args:
        some, others: `(samples, 2, 2^n)`; players must mean the same in all of them.
        thresholds: τ of either.
        relative: Compare each over its whole salient strength: networks grow sure of themselves while they learn, and
            strengths of ten times the size share a tenth at most.

    Returns:
        Between 0 and 1; None for an order of which neither has a salient interaction.
    """
    one, two = _salient_only(some, thresholds[0]), _salient_only(others, thresholds[1])
    if relative:
        one, two = _over_strength(one), _over_strength(two)
    strengths = (orders.order_profile(one).mean(0) + orders.order_profile(two).mean(0)).sum(0).tolist()
    shared = orders.jaccard_by_order(one, two).tolist()
    return tuple(share if strength > 0 else None for share, strength in zip(shared, strengths, strict=True))


def _salient_only(atoms: Tensor, threshold: float) -> Tensor:
    return torch.where(orders.salient(atoms, threshold), atoms, 0.0)


def _over_strength(atoms: Tensor) -> Tensor:
    strength = orders.order_profile(atoms).sum((-2, -1)).mean()
    return atoms / strength if float(strength) > 0 else atoms
