"""Interaction strength by context order of a network that is being trained: J^(m) over held-out rows (Eq. 6 and 7).

The game is the one of an explanation: v(S) is the log-odds of a row's label with the players of S present.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from jobs.context_orders import ContextOrders
from jobs.schemas import Target
from worker.methods._coalitions import all_coalitions
from worker.methods._games import Game
from worker.methods._masking import Masking
from worker.methods._values import value_function
from worker.methods.multi_order import exact
from worker.methods.multi_order.ends import layered_between_ends
from worker.methods.multi_order.estimates import Estimate
from worker.methods.multi_order.measure import Measured
from worker.methods.multi_order.profile import context_orders, joined
from worker.methods.multi_order.strength import order_grid
from worker.trainings.order_modulation.players import Seating

MOST_EXACT = 16
"""65,536 coalitions a row."""
LEVEL = 0.95
_CHUNK = 1024

Report = Callable[[int], None]
"""Told how many evaluations are done; may raise to cancel."""


def is_exact(players: int, budget: int) -> bool:
    """Tell whether all coalitions are evaluated."""
    return players <= MOST_EXACT and 1 << players <= budget


def bottleneck(
    network: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    seating: Seating,
    *,
    budget: int,
    chunk: int,
    seed: int,
    report: Report,
) -> ContextOrders:
    """Measure `(rows, *shape)` with their labels; the same coalitions for every network.

    Args:
        budget: Evaluations for each row.
        seed: Of sampled coalitions, and of the bootstrap.

    Raises:
        NumericalError: An output is not finite.
    """
    done = 0

    def measured() -> Iterator[Measured]:
        nonlocal done
        for place, (row, label) in enumerate(zip(inputs, targets.tolist(), strict=True)):
            game = _game(network, row, label, seating, chunk, _onwards(report, done))
            yield _measured(game, budget, torch.Generator().manual_seed(seed + place))
            done += game.evaluations

    found = joined(
        measured(), rounding=torch.finfo(inputs.dtype).eps, level=LEVEL,
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    return context_orders(found, level=LEVEL)


def _onwards(report: Report, done: int) -> Report:
    return lambda evaluated: report(done + evaluated)


def _game(network: nn.Module, row: Tensor, label: int, seating: Seating, chunk: int, report: Report) -> Game:
    masking = Masking(input=row, baseline=seating.baseline, labels=seating.labels)
    return Game(
        network, masking, value_function("log-odds", Target(index=label)), chunk=min(chunk, _CHUNK),
        report=lambda stage, done, total: report(done),
    )  # fmt: skip


def _measured(game: Game, budget: int, generator: torch.Generator) -> Measured:
    scale = 0.0

    def values(coalitions: Tensor) -> Tensor:
        nonlocal scale
        found = game(coalitions)
        scale = max(scale, float(found.abs().max()))
        return found

    n = game.players
    estimate = _exact(values, n) if is_exact(n, budget) else _sampled(values, n, budget, generator)
    return Measured(estimate=estimate, scale=scale, whole=None)


def _exact(values: Callable[[Tensor], Tensor], n: int) -> Estimate:
    table = values(all_coalitions(n))
    found = exact.multi_order(table)
    return Estimate(
        orders=tuple(range(n - 1)), values=found.masked_fill(torch.eye(n, dtype=torch.bool), torch.nan),
        standard_errors=torch.zeros_like(found), evaluations=len(table),
    )  # fmt: skip


def _sampled(values: Callable[[Tensor], Tensor], n: int, budget: int, generator: torch.Generator) -> Estimate:
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    return layered_between_ends(values, n, pairs=pairs, orders=order_grid(n), budget=budget, generator=generator)
