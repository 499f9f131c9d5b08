"""Some of the band constraints of a sparse problem, scaled, with what an interior-point method asks of them.

All atoms take part; of the 2^n masked states only those listed do. For states `S`, `T` and weights `d` on the atoms,
the normal matrix needs no matrix product: an AND atom holds on both `S` and `T` where it holds on `S ∩ T`, and an OR
atom misses both where it misses `S ∪ T`, so every entry is looked up in two transformed tables, O(states²).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from worker.methods import _transforms as transforms
from worker.methods.and_or.problem import SparseProblem, correlations, values

_THINNEST_BAND = 1e-9  # of the largest gain: an interior needs room; what this lets through is repaired afterwards


@dataclass(frozen=True)
class Constraints:
    """`|h(T) - v(T)| ≤ ζ` on listed states, one list per sample, padded to one length.

    Attributes:
        scale: `(batch,)`, the largest gain, by which gains and bands are divided.
        gains: `(batch, states)`, scaled; 0 on padding.
        bands: `(batch, 1)`, scaled, positive.
        states: `(batch, states)` int64.
        valid: `(batch, states)`, 1 for a state, 0 for padding. A padded row is a tiny problem of its own, solved by 0.
        atom_mask: `(2, 2^n)`.
    """

    scale: Tensor
    gains: Tensor
    bands: Tensor
    states: Tensor
    valid: Tensor
    atom_mask: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        """`(batch, states)`."""
        batch, states = self.states.shape
        return batch, states

    def values(self, atoms: Tensor) -> Tensor:
        """Evaluate `h(T) - b` on the listed states: `(batch, states)`."""
        return values(atoms).gather(1, self.states) * self.valid

    def correlations(self, prices: Tensor) -> Tensor:
        """Transpose `values`: `(batch, 2, 2^n)`."""
        return correlations(self.spread(prices)) * self.atom_mask

    def spread(self, prices: Tensor) -> Tensor:
        """Write `(batch, states)` into zeros of `(batch, 2^n)`."""
        table = prices.new_zeros(len(prices), self.atom_mask.shape[-1])
        return table.scatter_add_(1, self.states, prices * self.valid)

    def normal_matrix(self, weights: Tensor, diagonal: Tensor) -> Tensor:
        """Form `B diag(weights) Bᵀ + diag(diagonal)`, with `B` the atoms' values on the states.

        Args:
            weights: `(batch, 2, 2^n)`, at least 0; diagonal: `(batch, states)`, positive.

        Returns:
            `(batch, states, states)`.
        """
        within = transforms.zeta(weights[:, 0])  # AND atoms that hold on a state
        missing = transforms.zeta(weights[:, 1]).flip(-1)  # OR atoms that miss it
        one_misses = missing.gather(1, self.states)
        meets = self.states[:, :, None] & self.states[:, None, :]
        matrix = _look_up(within, meets)
        joins = meets.neg_().add_(self.states[:, :, None]).add_(self.states[:, None, :])  # S ∪ T = S + T - S ∩ T
        matrix += _look_up(missing, joins)
        matrix += weights[:, 1].sum(-1)[:, None, None]
        matrix -= one_misses[:, :, None]
        matrix -= one_misses[:, None, :]
        if not bool(self.valid.all()):
            matrix *= self.valid[:, :, None] * self.valid[:, None, :]
        matrix.diagonal(dim1=1, dim2=2).add_(diagonal)
        return matrix

    def select(self, samples: Tensor) -> Constraints:
        """Keep some samples."""
        return Constraints(
            scale=self.scale[samples],
            gains=self.gains[samples],
            bands=self.bands[samples],
            states=self.states[samples],
            valid=self.valid[samples],
            atom_mask=self.atom_mask,
        )


def constraints(problem: SparseProblem, listed: Tensor) -> Constraints:
    """List the states marked in `(batch, 2^n)` bool, sample by sample."""
    length = max(1, int(listed.sum(-1).max()))
    # A stable sort of the marks puts the listed states first, in order.
    states = listed.to(torch.int8).argsort(dim=-1, descending=True, stable=True)[:, :length]
    valid = listed.gather(1, states).to(problem.gains.dtype)
    scale = problem.gains.abs().amax(-1)
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    gains = problem.gains.gather(1, states) * valid / scale[:, None]
    bands = (problem.bands / scale).clamp(min=_THINNEST_BAND)[:, None]
    return Constraints(scale, gains, bands, states, valid, problem.atom_mask())


def _look_up(table: Tensor, indices: Tensor) -> Tensor:
    """Read `(batch, size)` at `(batch, rows, columns)`."""
    return table.gather(1, indices.flatten(1)).view(indices.shape)
