"""Both exact solvers against HiGHS, and their certificates."""

import numpy as np
import pytest
import torch

from tests.reference import and_or as reference
from worker.methods import _transforms as transforms
from worker.methods.and_or import interior_point, row_generation, solver
from worker.methods.and_or import problem as sparse
from worker.methods.and_or.splitting import Splitting

OPTIMUM = 1e-6  # relative, as the issue asks; HiGHS itself stops at 1e-7
MATCHING = 1e-10
ROUNDING = 1e-9  # relative: a bound may pass the objective by rounding at the optimum


def smooth_tables(n, batch=1, seed=0):
    """Tables like a network's: interactions that fade with their order, and a little noise on every state."""
    generator = torch.Generator().manual_seed(seed)
    atoms = torch.randn(batch, 2, 2**n, generator=generator, dtype=torch.float64)
    atoms *= 0.3 ** transforms.orders(n).to(torch.float64)
    noise = 0.01 * torch.randn(batch, 2**n, generator=generator, dtype=torch.float64)
    return sparse.values(atoms) + noise


def stated(tables, empty="bias"):
    return sparse.sparse_problem(tables, sparse.noise_band(tables), empty=empty)


def by_rows(problem, **options):
    """Solve by row generation from a start that knows nothing but what some steps of splitting tell."""
    return row_generation.solve(problem, Splitting(problem).run(tolerance=0.5, steps=100), **options)


@pytest.mark.parametrize("solve", [interior_point.solve, by_rows, solver.solve])
@pytest.mark.parametrize("empty", ["bias", "published"])
@pytest.mark.parametrize("n", [1, 2, 4, 6])
def test_the_objective_is_that_of_highs(solve, empty, n):
    tables = smooth_tables(n, seed=n)

    solution = solve(stated(tables, empty), tolerance=OPTIMUM / 10)

    band = sparse.noise_band(tables)[0].item()
    assert solution.objective.item() == pytest.approx(
        reference.optimum(tables[0].numpy(), band, empty=empty), rel=OPTIMUM
    )


@pytest.mark.parametrize("solve", [interior_point.solve, by_rows])
@pytest.mark.parametrize("n", [8, 9])
def test_the_objective_is_that_of_highs_for_many_players(solve, n):
    tables = smooth_tables(n, seed=n)

    solution = solve(stated(tables), tolerance=OPTIMUM / 10)

    optimum = reference.optimum(tables[0].numpy(), sparse.noise_band(tables)[0].item())
    assert solution.objective.item() == pytest.approx(optimum, rel=OPTIMUM)
    assert solution.bound.item() <= optimum * (1 + ROUNDING)


@pytest.mark.parametrize("solve", [interior_point.solve, by_rows])
@pytest.mark.parametrize("empty", ["bias", "published"])
@pytest.mark.parametrize("n", [3, 7, 9])
def test_answers_match_every_state_and_certify_their_gap(solve, empty, n):
    tables = smooth_tables(n, batch=3, seed=7)
    problem = stated(tables, empty)

    solution = solve(problem, tolerance=1e-4)

    h = sparse.predict(solution.atoms, problem.bias, torch.arange(2**n))
    assert (tables - solution.noise - h).abs().max() <= MATCHING
    assert (solution.noise.abs() <= problem.bands[:, None] + MATCHING).all()
    assert (solution.gap <= 1e-4).all()
    assert (solution.gap >= -ROUNDING).all()
    earned = sparse.correlations(solution.prices) * problem.atom_mask()
    assert earned.abs().max() <= 1 + ROUNDING


@pytest.mark.parametrize("solve", [interior_point.solve, by_rows])
def test_a_batch_gives_what_each_sample_gives_alone(solve):
    tables = smooth_tables(6, batch=4, seed=3) * torch.tensor([1e-3, 1.0, 10.0, 1e3], dtype=torch.float64)[:, None]

    together = solve(stated(tables), tolerance=1e-7)
    alone = torch.cat([solve(stated(table[None]), tolerance=1e-7).objective for table in tables])

    torch.testing.assert_close(together.objective, alone, rtol=2e-7, atol=0)


def test_samples_of_many_players_come_back_in_order():
    tables = smooth_tables(10, batch=2, seed=5) * torch.tensor([[1.0], [10.0]], dtype=torch.float64)

    solution = solver.solve(stated(tables))

    h = sparse.predict(solution.atoms, tables[:, 0], torch.arange(2**10))
    assert (tables - solution.noise - h).abs().max() <= MATCHING
    assert (solution.gap <= 1e-4).all()


@pytest.mark.parametrize(("most_listed", "tolerance"), [(64, 1e-6), (0, 1e-3)])
def test_tables_too_large_for_all_their_states_are_solved_by_few_states_or_by_steps(
    monkeypatch, most_listed, tolerance
):
    """Six players take the way of thirteen: the states that bind are factorised, unless they are too many."""
    for name, value in (("_FEW_PLAYERS", 4), ("_TOGETHER", 4), ("_MOST_LISTED", most_listed)):
        monkeypatch.setattr(solver, name, value)
    tables = smooth_tables(6, batch=2, seed=4)

    solution = solver.solve(stated(tables), tolerance=tolerance)

    assert (solution.gap <= tolerance).all()
    for table, objective in zip(tables, solution.objective, strict=True):
        optimum = reference.optimum(table.numpy(), float(sparse.noise_band(table)))
        assert objective.item() == pytest.approx(optimum, rel=2 * tolerance)


def test_the_steps_on_a_large_table_are_bounded(monkeypatch):
    for name, value in (("_FEW_PLAYERS", 4), ("_TOGETHER", 4), ("_STEPS", 80), ("_STEPS_PLAYERS", 4)):
        monkeypatch.setattr(solver, name, value)
    monkeypatch.setattr(solver, "_MOST_LISTED", 0)

    solution = solver.solve(stated(smooth_tables(7)), tolerance=1e-8)

    assert 0 < solution.iterations <= 10  # 80, halved for each of three players more than four
    assert solution.gap.item() > 1e-8


@pytest.mark.parametrize("solve", [interior_point.solve, by_rows])
def test_planted_atoms_are_recovered_without_noise(solve):
    """Few atoms are the sparsest explanation of what they make."""
    planted = torch.zeros(1, 2, 2**8, dtype=torch.float64)
    planted[0, 0, [0b1, 0b1100, 0b11100000, 0b1111]] = torch.tensor([2.0, -1.0, 1.5, 0.7], dtype=torch.float64)
    planted[0, 1, [0b110, 0b10010000, 0b111000]] = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)

    solution = solve(sparse.sparse_problem(sparse.values(planted) + 3.0, 0.0), tolerance=1e-6)

    np.testing.assert_allclose(solution.atoms, planted, atol=1e-4)


@pytest.mark.parametrize("solve", [interior_point.solve, by_rows])
@pytest.mark.parametrize(("table", "band"), [(torch.full((16,), 2.5), 0.0), (torch.arange(16) / 1000, 0.1)])
def test_what_the_band_explains_needs_no_atom(solve, table, band):
    solution = solve(sparse.sparse_problem(table, band))

    assert solution.objective.item() == 0
    assert solution.gap.item() == 0


def test_an_answer_cut_short_is_feasible_and_says_how_far_it_came():
    problem = stated(smooth_tables(9, seed=1))

    solution = by_rows(problem, max_rounds=2)

    assert sparse.excess(problem, solution.atoms).abs().max() <= MATCHING
    assert 1e-4 < solution.gap.item() < 1


def test_progress_is_told_and_may_stop_the_work():
    def stop(iteration, gap):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        solver.solve(stated(smooth_tables(4)), watch=stop)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("solve", [interior_point.solve, by_rows])
def test_a_gpu_gives_what_the_cpu_gives(solve):
    tables = smooth_tables(8, batch=4)

    on_gpu = solve(stated(tables.cuda()), tolerance=1e-7)

    assert on_gpu.atoms.device.type == "cuda"
    torch.testing.assert_close(
        on_gpu.objective.cpu(), solve(stated(tables), tolerance=1e-7).objective, rtol=2e-7, atol=0
    )
