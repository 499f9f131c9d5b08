"""The published recipe descends, stays in the band, and is never better than the exact solvers."""

import pytest
import torch

from worker.methods import _transforms as transforms
from worker.methods.and_or import problem as sparse
from worker.methods.and_or import published, solver

MATCHING = 1e-10


def stated(n, empty, seed=0):
    generator = torch.Generator().manual_seed(seed)
    atoms = torch.randn(2, 2, 2**n, generator=generator, dtype=torch.float64)
    tables = sparse.values(atoms * 0.3 ** transforms.orders(n))
    return sparse.sparse_problem(tables, sparse.noise_band(tables), empty=empty)


@pytest.mark.parametrize("empty", ["bias", "published"])
@pytest.mark.parametrize("learning_rate", [1e-4, 1e-3])
def test_it_descends_but_never_below_the_exact_optimum(empty, learning_rate):
    problem = stated(6, empty)

    start = published.solve(problem, steps=0)
    end = published.solve(problem, steps=1500, learning_rate=learning_rate)

    exact = solver.solve(problem)
    assert (end.objective < start.objective).all()
    assert (exact.objective <= end.objective * (1 + 1e-4)).all()
    assert (exact.bound <= end.objective).all()


def test_its_answer_is_feasible_and_proves_nothing():
    problem = stated(5, "bias")

    solution = published.solve(problem, steps=300, learning_rate=1e-3)

    assert sparse.excess(problem, solution.atoms).abs().max() <= MATCHING
    assert solution.bound.tolist() == [0, 0]
    assert solution.gap.tolist() == [1, 1]


def test_without_a_step_it_splits_every_value_in_halves():
    problem = stated(4, "bias")

    solution = published.solve(problem, steps=0)

    torch.testing.assert_close(solution.atoms, sparse.decompose(problem.gains), atol=MATCHING, rtol=0)
