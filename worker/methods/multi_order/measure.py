"""Measuring the interactions of one input, exactly or by sampling, as the parameters ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from jobs.errors import FieldError, InvalidParameters
from worker.methods._indices import index_values
from worker.methods._play import Played
from worker.methods._registry import Subject
from worker.methods.multi_order import exact
from worker.methods.multi_order.ends import layered_between_ends
from worker.methods.multi_order.estimates import BudgetTooSmall, Estimate, Game, Pair
from worker.methods.multi_order.params import MOST_EXACT, Computation, Estimator, MultiOrderParams
from worker.methods.multi_order.sampled import published, stars, sub_cubes
from worker.methods.multi_order.strength import order_grid

LAYERED_FROM = 1 / 8
"""Share of all pairs from which on serving every pair beats serving the wanted ones (benchmarks/multi_order.py)."""
STRATA_BYTES = 3 * 3 * 8 * 10
"""Of an order and pair: three sizes of three patterns in float64, some ten times over; 1 GB for 24 orders of 256."""


@dataclass(frozen=True, kw_only=True)
class Whole:
    """What only the table of all coalitions tells.

    Attributes:
        own_effects: `(n,)`, v({i}) - v(∅).
        by_order: `(n - 1,)`, what each context order adds to the output (Eq. 5).
        output: v(N) - v(∅).
        residual: Of Eq. 5, signed.
        modulation_residual: Of Theorem 2, the largest over all sizes.
        index_gap: Largest |mean over orders - Shapley interaction index| over pairs; the index on its own way, from
            the Möbius transform.
        index: `(n, n)`, the mean over orders.
        known_before: Whether the table came from an earlier job.
    """

    own_effects: Tensor
    by_order: Tensor
    output: float
    residual: float
    modulation_residual: float
    index_gap: float
    index: Tensor
    known_before: bool


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The interactions of one input.

    Attributes:
        estimate: Of the wanted pairs, at the orders of the grid; NaN elsewhere.
        scale: Largest |v| that was seen: what rounding is relative to.
        whole: None where sampled.
    """

    estimate: Estimate
    scale: float
    whole: Whole | None


def computation(params: MultiOrderParams, n: int) -> Computation:
    """Return how n players are measured, with `auto` decided."""
    if params.computation != "auto":
        return params.computation
    return "exact" if n <= MOST_EXACT and 1 << n <= params.budget else "sampled"


def estimator(params: MultiOrderParams, n: int, pairs: int) -> Estimator:
    """Return what samples, with `auto` decided."""
    if params.estimator != "auto":
        return params.estimator
    return "layered" if pairs > LAYERED_FROM * n * (n - 1) / 2 else "stars"


def measure(subject: Subject, played: Played, params: MultiOrderParams, pairs: list[Pair]) -> Measured:
    """Measure the interactions of these pairs.

    Raises:
        InvalidParameters: The budget is too small for the sampler; with the least that would do.
        NumericalError: An output is not finite, or all coalitions give the same.
    """
    if computation(params, played.n) == "exact":
        return _exact(subject, played, params, pairs)
    return _sampled(subject, played, params, pairs)


def _exact(subject: Subject, played: Played, params: MultiOrderParams, pairs: list[Pair]) -> Measured:
    table, known_before = played.table(subject)
    subject.report("interactions", 0, 1)
    found = exact.multi_order(table)
    orders = range(played.n - 1) if params.order_shares is None else order_grid(played.n, params.order_shares)
    values = found[list(orders)]
    estimate = Estimate(
        orders=tuple(orders), values=values, standard_errors=torch.zeros_like(values),
        evaluations=0 if known_before else len(table),
    )  # fmt: skip
    own, by_order = exact.efficiency_parts(table, found)
    index = exact.shapley_interaction_index(found)
    whole = Whole(
        own_effects=own, by_order=by_order, output=float(table[-1] - table[0]),
        residual=float(exact.efficiency_residual(table, found)),
        modulation_residual=exact.modulation_residual(table, found), index_gap=_index_gap(table, index), index=index,
        known_before=known_before,
    )  # fmt: skip
    return Measured(estimate=estimate.of_pairs(pairs), scale=float(table.abs().max()), whole=whole)


def _index_gap(table: Tensor, index: Tensor) -> float:
    values = index_values(table, "SII", order=2)
    i, j = torch.tensor([pair for pair in values.sets if len(pair) == 2]).T
    return float((index[i, j] - values.of_order(2)).abs().max())


def _sampled(subject: Subject, played: Played, params: MultiOrderParams, pairs: list[Pair]) -> Measured:
    orders = order_grid(played.n, *([] if params.order_shares is None else [params.order_shares]))
    scale = 0.0

    def game(coalitions: Tensor) -> Tensor:
        nonlocal scale
        values = played.game(coalitions)
        scale = max(scale, float(values.abs().max()))
        return values

    played.game.expected = params.budget
    if estimator(params, played.n, len(pairs)) == "layered":
        _check_memory(len(orders), played.n, subject.memory_bytes)
    try:
        found = _sampler(params, game, played.n, pairs)(
            orders=orders, budget=params.budget, precision=params.precision,
            generator=torch.Generator().manual_seed(subject.seed),
        )  # fmt: skip
    except BudgetTooSmall as error:
        raise InvalidParameters(str(error), errors=[FieldError(pointer="/params/budget", detail=str(error))]) from error
    return Measured(estimate=found.of_pairs(pairs), scale=scale, whole=None)


def _check_memory(orders: int, n: int, most: int) -> None:
    """Refuse more orders than the strata of `layered` fit the memory for."""
    each = STRATA_BYTES * n * n
    if orders * each > most:
        fitting = most // each
        detail = f"expected at most {fitting} context orders of {n} players in {most} bytes of memory, got {orders}"
        raise InvalidParameters(detail, errors=[FieldError(pointer="/params/order_shares", detail=detail)])


def _sampler(params: MultiOrderParams, game: Game, n: int, pairs: list[Pair]) -> Callable[..., Estimate]:
    match estimator(params, n, len(pairs)):
        case "layered":
            return partial(layered_between_ends, game, n, pairs=pairs)
        case "sub-cubes":
            return partial(sub_cubes, game, n, size=params.block)
        case "stars":
            return partial(stars, game, n, pairs=pairs)
        case "published":
            return partial(published, game, n, pairs=pairs)
