"""Atoms as the order profile of an answer: all and salient strength, mean order, decay and spindle."""

from __future__ import annotations

from torch import Tensor

from jobs.order_profiles import DeltaFit, Disentangling, OrderProfile, SignedProfile
from worker.methods.and_or import orders
from worker.methods.and_or.disentangling import Fit, Mode, disentangle, sensitivity


def summary(atoms: Tensor, *, threshold: float, delta: float | None, converged: Tensor | None = None) -> OrderProfile:
    """Summarise the interactions of one network, averaged over samples.

    Args:
        atoms: `(samples, 2, 2^n)`.
        threshold: τ, above which an interaction is salient.
        delta: Of the decay; None fits it, which needs `converged`.
        converged: `(samples, 2, 2^n)` of a later checkpoint; default: the network's own, mode `self`.
    """
    everything = orders.order_profile(atoms).mean(0)
    salient = orders.order_profile(atoms, threshold=threshold).mean(0)
    scale = normaliser(atoms, threshold)
    mode: Mode = "self" if converged is None else "later"
    start = atoms if converged is None else converged
    fit = disentangle(everything, start, mode=mode, delta=delta)
    return OrderProfile(
        all=signed(everything),
        salient=signed(salient),
        threshold=threshold,
        salient_count=float(orders.salient(atoms, threshold).sum()) / len(atoms),
        mean_order=float(orders.mean_order(salient)),
        normaliser=scale,
        normalised=None if scale is None else signed(salient / scale),
        disentangled=_disentangled(fit, sensitivity(everything, start, mode=mode)),
    )


def normaliser(atoms: Tensor, threshold: float) -> float | None:
    """Return Z of `(samples, 2, 2^n)`, the salient strength of order 1; None where there is none."""
    try:
        return orders.normaliser(atoms, threshold=threshold)
    except ValueError:
        return None


def signed(profile: Tensor) -> SignedProfile:
    """Write `(2, n)` down."""
    positive, negative = profile.tolist()
    return SignedProfile(positive=tuple(positive), negative=tuple(negative))


def _disentangled(fit: Fit, others: list[Fit]) -> Disentangling:
    return Disentangling(
        mode=fit.mode, alpha=fit.alpha, beta=fit.beta, gamma=fit.gamma, delta=fit.delta,
        decay=signed(fit.decay), spindle=signed(fit.spindle), residual=signed(fit.residual),
        spindle_share=fit.spindle_share, error=fit.error,
        sensitivity=tuple(
            DeltaFit(delta=other.delta, spindle_share=other.spindle_share, error=other.error) for other in others
        ),
    )  # fmt: skip
