"""Stating the sparse problem, predicting with its answer, and the certificates."""

import numpy as np
import pytest
import torch

from tests.reference import and_or as reference
from worker.methods.and_or import problem as sparse

MATCHING = 1e-10  # float64 sums of 4096 numbers of size 1
EXACT = 1e-12


def random_tables(n, batch=1, seed=0):
    return torch.randn(batch, 2**n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("n", [1, 2, 5, 9, 12])
def test_interactions_match_every_masked_state_whatever_the_split(n):
    tables, split = random_tables(n, 2), random_tables(n, 2, seed=1)

    atoms = sparse.decompose(tables, split)

    torch.testing.assert_close(sparse.values(atoms), tables, atol=MATCHING * 2**n / 32, rtol=0)


def test_the_logical_model_is_equation_two():
    tables = random_tables(4)
    atoms = sparse.decompose(tables - tables[:, :1], random_tables(4, seed=2))

    predicted = sparse.predict(atoms, tables[:, 0], torch.arange(16))

    expected = [reference.logical_model(atoms[0].numpy(), tables[0, 0].item(), T) for T in range(16)]
    np.testing.assert_allclose(predicted[0], expected, atol=EXACT)


def test_merging_twins_changes_no_value_and_leaves_no_or_of_one_player():
    atoms = torch.stack([random_tables(5)[0], random_tables(5, seed=3)[0]])

    merged = sparse.merge_twins(atoms)

    torch.testing.assert_close(sparse.values(merged), sparse.values(atoms), atol=EXACT, rtol=0)
    assert merged[1, [0, 1, 2, 4, 8, 16]].tolist() == [0] * 6


@pytest.mark.parametrize("empty", ["bias", "published"])
def test_repaired_atoms_stay_in_the_band(empty):
    problem = sparse.sparse_problem(random_tables(6, 3), 0.1, empty=empty)
    wrong = torch.randn(3, 2, 64, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    wrong = sparse.merge_twins(wrong * problem.atom_mask())

    repaired = sparse.repair(problem, wrong)

    assert sparse.excess(problem, repaired).abs().max() < EXACT * 64


def test_atoms_within_the_band_are_left_alone():
    problem = sparse.sparse_problem(random_tables(5), 100.0)
    atoms = sparse.merge_twins(0.01 * torch.ones(1, 2, 32, dtype=torch.float64) * problem.atom_mask())

    torch.testing.assert_close(sparse.repair(problem, atoms), atoms, atol=0, rtol=0)


@pytest.mark.parametrize("empty", ["bias", "published"])
@pytest.mark.parametrize("seed", range(5))
def test_any_prices_bound_the_optimum_from_below(empty, seed):
    tables = random_tables(4, seed=seed)
    problem = sparse.sparse_problem(tables, 0.3, empty=empty)
    prices = 0.3 * random_tables(4, seed=seed + 10)

    _, bound = sparse.lower_bound(problem, prices)

    assert bound.item() <= reference.optimum(tables[0].numpy(), 0.3, empty=empty) + EXACT


def test_the_band_is_a_share_of_what_all_players_gain():
    tables = torch.tensor([[1.0, 0.0, 0.0, 5.0], [3.0, 0.0, 0.0, 1.0]])

    torch.testing.assert_close(sparse.noise_band(tables), torch.tensor([0.08, 0.04]))


@pytest.mark.parametrize(
    ("table", "band", "message"),
    [
        (torch.zeros(6), 0.0, r"expected 2\^n coalitions"),
        (torch.tensor([0.0, float("nan")]), 0.0, "expected finite values, got nan"),
        (torch.zeros(4), -1.0, "expected noise bands of at least 0, got -1.0"),
    ],
)
def test_what_states_no_problem_is_refused(table, band, message):
    with pytest.raises(ValueError, match=message):
        sparse.sparse_problem(table, band)
