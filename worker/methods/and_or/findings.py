"""What is found of one input or several: tables of values, and the sparsest logical model of each."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from worker.methods._play import Played, play
from worker.methods._registry import Report, Subject
from worker.methods.and_or import orders, published, solver
from worker.methods.and_or.interior_point import Watch
from worker.methods.and_or.params import MOST_PLAYERS, AndOrParams
from worker.methods.and_or.problem import Solution, SparseProblem, noise_band, sparse_problem

_STAGE = "logical model"


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Everything that an answer about one input is made of.

    Attributes:
        table: `(2^n,)`, v of every masked state.
        cached: Whether the table was known before.
        problem, solution: Of a batch of one.
        threshold: τ, above which an interaction is salient.
    """

    played: Played
    table: Tensor
    cached: bool
    problem: SparseProblem
    solution: Solution
    threshold: float

    @property
    def atoms(self) -> Tensor:
        """Return `(2, 2^n)`: AND, then OR interactions, those of single players in the AND part."""
        return self.solution.atoms[0]

    @property
    def forwards(self) -> int:
        """Count the forward passes."""
        return self.played.forwards + self.played.game.evaluations


def find(subject: Subject, params: AndOrParams) -> Findings:
    """Evaluate every masked state of one input, and find its logical model.

    Raises:
        InterplayError: As `play`, and as its `table`.
    """
    played = play(subject, params, most=MOST_PLAYERS)
    table, cached = played.table(subject)
    band = noise_band(table, params.noise)
    problem, solution = solve_tables(table[None], params, band=band, report=subject.report)
    return Findings(
        played=played, table=table, cached=cached, problem=problem, solution=solution,
        threshold=orders.salience_threshold(table[None], params.salience),
    )  # fmt: skip


def solve_tables(
    tables: Tensor, params: AndOrParams, *, band: Tensor, report: Report
) -> tuple[SparseProblem, Solution]:
    """Find the logical models of `(samples, 2^n)` tables.

    Args:
        band: Half-width ζ of the noise band; of several samples, the mean of theirs.
        report: Told the steps taken; may raise to cancel.
    """
    problem = sparse_problem(tables, band, empty=params.empty)
    if params.solver == "published":
        watch = _by_steps(report, params.steps)
        return problem, published.solve(problem, steps=params.steps, learning_rate=params.learning_rate, watch=watch)
    watch = _by_gap(report)
    return problem, solver.solve(problem, tolerance=params.tolerance, watch=watch)


def _by_steps(report: Report, steps: int) -> Watch:
    return lambda step, gap: report(_STAGE, step, steps)


def _by_gap(report: Report) -> Watch:
    """How many steps a solver will take is not known; the gap, once one is proved, tells how far it is."""
    return lambda step, gap: report(_STAGE if gap >= 1 else f"{_STAGE}, gap {gap:.0e}", step, 0)
