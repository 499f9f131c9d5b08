"""Split an order profile into a decay-shaped and a spindle-shaped part (Eq. 6 to 9).

The spindle models interactions that are noise, `β C(αn, m)`. The decay models what is left of a converged network's
interactions `I*` once noise of size δ has taxed high orders: `I(δ) = M(δ) I*`. Both `JᵀJ` and the tax `2^|T|` are
Kronecker powers of 2x2 matrices, so with `[[2, 1/√2], [1/√2, 1/2]] = U diag(λ) Uᵀ`

    M(δ) = D^{-1/2} U^{⊗n} diag(λ_S / (λ_S + 2^n δ²)) (Uᵀ)^{⊗n} D^{1/2},   D = diag(2^|S|),

which applies in O(n 2^n) for any δ. It acts on the AND and on the OR interactions alike.

Beware: where `I*` comes from the very network that is fitted, δ → 0 fits perfectly and the spindle vanishes by
construction. So the `self` mode needs δ fixed by the caller; only the `later` mode, with `I*` from a later checkpoint,
may fit it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from worker.methods import _transforms as transforms
from worker.methods.and_or.orders import order_profile

Mode = Literal["self", "later"]

DELTA = 1e-3  # the paper: "δ < 1e-3" and "large enough"
_ALPHAS = (0.2, 1.3, 45)
_DELTAS = (-4.0, 0.0, 25)  # decades
_ZOOMS = 4  # each shrinks the spacing of α twentyfold
_ZOOM_POINTS = 41


@dataclass(frozen=True)
class Fit:
    """The best parameters of Eq. 9 and the parts they make.

    Attributes:
        alpha, beta: Spindle (Eq. 6). gamma, delta: Decay (Eq. 8).
        decay, spindle, residual: `(2, n)` each; they add up to the profile.
        error: Size of `residual` relative to the profile, in the Euclidean norm.
    """

    mode: Mode
    alpha: float
    beta: float
    gamma: float
    delta: float
    decay: Tensor
    spindle: Tensor
    residual: Tensor
    error: float

    @property
    def spindle_share(self) -> float:
        """Spindle strength over spindle and decay strength; 0 where there is neither."""
        spindle, decay = float(self.spindle.sum()), float(self.decay.sum())
        return spindle / (spindle + decay) if spindle + decay > 0 else 0.0


def decayed(atoms: Tensor, delta: float) -> Tensor:
    """Compute `I(δ) = M(δ) I*` (Theorem 2.3) of `(..., 2^n)`, AND and OR apart."""
    n = transforms.player_count(atoms)
    spectrum, factor, transposed = _decay_factors()
    sizes = transforms.orders(n, device=atoms.device).to(atoms.dtype)
    eigenvalues = spectrum[0] ** (n - sizes) * spectrum[1] ** sizes
    scaled = transforms.kronecker_power(atoms * 2 ** (sizes / 2), transposed)
    shrunk = scaled * eigenvalues / (eigenvalues + 2**n * delta**2)
    return transforms.kronecker_power(shrunk, factor) * 2 ** (-sizes / 2)


def spindle_profile(n: int, alphas: Tensor) -> Tensor:
    """Compute `C(αn, m)` (Eq. 6 with β = 1) for m = 1 to n: `(...)` to `(..., n)`.

    Beyond `m = αn + 1` the generalised binomial alternates in sign; strengths do not, so it is cut off there.
    """
    size = n * alphas[..., None]
    m = torch.arange(1, n + 1, dtype=alphas.dtype, device=alphas.device)
    rest = size - m + 1
    logarithm = torch.lgamma(size + 1) - torch.lgamma(m + 1) - torch.lgamma(rest.clamp(min=_tiny(rest)))
    return torch.where(rest > 0, logarithm.exp(), 0.0)


def decay_profile(atoms: Tensor, delta: float) -> Tensor:
    """Compute Eq. 8 with γ = 1, averaged over samples: `(samples, 2, 2^n)` to `(2, n)`."""
    return order_profile(decayed(atoms, delta)).mean(0)


def disentangle(profile: Tensor, converged: Tensor, *, mode: Mode, delta: float | None = None) -> Fit:
    """Fit Eq. 9: globally over a grid of (δ, α), exactly in (γ, β), which are at least 0; α is then refined.

    Args:
        profile: `(2, n)`, A^(m)+ and A^(m)-, averaged over samples.
        converged: `(samples, 2, 2^n)`, I*.
        mode: `"self"` where `converged` is of the network that `profile` is of, else `"later"`.
        delta: Fixes δ; None fits it.

    Raises:
        ValueError: The mode is `self` and δ is not fixed, or δ is not positive.
    """
    if mode == "self" and delta is None:
        raise ValueError("expected a fixed delta for the interactions of the same network, got None")
    if delta is not None and not delta > 0:
        raise ValueError(f"expected delta above 0, got {delta}")
    fits = [_fit_at(profile, converged, mode, one) for one in (delta_grid() if delta is None else [delta])]
    return min(fits, key=lambda fit: fit.error)


def sensitivity(profile: Tensor, converged: Tensor, *, mode: Mode) -> list[Fit]:
    """Fit Eq. 9 at every δ of the grid, to show how much the answer hangs on it."""
    return [_fit_at(profile, converged, mode, delta) for delta in delta_grid()]


def delta_grid() -> list[float]:
    """The values of δ that are tried, ascending."""
    low, high, count = _DELTAS
    return [float(delta) for delta in torch.logspace(low, high, count, dtype=torch.float64)]


def _fit_at(profile: Tensor, converged: Tensor, mode: Mode, delta: float) -> Fit:
    decay = decay_profile(converged, delta)
    alphas = torch.linspace(*_ALPHAS, dtype=profile.dtype, device=profile.device)
    alpha, beta, gamma = _best(profile, decay, alphas)
    spacing = float(alphas[1] - alphas[0])
    for _ in range(_ZOOMS):
        near = torch.linspace(alpha - spacing, alpha + spacing, _ZOOM_POINTS, dtype=profile.dtype)
        alpha, beta, gamma = _best(profile, decay, near.clamp(_ALPHAS[0], _ALPHAS[1]).to(profile.device))
        spacing /= (_ZOOM_POINTS - 1) / 2
    spindle = beta * spindle_profile(profile.shape[-1], profile.new_tensor(alpha)).expand_as(profile)
    residual = profile - gamma * decay - spindle
    error = float(residual.norm() / profile.norm().clamp(min=_tiny(profile)))
    return Fit(mode, alpha, beta, gamma, delta, gamma * decay, spindle, residual, error)


def _best(profile: Tensor, decay: Tensor, alphas: Tensor) -> tuple[float, float, float]:
    """Find the best α with its best (β, γ): a non-negative least-squares problem in two columns for each α."""
    spindles = spindle_profile(profile.shape[-1], alphas)[:, None].expand(-1, 2, -1).flatten(1)  # (alphas, 2n)
    target, column = profile.flatten(), decay.flatten()
    ss, sd, dd = (spindles**2).sum(1), spindles @ column, column @ column
    st, dt = spindles @ target, column @ target
    determinant = ss * dd - sd**2
    safe = determinant.clamp(min=_tiny(determinant))
    betas, gammas = (st * dd - dt * sd) / safe, (dt * ss - st * sd) / safe
    both = (betas >= 0) & (gammas >= 0) & (determinant > 0)
    zero = torch.zeros_like(betas)
    # Either both columns take part, or one alone does, or none.
    candidates = torch.stack([
        torch.stack([torch.where(both, betas, zero), torch.where(both, gammas, zero)]),
        torch.stack([(st / ss.clamp(min=_tiny(ss))).clamp(min=0), zero]),
        torch.stack([zero, (dt / dd.clamp(min=_tiny(dd))).clamp(min=0).expand_as(zero)]),
    ])  # fmt: skip
    # (candidates, alphas): the squared residual, less the constant |target|².
    beta, gamma = candidates[:, 0], candidates[:, 1]
    loss = beta**2 * ss + 2 * beta * gamma * sd + gamma**2 * dd - 2 * beta * st - 2 * gamma * dt
    which, at = divmod(int(loss.argmin()), len(alphas))
    return float(alphas[at]), float(beta[which, at]), float(gamma[which, at])


@lru_cache(maxsize=1)
def _decay_factors() -> tuple[tuple[float, float], transforms.Factor, transforms.Factor]:
    """Eigenvalues of one player's `D^{-1/2} JᵀJ D^{-1/2}`, its eigenvectors as columns, and as rows."""
    root = 0.5**0.5
    values, vectors = torch.linalg.eigh(torch.tensor([[2.0, root], [root, 0.5]], dtype=torch.float64))
    (a, b), (c, d) = vectors.tolist()
    return (float(values[0]), float(values[1])), ((a, b), (c, d)), ((a, c), (b, d))


def _tiny(like: Tensor) -> float:
    return torch.finfo(like.dtype).tiny
