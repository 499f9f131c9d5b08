"""All inputs as one network sees them: a table each, one noise band and one threshold for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from jobs.errors import InterplayError, InvalidInput, InvalidParameters
from worker.methods._games import BYTES_PER_STATE
from worker.methods._play import Played, play
from worker.methods._registry import Report, Subject
from worker.methods.and_or import orders
from worker.methods.and_or.findings import Findings, solve_tables
from worker.methods.and_or.params import MOST_PLAYERS, AndOrParams
from worker.methods.and_or.problem import Solution, SparseProblem, noise_band

_TOGETHER = 8
"""Tables that are solved at once: of 9 players, the normal matrices of so many take 16 MB each."""


@dataclass(frozen=True)
class Moment:
    """What is found of every input at one network; the first is the explained one.

    Attributes:
        findings: One an input; all have the same number of players, noise band and threshold.
    """

    findings: tuple[Findings, ...]

    @property
    def atoms(self) -> Tensor:
        """Return `(samples, 2, 2^n)`: AND, then OR interactions."""
        return torch.stack([found.atoms for found in self.findings])

    @property
    def threshold(self) -> float:
        return self.findings[0].threshold

    @property
    def forwards(self) -> int:
        return sum(found.forwards for found in self.findings)


class Steps:
    """Progress over a whole series, in tables.

    Args:
        report: Told "tables", those solved, and all; may raise to cancel.
    """

    def __init__(self, report: Report, total: int) -> None:
        self._report = report
        self._total = total
        self._done = 0

    def within(self, stage: str, done: int, total: int) -> None:  # noqa: ARG002 (a `Report`)
        """Let the work inside of a table be canceled."""
        self._report("tables", self._done, self._total)

    def solved(self, tables: int) -> None:
        self._done += tables
        self._report("tables", self._done, self._total)


def observe(subjects: Sequence[Subject], params: AndOrParams, steps: Steps, *, where: str = "") -> Moment:
    """Find the logical model of every input, as one network sees it.

    Args:
        where: Which network that is, for errors; empty for the explained one.

    Raises:
        InterplayError: As `play` and its `table`; says at which network and input.
        InvalidInput: The inputs have different numbers of players.
        InvalidParameters: The tables of so many inputs do not fit the memory.
    """
    subjects = [replace(one, report=steps.within) for one in subjects]
    places = [f"input {number}" if len(subjects) > 1 else "" for number in range(1, len(subjects) + 1)]
    games: list[Played] = []
    for one, place in zip(subjects, places, strict=True):  # all of them before the first table
        with _located(where, place):
            games.append(play(one, params, most=MOST_PLAYERS))
            _check(games, len(subjects), one.memory_bytes)
    evaluated: list[tuple[Tensor, bool]] = []
    for one, place, game in zip(subjects, places, games, strict=True):
        with _located(where, place):
            evaluated.append(game.table(one))
    tables = torch.stack([table for table, _ in evaluated])
    threshold = orders.salience_threshold(tables, params.salience)
    found = [
        Findings(played=game, table=table, cached=cached, problem=problem, solution=solution, threshold=threshold)
        for game, (table, cached), (problem, solution) in zip(
            games, evaluated, _solved(tables, params, steps=steps), strict=True
        )
    ]
    return Moment(tuple(found))


def _check(games: Sequence[Played], inputs: int, memory_bytes: int) -> None:
    if games[-1].n != (n := games[0].n):
        raise InvalidInput(
            f"expected as many players as the first input has, {n}, got {games[-1].n}; set count, or put them in groups"
        )
    if inputs > (fitting := max(memory_bytes // (BYTES_PER_STATE << n), 1)):
        raise InvalidParameters(f"expected at most {fitting} inputs of {n} players, got {inputs}")


@contextmanager
def _located(*places: str) -> Iterator[None]:
    """Say in an error where it happened."""
    try:
        yield
    except InterplayError as error:
        if not any(places):
            raise
        raise type(error)(f"{', '.join(filter(None, places))}: {error.detail}", errors=error.errors) from error


def _solved(tables: Tensor, params: AndOrParams, *, steps: Steps) -> Iterator[tuple[SparseProblem, Solution]]:
    """Yield a batch of one for each of the `(samples, 2^n)` tables."""
    band = noise_band(tables, params.noise).mean()
    for part in torch.split(tables, _TOGETHER):
        problem, solution = solve_tables(part, params, band=band, report=steps.within)
        for sample in range(len(part)):
            at = torch.tensor([sample])
            yield problem.select(at), solution.select(at)
        steps.solved(len(part))
