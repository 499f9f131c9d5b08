"""The iterate of the interior-point method, its complementarity products, and the steps it takes.

Primal: `up - down` are the atoms, both positive; `error = h - v` on the listed states, strictly inside the band.
Dual: prices `λ` on the states; atom `j` has slack `1 ∓ correlation_j`; `low - high = λ`, both positive, price the two
walls of the band. Four products vanish at the optimum: `up (1 - c)`, `down (1 + c)`, `high (ζ - error)`,
`low (ζ + error)`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from worker.methods.and_or._constraints import Constraints

Products = tuple[Tensor, Tensor, Tensor, Tensor]
"""Of `up`, `down`, `high`, `low` with their slacks."""

_COLD = 0.05  # of the largest gain: where every atom starts without a better idea


@dataclass(frozen=True)
class Iterate:
    """A point, or a direction: `(batch, 2, 2^n)` for atoms, `(batch, states)` for states."""

    up: Tensor
    down: Tensor
    error: Tensor
    prices: Tensor
    earned: Tensor  # correlations(prices), carried along so that no step needs another transform
    high: Tensor
    low: Tensor

    @property
    def atoms(self) -> Tensor:
        """Signed atoms, `(batch, 2, 2^n)`."""
        return self.up - self.down

    def slacks(self, bands: Tensor) -> Products:
        """What `up`, `down`, `high` and `low` are complementary to."""
        return 1 - self.earned, 1 + self.earned, bands - self.error, bands + self.error

    def products(self, bands: Tensor) -> Products:
        """The four complementarity products."""
        pairs = zip((self.up, self.down, self.high, self.low), self.slacks(bands), strict=True)
        one, two, three, four = (value * slack for value, slack in pairs)
        return one, two, three, four

    def moved(self, by: Iterate, primal: Tensor, dual: Tensor) -> Iterate:
        """Step along a direction, `(batch,)` lengths for the primal and the dual part."""
        wide, narrow = primal[:, None, None], primal[:, None]
        return Iterate(
            up=self.up + wide * by.up,
            down=self.down + wide * by.down,
            error=self.error + narrow * by.error,
            prices=self.prices + dual[:, None] * by.prices,
            earned=self.earned + dual[:, None, None] * by.earned,
            high=self.high + dual[:, None] * by.high,
            low=self.low + dual[:, None] * by.low,
        )

    def longest_steps(self, by: Iterate, bands: Tensor) -> tuple[Tensor, Tensor]:
        """Find how far one may go, up to 1, until a positive quantity reaches 0: primal and dual, `(batch,)`."""
        rise, fall, above, below = self.slacks(bands)
        primal = _longest((self.up, by.up), (self.down, by.down), (above, -by.error), (below, by.error))
        dual = _longest((rise, -by.earned), (fall, by.earned), (self.high, by.high), (self.low, by.low))
        return primal, dual

    def select(self, samples: Tensor) -> Iterate:
        """Keep some samples."""
        return Iterate(*(getattr(self, field.name)[samples] for field in fields(self)))


def choose(which: Tensor, one: Iterate, other: Iterate) -> Iterate:
    """Take `one` for the samples marked in `(batch,)`, `other` for the rest."""

    def pick(name: str) -> Tensor:
        left, right = getattr(one, name), getattr(other, name)
        return torch.where(which.view(-1, *(1,) * (left.ndim - 1)), left, right)

    return Iterate(*(pick(field.name) for field in fields(one)))


def cold_start(system: Constraints) -> Iterate:
    """Start with every atom alike, no prices, in the middle of the band; the constraints are met later."""
    none = torch.zeros_like(system.gains)
    atoms = _COLD * system.atom_mask.expand(len(none), -1, -1)
    wall = _COLD / system.bands.expand_as(none)
    return Iterate(atoms, atoms, none, none, torch.zeros_like(atoms), wall, wall)


def warm_start(system: Constraints, atoms: Tensor, prices: Tensor, *, distance: float) -> Iterate:
    """Start from an answer to similar constraints, moved back inside.

    Args:
        atoms: `(batch, 2, 2^n)`, scaled; prices: `(batch, states)`, dual feasible.
        distance: The relative duality gap to start at, between 0 and 1; prices shrink by it.
    """
    prices = (1 - distance) * prices
    earned = system.correlations(prices)
    products = (distance * atoms.abs().sum((1, 2)) / pair_count(system)).clamp(min=torch.finfo(atoms.dtype).tiny)
    wide, narrow = products[:, None, None], products[:, None]
    up = (atoms.clamp(min=0) + wide / (1 - earned)) * system.atom_mask
    down = ((-atoms).clamp(min=0) + wide / (1 + earned)) * system.atom_mask
    walls = 0.9 * system.bands
    error = (system.values(up - down) - system.gains).clamp(-walls, walls)
    high, low = narrow / (system.bands - error), narrow / (system.bands + error)
    shift = prices - (low - high)
    return Iterate(up, down, error, prices, earned, high + (-shift).clamp(min=0), low + shift.clamp(min=0))


def pair_count(system: Constraints) -> float:
    """Count the complementary pairs: two per atom, two per state."""
    return 2 * float(system.atom_mask.sum()) + 2 * system.shape[1]


def _longest(*pairs: tuple[Tensor, Tensor]) -> Tensor:
    rates = [(-change / value.clamp(min=torch.finfo(value.dtype).tiny)).flatten(1).amax(1) for value, change in pairs]
    return 1 / torch.stack(rates).amax(0).clamp(min=1)
