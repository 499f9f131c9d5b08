"""The context orders of one context, exactly, before `layered` samples the others.

Where nobody, or everybody, else is present, an interaction is one second difference, and strong. `layered` meets the
coalitions that it takes, of up to two players or all but two, only as its samples have it, unless these sizes are
small enough to be enumerated.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from worker.methods.multi_order.estimates import Estimate, Game, Pair
from worker.methods.multi_order.layered import enumerable, layered
from worker.methods.multi_order.rounds import by_contexts
from worker.methods.multi_order.sampled import stars
from worker.methods.multi_order.strata import sizes_needed

_SHARE = 1 / 2
"""Of the budget, at most, for the ends: a budget that is short of that is better spent on all orders alike."""


def layered_between_ends(
    game: Game,
    n: int,
    *,
    pairs: Sequence[Pair],
    orders: Sequence[int],
    budget: int,
    generator: torch.Generator,
    precision: float | None = None,
) -> Estimate:
    """Estimate I^(m) of these pairs by `layered`, and orders of one context exactly where the budget is enough.

    Raises:
        BudgetTooSmall: See `layered`.
    """
    once, many = by_contexts(orders, n)
    cost = (1 + len({player for pair in pairs for player in pair}) + len(pairs)) * len(once)
    covered = set(sizes_needed(once)) <= set(enumerable(n, sizes_needed(orders), budget)) if once else True
    if covered or not many or cost > _SHARE * budget:
        found = layered(game, n, orders=orders, budget=budget, generator=generator, precision=precision)
        return found.of_pairs(pairs)
    ends = stars(game, n, pairs=pairs, orders=once, budget=cost, generator=generator)
    between = layered(
        game, n, orders=many, budget=budget - ends.evaluations, generator=generator, precision=precision
    ).of_pairs(pairs)
    return _joined(ends, between, orders)


def _joined(ends: Estimate, between: Estimate, orders: Sequence[int]) -> Estimate:
    places = [(*ends.orders, *between.orders).index(order) for order in orders]
    return Estimate(
        orders=tuple(orders),
        values=torch.cat([ends.values, between.values])[places],
        standard_errors=torch.cat([ends.standard_errors, between.standard_errors])[places],
        evaluations=ends.evaluations + between.evaluations,
    )
