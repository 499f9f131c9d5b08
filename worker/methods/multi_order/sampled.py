"""Multi-order interactions of chosen pairs, by sampling contexts.

`published` draws contexts anew for every pair and order, as the paper's authors do. `stars` shares a context among
all pairs that it leaves out, or that it holds. `sub_cubes` evaluates all unions of a context with subsets of a random
block, for all pairs of the block. See `windows` for neighbours on a grid, and `layered` for all pairs at once. All
are unbiased for every pair and order, and play rounds (`rounds`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from worker.methods._coalitions import all_coalitions
from worker.methods.multi_order.estimates import Estimate, Game, Pair, check_orders
from worker.methods.multi_order.exact import multi_order
from worker.methods.multi_order.rounds import Samples, by_contexts, play_rounds


def neighbours(rows: int, columns: int, *, radius: int = 2) -> list[Pair]:
    """List the pairs of cells of a grid at most `radius` rows and columns apart, as the paper's authors take them."""
    cells = [(row, column) for row in range(rows) for column in range(columns)]
    return [
        (i, j)
        for i, (row, column) in enumerate(cells)
        for j, (other_row, other_column) in enumerate(cells)
        if i < j and abs(row - other_row) <= radius and abs(column - other_column) <= radius
    ]


def published(
    game: Game,
    n: int,
    *,
    pairs: Sequence[Pair],
    orders: Sequence[int],
    budget: int,
    generator: torch.Generator,
    precision: float | None = None,
) -> Estimate:
    """Draw a context for every pair and order in each round, at four evaluations each.

    Raises:
        BudgetTooSmall: See `rounds`.
    """
    check_orders(orders, n)
    once, many = by_contexts(orders, n)
    samples = Samples(game, n, orders)
    i, j = torch.tensor(list(pairs)).T

    def one(order: int) -> None:
        states = _contexts_without(i, j, n, order, generator)
        values = samples.values(_squares_over(states, i, j)).reshape(4, -1)
        samples.add(order, i, j, values[3] - values[2] - values[1] + values[0])

    return play_rounds(samples, one, once=once, many=many, cost=4 * len(pairs), budget=budget, precision=precision)


def _contexts_without(i: Tensor, j: Tensor, n: int, order: int, generator: torch.Generator) -> Tensor:
    """Draw one context of `order` other players for each pair: `(pairs, n)` bool."""
    keys = torch.rand(len(i), n, generator=generator, dtype=torch.float64)
    keys.scatter_(1, torch.stack([i, j], dim=1), torch.inf)  # the pair comes last, so it is never drawn
    return torch.zeros(len(i), n, dtype=torch.bool).scatter_(1, keys.argsort(dim=1)[:, :order], True)


def _squares_over(contexts: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """Return S, S + i, S + j and S + ij for every context and pair: `(4 · pairs, n)`."""
    one_i = contexts.scatter(1, i[:, None], True)
    return torch.cat([contexts, one_i, contexts.scatter(1, j[:, None], True), one_i.scatter(1, j[:, None], True)])


def stars(
    game: Game,
    n: int,
    *,
    pairs: Sequence[Pair],
    orders: Sequence[int],
    budget: int,
    generator: torch.Generator,
    precision: float | None = None,
) -> Estimate:
    """Share random coalitions among all pairs.

    Up to half of the players, a coalition S of m serves every pair outside of it: S, S with one and with both. Beyond,
    a coalition of m + 2 serves every pair within: itself, without one and without both. Given that it leaves a pair
    out, or holds it, the rest is a uniform context of that pair. A round draws one coalition for every order; a pair
    is served by a share (1 - m/n)² of them, or ((m + 2)/n)², at least a quarter.

    Raises:
        BudgetTooSmall: See `rounds`.
    """
    check_orders(orders, n)
    once, many = by_contexts(orders, n)
    samples = Samples(game, n, orders)
    all_pairs = torch.tensor(list(pairs))
    most = 1 + len(torch.unique(all_pairs)) + len(all_pairs)

    def one(order: int) -> None:
        upwards = order <= (n - 2) / 2
        ranks = torch.rand(n, generator=generator, dtype=torch.float64).argsort().argsort()
        centre = ranks < (order if upwards else order + 2)
        served = all_pairs[(centre[all_pairs] != upwards).all(dim=1)]
        if len(served):
            _add_star(samples, order, centre, served)

    return play_rounds(samples, one, once=once, many=many, cost=most, budget=budget, precision=precision)


def _add_star(samples: Samples, order: int, centre: Tensor, pairs: Tensor) -> None:
    """Evaluate a coalition, with one player flipped, and with both players of each of the pairs flipped."""
    i, j = pairs.T
    players = torch.unique(pairs)
    flips = torch.zeros(1 + len(players) + len(i), len(centre), dtype=torch.bool)
    flips[1 + torch.arange(len(players)), players] = True
    rows = 1 + len(players) + torch.arange(len(i))
    flips[rows, i] = flips[rows, j] = True
    values = samples.values(centre ^ flips)
    single = torch.zeros(len(centre), dtype=torch.float64).scatter_(0, players, values[1 : 1 + len(players)])
    samples.add(order, i, j, values[1 + len(players) :] - single[i] - single[j] + values[0])


def sub_cubes(
    game: Game,
    n: int,
    *,
    orders: Sequence[int],
    size: int,
    budget: int,
    generator: torch.Generator,
    precision: float | None = None,
) -> Estimate:
    """Evaluate all unions of a random context with the subsets of a random block, for the pairs of the block.

    A block of k players at context size c serves the orders c to c + k - 2; a round draws one for every context size.
    Its samples of a pair at one order are averaged first, as they share a context.

    Args:
        size: Players k of a block, 2 to n; 2^k evaluations a block.

    Raises:
        BudgetTooSmall: See `rounds`.
    """
    check_orders(orders, n)
    samples = Samples(game, n, orders)
    subsets = all_coalitions(size)
    context_sizes = [c for c in range(n - size + 1) if set(range(c, c + size - 1)) & set(orders)]

    def one(context_size: int) -> None:
        drawn = torch.randperm(n, generator=generator)
        block = drawn[:size]
        states = torch.zeros(len(subsets), n, dtype=torch.bool)
        states[:, drawn[size : size + context_size]] = True
        states[:, block] = subsets
        found = multi_order(samples.values(states))  # (size - 1, size, size)
        i, j = torch.triu_indices(size, size, offset=1)
        for step, differences in enumerate(found):
            if context_size + step in orders:
                samples.add(context_size + step, block[i], block[j], differences[i, j])

    return play_rounds(samples, one, once=(), many=context_sizes, cost=len(subsets), budget=budget, precision=precision)
