"""The sparse AND-OR problem: which weights on AND and OR atoms match a table of 2^n values with the least total?

With `g` and `δ` of Eq. 12 eliminated, the paper's problem is a linear programme over the atoms alone:

    minimise  Σ |I_AND(S)| + |I_OR(S)|   subject to   |h(T) - v(T)| ≤ ζ  for every masked state T,

where `h(T) = b + Σ_{S ⊆ T} I_AND(S) + Σ_{S ∩ T ≠ ∅} I_OR(S)`. Its dual, `maximise Σ v(T) λ(T) - ζ |λ(T)|` with every
atom's correlation within ±1, turns any prices `λ` into a lower bound, and so any answer into a certified one.

The AND and the OR atom of one player are the same function, and so are both empty atoms: how weight is split between
them is arbitrary, and it is reported merged, in the AND part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from worker.methods import _transforms as transforms

Empty = Literal["bias", "published"]


@dataclass(frozen=True)
class SparseProblem:
    """One sparse problem per sample.

    Attributes:
        gains: `(batch, 2^n)` float64, `v(T) - v(∅)`.
        bias: `(batch,)`, `v(∅)`.
        bands: `(batch,)`, the half-width ζ ≥ 0 of the noise band, in units of v.
        empty: `"bias"` fixes `b = v(∅)` without noise or penalty, as in Theorem 2.1; `"published"` adds a constant
            atom that is penalised like every other, and gives the empty state a noise band, as the published code
            does after taking v(∅) off.
    """

    gains: Tensor
    bias: Tensor
    bands: Tensor
    empty: Empty = "bias"

    @property
    def n(self) -> int:
        """Number of players."""
        return transforms.player_count(self.gains)

    def atom_mask(self) -> Tensor:
        """Mark the distinct penalised atoms with 1: `(2, 2^n)`, AND then OR."""
        orders = transforms.orders(self.n, device=self.gains.device)
        conjunctions = orders >= (1 if self.empty == "bias" else 0)
        return torch.stack([conjunctions, orders >= 2]).to(self.gains.dtype)

    def state_mask(self) -> Tensor:
        """Mark the masked states that constrain the atoms: `(2^n,)` bool."""
        mask = torch.ones(self.gains.shape[-1], dtype=torch.bool, device=self.gains.device)
        mask[0] = self.empty == "published"
        return mask

    def select(self, samples: Tensor) -> SparseProblem:
        """Keep some samples, by index or mask."""
        return SparseProblem(self.gains[samples], self.bias[samples], self.bands[samples], self.empty)


@dataclass(frozen=True)
class Solution:
    """An answer with its certificate: the optimum lies in `[bound, objective]`.

    Attributes:
        atoms: `(batch, 2, 2^n)`, AND then OR interactions; feasible.
        noise: `(batch, 2^n)`, δ of Eq. 12: `v - δ` is matched exactly, and `|δ| ≤ ζ`.
        prices: `(batch, 2^n)`, dual feasible λ.
        objective: `(batch,)`, the total strength of `atoms`.
        bound: `(batch,)`, no feasible atoms have less.
        iterations: Newton systems factorised, or gradient steps, summed over rounds.
    """

    atoms: Tensor
    noise: Tensor
    prices: Tensor
    objective: Tensor
    bound: Tensor
    iterations: int

    def select(self, samples: Tensor) -> Solution:
        """Keep some samples, by index or mask."""
        return Solution(
            self.atoms[samples], self.noise[samples], self.prices[samples], self.objective[samples],
            self.bound[samples], self.iterations,
        )  # fmt: skip

    def updated(self, samples: Tensor, part: Solution) -> Solution:
        """Replace some samples, by index."""
        return Solution(
            self.atoms.index_copy(0, samples, part.atoms), self.noise.index_copy(0, samples, part.noise),
            self.prices.index_copy(0, samples, part.prices), self.objective.index_copy(0, samples, part.objective),
            self.bound.index_copy(0, samples, part.bound), part.iterations,
        )  # fmt: skip

    @property
    def gap(self) -> Tensor:
        """`(objective - bound) / objective`, `(batch,)`; 0 where nothing had to be explained."""
        return relative_gap(self.objective, self.bound)


def best_of(one: Solution, other: Solution) -> Solution:
    """Join two answers to one problem: of every sample the cheaper atoms, and the prices that prove more."""
    cheaper, higher = other.objective < one.objective, other.bound > one.bound
    return Solution(
        atoms=torch.where(cheaper[:, None, None], other.atoms, one.atoms),
        noise=torch.where(cheaper[:, None], other.noise, one.noise),
        prices=torch.where(higher[:, None], other.prices, one.prices),
        objective=torch.where(cheaper, other.objective, one.objective),
        bound=torch.where(higher, other.bound, one.bound),
        iterations=one.iterations + other.iterations,
    )


def relative_gap(objective: Tensor, bound: Tensor) -> Tensor:
    """Compare a cost with a lower bound: 0 is optimal, 1 says nothing."""
    return torch.where(objective > 0, (objective - bound) / objective, torch.zeros_like(objective))


def sparse_problem(tables: Tensor, bands: Tensor | float, *, empty: Empty = "bias") -> SparseProblem:
    """State the problem of `(batch, 2^n)` or `(2^n,)` values `v(T)` with noise bands `ζ`.

    Raises:
        ValueError: No power of two, a value that is no number, or a negative band.
    """
    transforms.player_count(tables)
    tables = tables.to(torch.float64).reshape(-1, tables.shape[-1])
    if not tables.isfinite().all():
        raise ValueError(f"expected finite values, got {tables[~tables.isfinite()][0].item()}")
    widths = torch.as_tensor(bands, dtype=tables.dtype, device=tables.device).expand(len(tables))
    if not (widths >= 0).all():
        raise ValueError(f"expected noise bands of at least 0, got {widths.min().item()}")
    return SparseProblem(tables - tables[:, :1], tables[:, 0], widths, empty)


def noise_band(tables: Tensor, share: float = 0.02) -> Tensor:
    """Compute ζ = share * |v(N) - v(∅)| of every sample, `(batch,)`; the paper's share is 0.02."""
    return share * (tables[..., -1] - tables[..., 0]).abs()


def values(atoms: Tensor) -> Tensor:
    """Evaluate `h(T) - b` on every masked state: `(..., 2, 2^n)` to `(..., 2^n)`."""
    return transforms.zeta(atoms[..., 0, :]) + transforms.or_zeta(atoms[..., 1, :])


def correlations(prices: Tensor) -> Tensor:
    """Transpose `values`: how much every atom earns at prices `λ`, `(..., 2^n)` to `(..., 2, 2^n)`."""
    return torch.stack([transforms.zeta_adjoint(prices), transforms.or_zeta_adjoint(prices)], dim=-2)


def predict(atoms: Tensor, bias: Tensor, states: Tensor) -> Tensor:
    """Evaluate the logical model `h` (Eq. 2) on masked states given by index.

    Args:
        atoms: `(batch, 2, 2^n)`; bias: `(batch,)`; states: `(states,)` int64.

    Returns:
        `(batch, states)`.
    """
    return bias[:, None] + values(atoms)[:, states]


def total(atoms: Tensor) -> Tensor:
    """Sum the strengths, the objective of Eq. 12: `(..., 2, 2^n)` to `(...)`."""
    return atoms.abs().sum((-1, -2))


def decompose(tables: Tensor, split: Tensor | float = 0.0) -> Tensor:
    """Compute the interactions of Theorem 2.1 for a given `γ`: they match `tables` exactly, but are not sparse.

    Args:
        tables: `(..., 2^n)`, v(T).
        split: γ(T), of the same shape: AND explains `v/2 + γ`, OR explains `v/2 - γ`.

    Returns:
        `(..., 2, 2^n)`, singletons and empty atoms merged; the empty AND atom holds v(∅).
    """
    halves = transforms.mobius(tables / 2 + split), transforms.or_mobius(tables / 2 - split)
    return merge_twins(torch.stack(halves, dim=-2))


def merge_twins(atoms: Tensor) -> Tensor:
    """Move the OR weight of single players and of the empty set to the AND atom that is the same function."""
    twins = transforms.orders(transforms.player_count(atoms), device=atoms.device) <= 1
    moved = torch.where(twins, atoms[..., 1, :], 0.0)
    return torch.stack([atoms[..., 0, :] + moved, atoms[..., 1, :] - moved], dim=-2)


def excess(problem: SparseProblem, atoms: Tensor) -> Tensor:
    """Measure how far `h` leaves the band: `(batch, 2^n)`, signed, 0 inside."""
    error = values(atoms) - problem.gains
    widths = problem.bands[:, None] * problem.state_mask()
    return error - error.clamp(-widths, widths)


def repair(problem: SparseProblem, atoms: Tensor) -> Tensor:
    """Make `atoms` feasible: take what sticks out of the band off by further atoms.

    One state takes 2^(n-|T|) AND atoms or 2^|T| OR atoms to move alone, so large states are mended by AND atoms and
    small ones by OR atoms.
    """
    outside = excess(problem, atoms)
    orders = transforms.orders(problem.n, device=atoms.device)
    large = torch.where(2 * orders >= problem.n, outside, 0.0)
    patches = transforms.mobius(large), transforms.or_mobius(outside - large)
    return merge_twins(atoms - torch.stack(patches, dim=-2))


def lower_bound(problem: SparseProblem, prices: Tensor) -> tuple[Tensor, Tensor]:
    """Scale `prices` until the best atom earns what it costs; what they then promise bounds every objective.

    Returns:
        The scaled prices `(batch, 2^n)`, and the dual objective `(batch,)`, at least 0.
    """
    priced = prices * problem.state_mask()
    earned = (correlations(priced) * problem.atom_mask()).abs().amax((-1, -2))
    priced = priced / torch.where(earned > 0, earned, 1.0)[:, None]
    promised = (problem.gains * priced).sum(-1) - problem.bands * priced.abs().sum(-1)
    # Prices of zero promise zero, which beats a negative promise.
    return torch.where(promised[:, None] > 0, priced, 0.0), promised.clamp(min=0)


def certified(problem: SparseProblem, atoms: Tensor, prices: Tensor, *, iterations: int) -> Solution:
    """Repair `atoms`, scale `prices`, and state what both prove."""
    feasible = repair(problem, atoms)
    priced, bound = lower_bound(problem, prices)
    noise = problem.gains - values(feasible)
    return Solution(feasible, noise, priced, total(feasible), bound, iterations)
