"""The looked-up normal matrix against the product it stands for, and the solver of its equations."""

import pytest
import torch

from worker.methods.and_or import problem as sparse
from worker.methods.and_or._constraints import constraints
from worker.methods.and_or._newton import NormalEquations

ROUNDING = 1e-10  # sums of 2^6 products of size 1
SOLVED = 1e-8  # relative; the steps that use it are cut to 99 % anyway


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("empty", ["bias", "published"])
def test_the_normal_matrix_is_the_product_it_stands_for(empty):
    problem = sparse.sparse_problem(random(2, 64), 0.1, empty=empty)
    listed = (random(2, 64, seed=1) < 0.4) & problem.state_mask()
    system = constraints(problem, listed)
    weights, diagonal = random(2, 2, 64, seed=2) * problem.atom_mask(), random(*system.shape, seed=3)

    matrix = system.normal_matrix(weights, diagonal)

    units = torch.eye(system.shape[1], dtype=torch.float64)
    columns = [system.values(weights * system.correlations(unit.expand(2, -1))) + diagonal * unit for unit in units]
    torch.testing.assert_close(matrix, torch.stack(columns, dim=2), atol=ROUNDING, rtol=0)


def test_values_and_correlations_are_transposes():
    problem = sparse.sparse_problem(random(2, 64), 0.1)
    system = constraints(problem, (random(2, 64, seed=1) < 0.4) & problem.state_mask())
    atoms, prices = random(2, 2, 64, seed=4) * problem.atom_mask(), random(*system.shape, seed=5)

    left = (system.values(atoms) * prices).sum(1)
    right = (atoms * system.correlations(prices)).sum((1, 2))

    torch.testing.assert_close(left, right, atol=ROUNDING, rtol=0)


def test_ill_conditioned_equations_are_solved_to_many_digits():
    turn, _ = torch.linalg.qr(random(2, 30, 30) - 0.5)
    matrix = turn @ torch.diag_embed(torch.logspace(-9, 2, 30, dtype=torch.float64)) @ turn.mT
    right = (matrix @ random(2, 30, 1, seed=6))[:, :, 0]

    solution = NormalEquations(matrix.clone()).solve(right)

    residual = (matrix @ solution[:, :, None])[:, :, 0] - right
    assert (residual.norm(dim=1) <= SOLVED * right.norm(dim=1)).all()


def test_equations_without_a_positive_definite_matrix_are_refused():
    with pytest.raises(ArithmeticError, match="expected a positive definite normal matrix"):
        NormalEquations(torch.tensor([[[1.0, 2.0], [2.0, 1.0]]], dtype=torch.float64))
