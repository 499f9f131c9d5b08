"""The logical model of a network: its AND and OR interactions, evaluated on masked states. No network runs.

On the state in which the players `T` are present and all others are masked, the model says

    h(T) = v(∅) + sum of I_AND(S) over S ⊆ T + sum of I_OR(S) over S with S ∩ T ≠ ∅,

and the network said v(T), which its table holds. An interaction that adds to h(T) is triggered by `T`. (The empty
atom, which only `empty: published` has, belongs to the constant h(∅).)

Needs NumPy alone. Source: "Revisiting Generalization Power of a DNN in Terms of Symbolic Interactions",
https://arxiv.org/abs/2502.10162 (Eq. 2 and 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Kind = Literal["main", "and", "or"]
Floats: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.int64]

_BLOCK = 4096
"""Interactions that are looked through at once for triggered ones, strongest first."""


@dataclass(frozen=True)
class Atom:
    """An interaction: a set of players, as a set of bits, and its strength."""

    kind: Kind
    members: int
    strength: float


@dataclass(frozen=True)
class StatePrediction:
    """What the logical model says of one masked state.

    Attributes:
        prediction: h(T).
        value: v(T), of the network.
        triggered: The strongest interactions that T triggers, strongest first.
        remainder: What all other triggered interactions add: h(T) = h(∅) + sum of `triggered` + `remainder`.
    """

    prediction: float
    value: float
    triggered: tuple[Atom, ...]
    remainder: float


class LogicalModel:
    """A sparse logical model and the table of values that it matches.

    Args:
        atoms: `(2, 2^n)`, AND then OR interactions; player k is bit k of the index.
        table: `(2^n,)`, v(T) of the network.

    Raises:
        ValueError: Arrays of other shapes, or with numbers that are not finite.
    """

    def __init__(self, atoms: NDArray[np.floating], table: NDArray[np.floating]) -> None:
        self.players = max(table.size, 1).bit_length() - 1
        if table.shape != (1 << self.players,) or atoms.shape != (2, table.size):
            raise ValueError(f"expected (2, 2^n) atoms and 2^n values, got {list(atoms.shape)} and {list(table.shape)}")
        if not (np.isfinite(atoms).all() and np.isfinite(table).all()):
            raise ValueError("expected finite atoms and values")
        self._table = np.asarray(table, dtype=np.float64)
        self._atoms = np.asarray(atoms, dtype=np.float64)
        self._values = self._table[0] + zeta(self._atoms[0]) + or_zeta(self._atoms[1])
        self._strongest = _strongest_first(self._atoms)

    @property
    def constant(self) -> float:
        """h(∅), what the logical model says where all players are masked."""
        return float(self._values[0])

    def at(self, state: int, *, top: int) -> StatePrediction:
        """Evaluate one masked state.

        Args:
            state: The players present, as a set of bits.
            top: How many triggered interactions are listed.
        """
        triggered = self._triggered(state, top)
        prediction = float(self._values[state])
        listed = sum(atom.strength for atom in triggered)
        return StatePrediction(
            prediction=prediction,
            value=float(self._table[state]),
            triggered=triggered,
            remainder=prediction - self.constant - listed,
        )

    def _triggered(self, state: int, top: int) -> tuple[Atom, ...]:
        found: list[Atom] = []
        for start in range(0, len(self._strongest), _BLOCK):
            part = self._strongest[start : start + _BLOCK]
            sets, is_or = part % self._table.size, part >= self._table.size
            met = np.where(is_or, (sets & state) != 0, (sets & state) == sets)
            found += [self._atom(int(place)) for place in part[met][: top - len(found)]]
            if len(found) == top:
                break
        return tuple(found)

    def _atom(self, place: int) -> Atom:
        row, members = divmod(place, self._table.size)
        kind: Kind = "main" if members.bit_count() == 1 else ("or" if row else "and")
        return Atom(kind=kind, members=members, strength=float(self._atoms[row, members]))


def zeta(weights: Floats) -> Floats:
    """Sum over subsets: `out[T] = sum of weights[S] over S ⊆ T`, `(2^n,)`; O(n 2^n), a player at a time."""
    sums = weights.copy()
    step = 1
    while step < sums.size:
        pairs = sums.reshape(-1, 2, step)  # (higher players, absent or present, lower players)
        pairs[:, 1] += pairs[:, 0]
        step *= 2
    return sums


def or_zeta(weights: Floats) -> Floats:
    """Sum over what meets `T`: `out[T] = weights[∅] + sum of weights[S] over S ∩ T ≠ ∅`."""
    # What meets T is everything but the subsets of its complement, whose index is 2^n - 1 - T.
    disjoint: Floats = zeta(weights)[::-1]
    met: Floats = weights.sum() + weights[0] - disjoint
    return met


def _strongest_first(atoms: Floats) -> Indices:
    """Return the places of all atoms that are not 0 in the flat `(2 * 2^n,)`, the constants left out."""
    strengths = np.abs(atoms).reshape(-1)
    strengths[[0, atoms.shape[1]]] = 0.0
    places = np.flatnonzero(strengths)
    # A stable sort: of equal strengths, AND comes before OR and the lower index first, on every machine.
    order: Indices = places[np.argsort(-strengths[places], kind="stable")]
    return order
