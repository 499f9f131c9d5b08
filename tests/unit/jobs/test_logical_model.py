"""The logical model on masked states, against its definition in plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.logical_model import LogicalModel

EXACT = 1e-12
"""Sums of at most a thousand float64 numbers around 1, in another order."""


def made(n: int, seed: int = 0, share: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Random atoms, of which `share` are not 0, and an unrelated table."""
    random = np.random.default_rng(seed)
    atoms = random.normal(size=(2, 1 << n)) * (random.random((2, 1 << n)) < share)
    atoms[:, 0] = 0
    return atoms, random.normal(size=1 << n)


def members(bits: int) -> set[int]:
    return {player for player in range(bits.bit_length()) if bits >> player & 1}


def triggered(atoms: np.ndarray, present: set[int]) -> list[tuple[int, int, float]]:
    """Every atom `(row, set, strength)` that a state triggers, by definition."""
    found = []
    for bits in range(1, atoms.shape[1]):
        if members(bits) <= present:
            found.append((0, bits, float(atoms[0, bits])))
        if members(bits) & present:
            found.append((1, bits, float(atoms[1, bits])))
    return [atom for atom in found if atom[2] != 0]


@pytest.mark.parametrize("n", [1, 2, 3, 6, 8])
def test_predictions_are_sums_of_what_is_triggered(n):
    atoms, table = made(n, seed=n)
    model = LogicalModel(atoms, table)

    for state in range(0, 1 << n, 7 if n == 8 else 1):
        expected = table[0] + math.fsum(strength for _, _, strength in triggered(atoms, members(state)))
        found = model.at(state, top=3)
        assert found.prediction == pytest.approx(expected, abs=EXACT)
        assert found.value == table[state]


@given(st.integers(1, 6), st.integers(0, 2**32), st.integers(1, 200), st.floats(0, 1))
def test_the_strongest_triggered_interactions_come_first(n, seed, top, share):
    atoms, table = made(n, seed, share)
    state = seed % (1 << n)

    found = LogicalModel(atoms, table).at(state, top=top).triggered

    expected = sorted(triggered(atoms, members(state)), key=lambda atom: (-abs(atom[2]), atom[0], atom[1]))[:top]
    assert [(atom.members, atom.strength) for atom in found] == [(bits, strength) for _, bits, strength in expected]
    assert [atom.kind for atom in found] == [
        "main" if bits.bit_count() == 1 else ("and", "or")[row] for row, bits, _ in expected
    ]


@given(st.integers(1, 7), st.integers(0, 2**32), st.integers(1, 300))
def test_what_is_listed_and_the_remainder_add_up(n, seed, top):
    model = LogicalModel(*made(n, seed))

    found = model.at(seed % (1 << n), top=top)

    total = model.constant + sum(atom.strength for atom in found.triggered) + found.remainder
    assert total == pytest.approx(found.prediction, abs=EXACT)


def test_strong_interactions_far_down_the_list_are_found(monkeypatch):
    """The state triggers none of the first blocks."""
    monkeypatch.setattr("jobs.logical_model._BLOCK", 4)
    atoms, table = made(6, seed=1)
    state = 0b000001

    found = LogicalModel(atoms, table).at(state, top=1000).triggered

    assert len(found) == len(triggered(atoms, members(state))) == 33


def test_where_all_are_masked_nothing_is_triggered_and_the_constant_remains():
    atoms, table = made(4)
    atoms[:, 0] = 0.25, 0.5  # of `empty: published`

    model = LogicalModel(atoms, table)

    found = model.at(0, top=5)
    assert (found.triggered, found.remainder) == ((), 0.0)
    assert found.prediction == model.constant == pytest.approx(table[0] + 0.75, abs=EXACT)


@pytest.mark.parametrize(
    ("atoms", "table", "words"),
    [
        (np.zeros((2, 4)), np.zeros(8), "2^n values"),
        (np.zeros((2, 3)), np.zeros(3), "2^n values"),
        (np.zeros((2, 0)), np.zeros(0), "2^n values"),
        (np.zeros((1, 4)), np.zeros(4), "2^n values"),
        (np.zeros((2, 4)), np.full(4, np.nan), "finite"),
        (np.full((2, 4), np.inf), np.zeros(4), "finite"),
    ],
)
def test_what_is_no_logical_model_is_refused(atoms, table, words):
    with pytest.raises(ValueError, match=words.replace("^", r"\^")):
        LogicalModel(atoms, table)
