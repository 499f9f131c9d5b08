"""AND-OR interactions: distance to the optimum, certified gap, CPU seconds and salient interactions, on equal tables.

    python -m benchmarks.and_or [--quick] [--steps N]

`relative_gap_to_optimum` is how far an objective lies above the optimum: HiGHS's where that is run (n <= 10), else
the best certified bound. `certified_gap` is what an answer proves by itself. Peers, each on the same table: `highs`,
the linear programme written out densely; `published`, the published recipe at the better of three learning rates
(the time is of one run, and by our fast transforms: the published code multiplies dense 2^n x 2^n matrices); `shapiq`,
its exact Möbius transform, which is the AND part alone without any sparsity. Every solver gets the problem with the
constant atom penalised, as published. CPU time on one thread; making the tables is not counted. `ratio` is our
value over the peer's: below 1 ours is faster, or finds fewer.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import TypeVar

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from benchmarks import _and_or_tables as tables
from benchmarks import _photographs
from benchmarks._rows import Rows
from worker.methods import _transforms as transforms
from worker.methods.and_or import orders, published, solver
from worker.methods.and_or.problem import Solution, SparseProblem, noise_band, sparse_problem, values

RATES = (1e-6, 1e-5, 1e-4)
PRECISE = 1e-7
MOST_FOR_HIGHS = 10
MOST_FOR_SHAPIQ = 12
TRANSFORMED = 20

Given = TypeVar("Given")
Result = TypeVar("Result")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.and_or", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="digits with 8 players and a short recipe: a minute")
    parser.add_argument("--steps", type=int, default=10_000, help="of the published recipe")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    # What the first calls load is not the solvers' time.
    solver.solve(sparse_problem(torch.randn(16), 0.0))
    shapiq_mobius(torch.randn(4))
    with Rows("and_or", threads=1) as rows:
        add_transforms(rows)
        if arguments.quick:
            add_cases(rows, tables.digits((8,), samples=1), steps=500)
            return
        add_cases(rows, chain(*compared_cases()), steps=arguments.steps)
        add_batched(rows, tables.digits((10,), samples=16))
        for case in large_cases():
            add_ours(rows, case, _stated(case))


def compared_cases() -> Iterator[Iterator[tables.Case]]:
    """Tables for every solver."""
    yield tables.digits((8, 10), samples=1)
    yield tables.digits((8, 10), overfitted=True, samples=1)
    yield tables.random_resnet(10)
    if _photographs.present():
        yield tables.photograph((10, 12))
    else:
        print("no pretrained MobileNetV2 beside the checkout: real photographs left out")


def large_cases() -> Iterator[tables.Case]:
    """Tables for ours alone; the peers would take hours, or memory that is not there."""
    yield from tables.digits((12, 14), samples=1)
    yield from tables.digits((12, 16), overfitted=True, samples=1)


def add_transforms(rows: Rows) -> None:
    """Time the interactions of one large table."""
    table = torch.randn(2**TRANSFORMED, dtype=torch.float64)
    for name, transform in (("AND", transforms.mobius), ("OR", transforms.or_mobius)):
        transform(table)
        _, seconds = _timed(transform, table)
        rows.add(metric="cpu_seconds", case=f"{name} transform n={TRANSFORMED}", value=seconds, unit="s")


def add_cases(rows: Rows, cases: Iterator[tables.Case], *, steps: int) -> None:
    """Compare every solver on every table."""
    for case in cases:
        problem = _stated(case)
        ours, seconds = add_ours(rows, case, problem)
        optimum = float(ours.bound)
        if problem.n <= MOST_FOR_HIGHS:
            optimum, peer_seconds = _timed(highs, problem)
            _add_seconds(rows, case, seconds, "highs", peer_seconds)
            add_precise(rows, case, problem, optimum)
        _add_gap(rows, case, ours, optimum, None)
        add_published(rows, case, problem, optimum, ours, seconds, steps=steps)
        if problem.n <= MOST_FOR_SHAPIQ:
            _add_seconds(rows, case, seconds, "shapiq", _timed(shapiq_mobius, case.table)[1])


def add_ours(rows: Rows, case: tables.Case, problem: SparseProblem) -> tuple[Solution, float]:
    """Solve to the default tolerance."""
    solution, seconds = _timed(solver.solve, problem)
    rows.add(metric="cpu_seconds", case=case.name, value=seconds, unit="s")
    rows.add(metric="objective", case=case.name, value=float(solution.objective), unit="log-odds")
    rows.add(metric="certified_gap", case=case.name, value=float(solution.gap), unit="of objective")
    rows.add(metric="salient", case=case.name, value=_salient(case, solution), unit="interactions")
    return solution, seconds


def add_precise(rows: Rows, case: tables.Case, problem: SparseProblem, optimum: float) -> None:
    """Solve to `PRECISE`, to compare with the optimum to more digits than the default tolerance has."""
    solution, seconds = _timed(partial(solver.solve, tolerance=PRECISE), problem)
    precise = tables.Case(f"{case.name}, tolerance {PRECISE:g}", case.table)
    rows.add(metric="cpu_seconds", case=precise.name, value=seconds, unit="s")
    _add_gap(rows, precise, solution, optimum, None)


def add_published(
    rows: Rows, case: tables.Case, problem: SparseProblem, optimum: float, ours: Solution, seconds: float, *, steps: int
) -> None:
    """Run the published recipe at every learning rate and keep the best answer."""
    runs = [_timed(partial(published.solve, steps=steps, learning_rate=rate), problem) for rate in RATES]
    best, peer_seconds = min(runs, key=lambda run: float(run[0].objective))
    assert float(ours.bound) <= float(best.objective), "the published recipe went below a certified bound"
    _add_seconds(rows, case, seconds, "published", peer_seconds)
    _add_gap(rows, case, best, optimum, "published")
    salient, theirs = _salient(case, ours), _salient(case, best)
    rows.add(
        metric="salient", case=case.name, value=salient, unit="interactions", peer="published", ratio=salient / theirs
    )


def add_batched(rows: Rows, cases: Iterator[tables.Case]) -> None:
    """Solve many tables at once: seconds a table."""
    batch = torch.stack([case.table for case in cases])
    problem = sparse_problem(batch, noise_band(batch), empty="published")
    solution, seconds = _timed(solver.solve, problem)
    case = f"digits n={problem.n}, {len(batch)} tables batched"
    rows.add(metric="cpu_seconds", case=case, value=seconds / len(batch), unit="s a table")
    rows.add(metric="certified_gap", case=case, value=float(solution.gap.max()), unit="of objective")


def highs(problem: SparseProblem) -> float:
    """Solve the dense linear programme of one sample, penalised constant included."""
    atoms = torch.eye(2 ** (problem.n + 1), dtype=torch.float64).view(-1, 2, 2**problem.n)
    columns = values(atoms[problem.atom_mask().flatten() > 0]).T.numpy()
    both, gains, band = np.hstack([columns, -columns]), problem.gains[0].numpy(), float(problem.bands[0])
    limits = np.concatenate([gains + band, band - gains])
    answer = linprog(np.ones(both.shape[1]), A_ub=np.vstack([both, -both]), b_ub=limits, method="highs")
    assert answer.success, answer.message
    return float(answer.fun)


def shapiq_mobius(table: Tensor) -> None:
    """Transform one table with shapiq's exact computer."""
    import shapiq

    n = transforms.player_count(table)
    powers, gains = 1 << np.arange(n), (table - table[0]).numpy()
    shapiq.ExactComputer(lambda coalitions: gains[coalitions.astype(np.int64) @ powers], n)("Moebius", order=n)


def _stated(case: tables.Case) -> SparseProblem:
    return sparse_problem(case.table, noise_band(case.table[None]), empty="published")


def _salient(case: tables.Case, solution: Solution) -> float:
    return float(orders.salient(solution.atoms, orders.salience_threshold(case.table[None])).sum())


def _timed(work: Callable[[Given], Result], given: Given) -> tuple[Result, float]:
    start = time.process_time()
    result = work(given)
    return result, time.process_time() - start


def _add_seconds(rows: Rows, case: tables.Case, ours: float, peer: str, theirs: float) -> None:
    rows.add(metric="cpu_seconds", case=case.name, value=ours, unit="s", peer=peer, ratio=ours / theirs)


def _add_gap(rows: Rows, case: tables.Case, solution: Solution, optimum: float, solver_name: str | None) -> None:
    name = case.name if solver_name is None else f"{case.name}, {solver_name}"
    gap = float(solution.objective) / optimum - 1
    rows.add(metric="relative_gap_to_optimum", case=name, value=gap, unit="of optimum", peer=solver_name)


if __name__ == "__main__":
    main()
