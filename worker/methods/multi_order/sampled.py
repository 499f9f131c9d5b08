"""Multi-order interactions of chosen pairs, by sampling contexts.

`published` draws contexts anew for every pair and order, as the paper's authors do. `stars` shares a context among
all pairs that it leaves out, or that it holds. `sub_cubes` evaluates all unions of a context with subsets of a random
block, for all pairs of the block. See `layered` for all pairs at once. All are unbiased for every pair and order.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from worker.methods._coalitions import all_coalitions
from worker.methods.multi_order.estimates import Estimate, Game, check_orders, from_samples
from worker.methods.multi_order.exact import multi_order

Pair = tuple[int, int]


def neighbours(rows: int, columns: int, *, radius: int = 2) -> list[Pair]:
    """List the pairs of cells of a grid at most `radius` rows and columns apart, as the paper's authors take them."""
    cells = [(row, column) for row in range(rows) for column in range(columns)]
    return [
        (i, j)
        for i, (row, column) in enumerate(cells)
        for j, (other_row, other_column) in enumerate(cells)
        if i < j and abs(row - other_row) <= radius and abs(column - other_column) <= radius
    ]


class _Samples:
    """Sums over the samples of every pair and order."""

    def __init__(self, n: int, orders: Sequence[int]) -> None:
        self._orders = tuple(orders)
        self._known = torch.tensor([order in (0, n - 2) for order in orders])
        shape = (len(orders), n, n)
        self._sums, self._squares, self._counts = (torch.zeros(shape, dtype=torch.float64) for _ in range(3))

    def add(self, order: int, i: Tensor, j: Tensor, differences: Tensor) -> None:
        """Take in one sample of each of the pairs (i, j)."""
        place = self._orders.index(order)
        for a, b in ((i, j), (j, i)):
            self._sums[place].index_put_((a, b), differences, accumulate=True)
            self._squares[place].index_put_((a, b), differences.square(), accumulate=True)
            self._counts[place].index_put_((a, b), torch.ones_like(differences), accumulate=True)

    def estimate(self, evaluations: int) -> Estimate:
        return from_samples(
            self._orders, self._sums, self._squares, self._counts, known=self._known, evaluations=evaluations
        )


def published(
    game: Game, n: int, *, pairs: Sequence[Pair], orders: Sequence[int], contexts: int, generator: torch.Generator
) -> Estimate:
    """Draw `contexts` contexts for every pair and order, at four evaluations each; one where there is only one."""
    check_orders(orders, n)
    samples = _Samples(n, orders)
    i, j = torch.tensor(list(pairs)).T
    evaluations = 0
    for order in orders:
        for _ in range(1 if order in (0, n - 2) else contexts):
            states = _contexts_without(i, j, n, order, generator)
            values = game(_squares_over(states, i, j)).double().reshape(4, -1)
            samples.add(order, i, j, values[3] - values[2] - values[1] + values[0])
            evaluations += values.numel()
    return samples.estimate(evaluations)


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
    game: Game, n: int, *, pairs: Sequence[Pair], orders: Sequence[int], contexts: int, generator: torch.Generator
) -> Estimate:
    """Share random coalitions among all pairs.

    Up to half of the players, a coalition S of m serves every pair outside of it: S, S with one and with both. Beyond,
    a coalition of m + 2 serves every pair within: itself, without one and without both. Given that it leaves a pair
    out, or holds it, the rest is a uniform context of that pair.

    Args:
        contexts: Coalitions for every order, but for the first and last, where one serves all pairs. A pair is served
            by (1 - m/n)² of them, or ((m + 2)/n)², at least a quarter.
    """
    check_orders(orders, n)
    samples = _Samples(n, orders)
    all_pairs = torch.tensor(list(pairs))
    evaluations = 0
    for order in orders:
        upwards = order <= (n - 2) / 2
        for _ in range(1 if order in (0, n - 2) else contexts):
            ranks = torch.rand(n, generator=generator, dtype=torch.float64).argsort().argsort()
            centre = ranks < (order if upwards else order + 2)
            i, j = all_pairs[(centre[all_pairs] != upwards).all(dim=1)].T
            if len(i) == 0:
                continue
            players = torch.unique(torch.cat([i, j]))
            flips = torch.zeros(1 + len(players) + len(i), n, dtype=torch.bool)
            flips[1 + torch.arange(len(players)), players] = True
            rows = 1 + len(players) + torch.arange(len(i))
            flips[rows, i] = flips[rows, j] = True
            values = game(centre ^ flips).double()
            single = torch.zeros(n, dtype=torch.float64).scatter_(0, players, values[1 : 1 + len(players)])
            samples.add(order, i, j, values[1 + len(players) :] - single[i] - single[j] + values[0])
            evaluations += len(values)
    return samples.estimate(evaluations)


def sub_cubes(
    game: Game, n: int, *, orders: Sequence[int], size: int, blocks: int, generator: torch.Generator
) -> Estimate:
    """Evaluate all unions of a random context with the subsets of a random block, for the pairs of the block.

    The context sizes take turns; a block of k players at context size c serves the orders c to c + k - 2. Its samples
    of a pair at one order are averaged first, as they share a context.

    Args:
        size: Players k of a block, 2 to n.
        blocks: How many, at 2^k evaluations each.
    """
    check_orders(orders, n)
    samples = _Samples(n, orders)
    subsets = all_coalitions(size)
    context_sizes = [c for c in range(n - size + 1) if set(range(c, c + size - 1)) & set(orders)]
    for turn in range(blocks):
        context_size = context_sizes[turn % len(context_sizes)]
        order_of_players = torch.randperm(n, generator=generator)
        block = order_of_players[:size]
        states = torch.zeros(len(subsets), n, dtype=torch.bool)
        states[:, order_of_players[size : size + context_size]] = True
        states[:, block] = subsets
        found = multi_order(game(states).double())  # (size - 1, size, size)
        i, j = torch.triu_indices(size, size, offset=1)
        for step, differences in enumerate(found):
            if context_size + step in orders:
                samples.add(context_size + step, block[i], block[j], differences[i, j])
    return samples.estimate(blocks * len(subsets))
