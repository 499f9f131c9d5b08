"""The first-order solver: certified at every time, and on its way to the optimum."""

import pytest
import torch

from tests.reference import and_or as reference
from worker.methods import _transforms as transforms
from worker.methods.and_or import problem as sparse
from worker.methods.and_or.splitting import Splitting

MATCHING = 1e-10
ROUNDING = 1e-9  # relative
REACHED = 1e-3  # relative gap that 10,000 steps prove on small tables


def stated(n, empty="bias", batch=2):
    generator = torch.Generator().manual_seed(n)
    atoms = torch.randn(batch, 2, 2**n, generator=generator, dtype=torch.float64) * 0.3 ** transforms.orders(n)
    tables = sparse.values(atoms) * torch.tensor([1.0, 100.0], dtype=torch.float64)[:batch, None]
    return sparse.sparse_problem(tables, sparse.noise_band(tables), empty=empty)


@pytest.mark.parametrize("empty", ["bias", "published"])
@pytest.mark.parametrize("n", [1, 3, 6])
def test_it_reaches_the_optimum_of_highs(n, empty):
    problem = stated(n, empty)

    solution = Splitting(problem).run(tolerance=REACHED, steps=10_000)

    assert (solution.gap <= REACHED).all()
    for table, band, objective, bound in zip(
        problem.gains, problem.bands, solution.objective, solution.bound, strict=True
    ):
        optimum = reference.optimum(table.numpy(), float(band), empty=empty)
        assert bound.item() <= optimum * (1 + ROUNDING)
        assert optimum * (1 - ROUNDING) <= objective.item() <= optimum * (1 + REACHED) / (1 - REACHED)


@pytest.mark.parametrize("steps", [0, 1, 250])
def test_stopped_at_any_time_it_is_feasible_and_proves_what_it_says(steps):
    problem = stated(7)

    solution = Splitting(problem).run(tolerance=0.0, steps=steps)

    assert solution.iterations == steps
    assert sparse.excess(problem, solution.atoms).abs().max() <= MATCHING * problem.gains.abs().max()
    assert (solution.bound <= solution.objective).all()
    earned = sparse.correlations(solution.prices) * problem.atom_mask()
    assert earned.abs().max() <= 1 + ROUNDING


def test_run_on_it_is_never_worse():
    splitting = Splitting(stated(8))

    rough = splitting.run(tolerance=0.3, steps=2_000)
    fine = splitting.run(tolerance=0.01, steps=2_000)

    assert (fine.gap <= 0.01).all()
    assert (fine.objective <= rough.objective).all()
    assert (fine.bound >= rough.bound).all()


def test_a_table_that_the_band_explains_takes_no_step():
    solution = Splitting(sparse.sparse_problem(torch.full((16,), 2.0), 0.0)).run(tolerance=0.0, steps=100)

    assert solution.iterations == 0
    assert solution.objective.item() == 0


def test_it_can_be_canceled_between_proofs():
    told = []

    def stop(step, gap):
        told.append(step)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        Splitting(stated(5)).run(tolerance=0.0, steps=1000, watch=stop)
    assert told[0] < 100
