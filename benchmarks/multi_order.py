"""Multi-order interactions: error for evaluations, seconds of the exact routine, strength by context order.

    python -m benchmarks.multi_order [--quick] [--photographs N]

`mse_times_evaluations` is the mean squared error of I^(m)(i, j) over all pairs and orders, times the masked inputs
evaluated: for a sampler without bias it does not depend on the budget, so its ratio to the published estimator's is
the ratio of model calls at equal error (above 1: ours needs fewer). At n = 16 the error is taken against the exact
table; at n = 256, where nobody has one, as the mean squared standard error, for the orders and pairs named in the
case. The published estimator spends four evaluations on every pair, order and context; its row for all 32,640 pairs
follows from its variance on the pairs that were sampled.

`strength` is J^(m), relative to its mean over the orders shown; U-shaped where middle orders are weak.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from benchmarks import _digits, _photographs
from benchmarks._rows import Rows
from worker.methods._coalitions import all_coalitions, indices
from worker.methods._games import table
from worker.methods.multi_order.estimates import Estimate, Game, Pair
from worker.methods.multi_order.exact import multi_order
from worker.methods.multi_order.layered import layered
from worker.methods.multi_order.sampled import neighbours, published, stars, sub_cubes
from worker.methods.multi_order.strength import Strength, of_estimates, order_grid, strength
from worker.methods.multi_order.theory import fit

CELLS = 16
PAIRS_OF_16 = [(i, j) for i in range(CELLS) for j in range(i + 1, CELLS)]
MIDDLE = (101, 127, 152)
"""Context orders of 254 at which samplers are compared: the middle of the published grid."""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.multi_order", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="fewer seeds, pictures and evaluations: some two CPU minutes"
    )
    parser.add_argument("--photographs", type=int, default=30, help="for the strength at n = 256")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with Rows("multi_order", threads=1) as rows:
        add_exact_seconds(rows)
        tables = digit_tables(1 if arguments.quick else 15)
        add_errors(rows, "digits CNN", tables[:2], seeds=1 if arguments.quick else 3)
        add_errors(rows, "random dividends", [random_dividends(CELLS)], seeds=1 if arguments.quick else 3)
        add_errors(rows, "white noise", [white_noise(CELLS)], seeds=1 if arguments.quick else 3)
        add_exact_strength(rows, tables)
        if _photographs.present():
            add_errors_at_256(rows, quick=arguments.quick)
            add_sampled_strength(rows, 2 if arguments.quick else arguments.photographs)
        else:
            print("no pretrained MobileNetV2 beside the checkout: n = 256 left out")


# ---------------------------------------------------------------- exact


def add_exact_seconds(rows: Rows) -> None:
    """Time our exact routine after the table, and shapiq's SII, which is its mean over orders."""
    for n in (12, 16, 20):
        values = torch.randn(1 << n, dtype=torch.float64)
        multi_order(values)
        seconds = cpu_seconds(lambda values=values: multi_order(values), repeat=5)
        theirs = shapiq_seconds(values) if n == 12 else None
        ratio = theirs / seconds if theirs else None
        rows.add(
            metric="exact_cpu_seconds", case=f"n = {n}, all pairs and orders", value=seconds, unit="s",
            peer="shapiq" if theirs else None, ratio=ratio,
        )  # fmt: skip
        if theirs:
            rows.add(metric="exact_cpu_seconds", case=f"n = {n}, shapiq, SII of pairs", value=theirs, unit="s")


def shapiq_seconds(values: Tensor) -> float | None:
    """Time shapiq's exact SII on a table; None where it is not installed."""
    try:
        from shapiq import ExactComputer
    except ImportError:
        return None
    n = len(values).bit_length() - 1
    lookup, powers = values.numpy(), 1 << np.arange(n)
    computer = ExactComputer(lambda coalitions: lookup[coalitions @ powers], n_players=n)
    return cpu_seconds(lambda: computer("SII", order=2), repeat=1)


def cpu_seconds(work: Callable[[], object], *, repeat: int) -> float:
    """Return the CPU seconds of one call."""
    start = time.process_time()
    for _ in range(repeat):
        work()
    return (time.process_time() - start) / repeat


# ---------------------------------------------------------------- error for evaluations, n = 16


def digit_tables(pictures: int) -> list[Tensor]:
    model = _digits.trained()
    return [table(_digits.game(model, _digits.TRAINING + index)) for index in range(pictures)]


def random_dividends(n: int) -> Tensor:
    """Return a game with atoms of every order, normally distributed, halved in size with each further player."""
    from worker.methods._transforms import zeta

    sizes = all_coalitions(n).sum(1)
    generator = torch.Generator().manual_seed(0)
    return zeta(torch.randn(1 << n, generator=generator, dtype=torch.float64) * 0.3**sizes)


def white_noise(n: int) -> Tensor:
    """Return independent values: no sampler can predict one from others, the worst case for a surrogate."""
    return torch.randn(1 << n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


SAMPLERS: dict[str, Callable[[Game, int, torch.Generator], Estimate]] = {
    "published": lambda game, budget, generator: published(
        game, CELLS, pairs=PAIRS_OF_16, orders=range(15), budget=budget, generator=generator
    ),
    "sub-cubes k = 4": lambda game, budget, generator: sub_cubes(
        game, CELLS, orders=range(15), size=4, budget=budget, generator=generator
    ),
    "sub-cubes k = 6": lambda game, budget, generator: sub_cubes(
        game, CELLS, orders=range(15), size=6, budget=budget, generator=generator
    ),
    "stars": lambda game, budget, generator: stars(
        game, CELLS, pairs=PAIRS_OF_16, orders=range(15), budget=budget, generator=generator
    ),
    "layered": lambda game, budget, generator: layered(
        game, CELLS, orders=range(15), budget=budget, generator=generator
    ),
}


def add_errors(rows: Rows, name: str, tables: list[Tensor], *, seeds: int) -> None:
    """Compare the samplers with the exact table at two budgets."""
    for budget in (14_400, 28_800):
        costs = {sampler: mean_cost(run, tables, budget, seeds) for sampler, run in SAMPLERS.items()}
        for sampler, cost in costs.items():
            rows.add(
                metric="mse_times_evaluations", case=f"{name}, n = 16, {budget} evaluations, {sampler}", value=cost,
                unit="v² · evaluations", peer=None if sampler == "published" else "published",
                ratio=None if sampler == "published" else costs["published"] / cost,
            )  # fmt: skip


def mean_cost(
    run: Callable[[Game, int, torch.Generator], Estimate], tables: list[Tensor], budget: int, seeds: int
) -> float:
    """Average the squared error times evaluations over tables and seeds; a pair without an estimate counts nothing."""
    costs = []
    for values in tables:
        exact = multi_order(values)
        for seed in range(seeds):
            found = run(
                lambda coalitions, v=values: v[indices(coalitions)], budget, torch.Generator().manual_seed(seed)
            )
            costs.append(float((found.values - exact).square().nanmean()) * found.evaluations)
    return sum(costs) / len(costs)


# ---------------------------------------------------------------- error for evaluations, n = 256


def add_errors_at_256(rows: Rows, *, quick: bool) -> None:
    """Compare mean squared standard errors at the middle orders of a photograph."""
    game = _photographs.game(_photographs.folded_network(), _photographs.names()[0])
    n, generator = game.players, torch.Generator().manual_seed(0)
    pairs = some_neighbours(8 if quick else 48)
    budget = 2 * 4 * len(pairs) * len(MIDDLE) * (1 if quick else 4)
    theirs = published(game, n, pairs=pairs, orders=MIDDLE, budget=budget, generator=generator)
    # Of one second difference: the budget is a whole number of rounds.
    variance = mean_square_error(theirs, pairs) * (theirs.evaluations / (4 * len(pairs) * len(MIDDLE)))
    found = stars(game, n, pairs=pairs, orders=MIDDLE, budget=2000 if quick else 4000, generator=generator)
    add_comparison(rows, "stars", pairs, mean_square_error(found, pairs) * found.evaluations, variance)
    every = [(i, j) for i in range(n) for j in range(i + 1, n)]
    found = layered(game, n, orders=MIDDLE, budget=600 if quick else 6000, generator=generator)
    for case in (some_neighbours(200), neighbours(16, 16), every):
        cost = mean_square_error(found, case) * found.evaluations
        add_comparison(rows, f"layered, {found.evaluations} evaluations", case, cost, variance)


def add_comparison(rows: Rows, sampler: str, pairs: list[Pair], ours: float, variance: float) -> None:
    theirs = 4 * len(pairs) * len(MIDDLE) * variance
    case = f"MobileNetV2, n = 256, m = {', '.join(map(str, MIDDLE))}, {len(pairs)} pairs"
    rows.add(metric="mse_times_evaluations", case=f"{case}, published", value=theirs, unit="v² · evaluations")
    rows.add(
        metric="mse_times_evaluations", case=f"{case}, {sampler}", value=ours, unit="v² · evaluations",
        peer="published", ratio=theirs / ours,
    )  # fmt: skip


def mean_square_error(estimate: Estimate, pairs: list[Pair]) -> float:
    i, j = torch.tensor(pairs).T
    return float(estimate.standard_errors[:, i, j].square().nanmean())


def some_neighbours(count: int) -> list[Pair]:
    """Draw pairs within radius 2 on the 16 × 16 grid, as the published protocol does (200 a picture)."""
    pairs = neighbours(16, 16)
    drawn = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0))[:count]
    return [pairs[k] for k in drawn.tolist()]


def window_pairs(corners: list[tuple[int, int]], *, side: int = 3) -> list[Pair]:
    """List all pairs within square windows of the 16 × 16 grid: neighbours that share players."""
    found = set()
    for row, column in corners:
        cells = [(row + a) * 16 + column + b for a in range(side) for b in range(side)]
        found |= {(i, j) for i in cells for j in cells if i < j}
    return sorted(found)


# ---------------------------------------------------------------- strength


def add_exact_strength(rows: Rows, tables: list[Tensor]) -> None:
    found = strength(multi_order(torch.stack(tables)), orders=range(15), generator=torch.Generator().manual_seed(0))
    add_strength(rows, f"digits CNN, {len(tables)} pictures, exact", found, n=CELLS)


def add_sampled_strength(rows: Rows, photographs: int) -> None:
    """Sample J^(m) of the neighbours in a window of each photograph, drawn; exact at the first and last order."""
    model, generator = _photographs.folded_network(), torch.Generator().manual_seed(0)
    orders = order_grid(256, (0, 0.05, 0.2, 0.5, 0.8, 0.95, 1))
    names = _photographs.names()[:photographs]

    def estimates() -> Iterator[Estimate]:
        for name in names:
            corner = tuple(torch.randint(3, 11, (2,), generator=generator).tolist())
            game = _photographs.game(model, name)
            yield stars(
                game, game.players, pairs=window_pairs([corner]), orders=orders, budget=1500,
                generator=generator,
            )  # fmt: skip

    found = of_estimates(estimates(), generator=torch.Generator().manual_seed(0))
    add_strength(rows, f"MobileNetV2, {len(names)} photograph(s), 36 pairs of neighbours each", found, n=256)


def add_strength(rows: Rows, case: str, found: Strength, *, n: int) -> None:
    for place, order in enumerate(found.orders):
        low, high = found.interval[:, place].tolist()
        rows.add(
            metric="strength", case=f"{case}, m = {order} [{low:.2f}, {high:.2f}]",
            value=float(found.relative[place]), unit="J",
        )  # fmt: skip
        low, high = found.corrected_interval[:, place].tolist()
        rows.add(
            metric="strength", case=f"{case}, m = {order}, noise off [{low:.2f}, {high:.2f}]",
            value=float(found.corrected[place]), unit="J",
        )  # fmt: skip
    for with_weight in (True, False):
        theory = fit(found.corrected, torch.tensor(found.orders), n, with_weight=with_weight)
        how = "with" if with_weight else "without"
        rows.add(
            metric="fitted_n_prime", case=f"{case}, {how} the order's weight, error {theory.error:.3f}",
            value=theory.n_prime, unit="variables",
        )  # fmt: skip


if __name__ == "__main__":
    main()
