"""NID: Table 2 of the paper, and the speed of the ensemble and of Algorithm 1.

    python -m benchmarks.nid [--quick] [--functions F1 F2 …] [--trials N]

`auc`: pairs of F1 to F10 ranked against the truth. Trials with four L1 weights are trained at once (30,000 rows, a
third each to learn from, to stop by and left over), pairs are averaged geometrically over the L1 weights of a trial,
and the value is the mean over trials with the standard deviation beside it. The paper drops the best and the worst of
10 trials and tunes L1 for each function; here nothing is dropped or tuned. `training_speedup`: seconds of a network in
the ensemble against the same recipe as a plain loop, in this process. `ranking_speedup`: Algorithm 1 against a
dictionary of tuples, at p = 200. `--quick` has two functions, fewer rows and epochs:
its AUC says that things run, no more. Seconds are of the CPU.
Whole, it takes some 30 CPU minutes: four MLP of one function, F3, take 10 s.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks._rows import Rows
from benchmarks._synthetic import FUNCTIONS, INPUTS, Function
from worker.methods.nid.networks import HIDDEN, deep_weights, mlp
from worker.methods.nid.ranking import rank_any_order
from worker.methods.nid.strengths import influence, pairwise_strengths
from worker.methods.nid.training import Fitted, Recipe, train
from worker.methods.nid.training import Rows as Part
from worker.trainings.nid.verdict import auc, geometric

L1 = (5e-6, 2e-5, 1e-4, 5e-4)
PAPER = {
    "MLP": (0.970, 0.79, 0.999, 0.85, 1.0, 0.98, 0.84, 0.989, 0.83, 0.995, 0.92),
    "MLP-M": (0.995, 0.85, 1.0, 0.996, 1.0, 0.70, 0.82, 0.989, 0.83, 0.99, 0.92),
}
"""Table 2: F1 to F10, then their mean."""
ROWS, EPOCHS = 30_000, 40
QUICK_ROWS, QUICK_EPOCHS = 9000, 8
RANKED = 100
REPEATS = 10


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nid", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two functions, little data: under a minute")
    parser.add_argument("--functions", nargs="+", choices=[one.name for one in FUNCTIONS])
    parser.add_argument("--trials", type=int, default=5)
    asked = parser.parse_args()
    names = asked.functions or (["F3", "F5"] if asked.quick else [one.name for one in FUNCTIONS])
    functions = [one for one in FUNCTIONS if one.name in names]
    rows, epochs, trials = (QUICK_ROWS, QUICK_EPOCHS, 2) if asked.quick else (ROWS, EPOCHS, asked.trials)
    with Rows("nid", threads=torch.get_num_threads()) as table:
        for architecture in PAPER:
            add_table_2(table, architecture, functions, rows=rows, epochs=epochs, trials=trials)
        add_training_speedup(table, epochs=1 if asked.quick else 3)
        add_ranking_speedup(table)


def add_table_2(
    table: Rows, architecture: str, functions: Sequence[Function], *, rows: int, epochs: int, trials: int
) -> None:
    """Add every function's AUC; their mean where all are there."""
    means = []
    for function in functions:
        started = time.process_time()
        found = aucs(function, mains=architecture == "MLP-M", rows=rows, epochs=epochs, trials=trials)
        paper, seconds = PAPER[architecture][FUNCTIONS.index(function)], time.process_time() - started
        spread = f"± {found.std(ddof=1):.3f} over seeds 0 to {trials - 1}" if trials > 1 else "seed 0"
        table.add(
            metric="auc", case=f"{function.name} {architecture}", value=float(found.mean()),
            unit=f"AUC, {spread}, {seconds:.0f} CPU s", peer=f"paper {paper}", ratio=float(found.mean()) / paper,
        )  # fmt: skip
        means.append(float(found.mean()))
    if len(functions) == len(FUNCTIONS):
        paper, mean = PAPER[architecture][-1], float(np.mean(means))
        table.add(
            metric="auc", case=f"mean {architecture}", value=mean, unit="AUC", peer=f"paper {paper}", ratio=mean / paper
        )


def aucs(function: Function, *, mains: bool, rows: int, epochs: int, trials: int) -> np.ndarray:
    """Return every trial's AUC."""
    train_part, validation = parts(function, rows)
    design = mlp(INPUTS, 1, members=trials * len(L1), mains=mains)
    recipe = Recipe(task="regression", l1=torch.tensor(L1).repeat(trials), epochs=epochs)
    fitted = train(design, train_part, validation, recipe, seeds=range(trials * len(L1)))
    at, other = np.triu_indices(INPUTS, 1)
    truth = np.array([pair in function.pairs for pair in zip(at.tolist(), other.tolist(), strict=True)])
    strengths = np.stack([matrix[at, other] / matrix.max() for matrix in matrices(fitted)])
    by_trial = strengths.reshape(trials, len(L1), -1)
    return np.array([auc(geometric(one), truth) for one in by_trial], dtype=np.float64)


def parts(function: Function, rows: int) -> tuple[Part, Part]:
    """Draw standardised rows: a third to learn from, a third to stop by."""
    x, y = function.draw(rows, seed=0)
    third = rows // 3
    x = (x - x[:third].mean(0)) / x[:third].std(0)
    y = ((y - y[:third].mean()) / y[:third].std())[:, None]
    first, second = ((x[at].float(), y[at].float()) for at in (slice(third), slice(third, 2 * third)))
    return Part(*first), Part(*second)


def matrices(fitted: Fitted) -> list[np.ndarray]:
    """Return every network's strengths of pairs."""
    first, *later = (weights.double() for weights in deep_weights(fitted.design, fitted.parameters))
    z = influence(later)
    return [pairwise_strengths(first[k], z[k]).numpy() for k in range(len(first))]


def add_training_speedup(table: Rows, *, epochs: int) -> None:
    """Add CPU seconds of a network: alone in a plain loop, over its share of an ensemble of 20."""
    members = 20
    rows, validation = parts(FUNCTIONS[3], 9000)
    started = time.process_time()
    recipe = Recipe(task="regression", l1=torch.full((members,), 5e-5), epochs=epochs, patience=epochs + 1)
    train(mlp(INPUTS, 1, members=members, mains=True), rows, validation, recipe, seeds=range(members))
    ours = (time.process_time() - started) / members
    plain_loop(Part(rows.x[:100], rows.y[:100]), validation, epochs=1)  # the first step of Adam imports much
    started = time.process_time()
    plain_loop(rows, validation, epochs=epochs)
    plain = time.process_time() - started
    table.add(
        metric="training_speedup", case=f"MLP-M, 20 at once, {epochs} epochs", value=plain / ours, unit="×, CPU s",
        peer="plain PyTorch loop", ratio=plain / ours,
    )  # fmt: skip


def plain_loop(rows: Part, validation: Part, *, epochs: int) -> None:
    """Train one MLP-M as one usually would."""
    torch.manual_seed(0)
    deep = chain((INPUTS, *HIDDEN, 1))
    mains = [chain((1, 10, 10, 10, 1)) for _ in range(INPUTS)]
    every = [parameter for net in (deep, *mains) for parameter in net.parameters()]
    optimizer = torch.optim.Adam(every, lr=0.01)
    for _ in range(epochs):
        for batch in torch.split(torch.randperm(len(rows.x)), 100):
            optimizer.zero_grad()
            loss = (additive(deep, mains, rows.x[batch]) - rows.y[batch]).square().mean()
            penalty = sum(layer.weight.abs().sum() for layer in deep if isinstance(layer, nn.Linear))
            (loss + 5e-5 * penalty).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        with torch.no_grad():
            additive(deep, mains, validation.x)


def chain(sizes: Sequence[int]) -> nn.Sequential:
    """Return an MLP."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def additive(deep: nn.Module, mains: Sequence[nn.Module], x: Tensor) -> Tensor:
    """Add up the deep part and every input's own network."""
    answer: Tensor = deep(x) + sum(net(x[:, place, None]) for place, net in enumerate(mains))
    return answer


def add_ranking_speedup(table: Rows, *, p: int = 200, units: int = 140) -> None:
    """Add seconds of Algorithm 1 by a dictionary of tuples over ours."""
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(units, p, generator=generator, dtype=torch.float64)
    z = torch.rand(units, generator=generator, dtype=torch.float64)
    rank_any_order(first, z, most=RANKED)
    started = time.process_time()
    for _ in range(REPEATS):
        rank_any_order(first, z, most=RANKED)
    ours = (time.process_time() - started) / REPEATS
    started = time.process_time()
    by_dictionary(first.numpy(), z.numpy())
    naive = time.process_time() - started
    table.add(
        metric="ranking_speedup", case=f"p = {p}, {units} units", value=naive / ours,
        unit=f"×, ours {1e3 * ours:.1f} ms",
        peer="dictionary of tuples", ratio=naive / ours,
    )  # fmt: skip


def by_dictionary(first: np.ndarray, z: np.ndarray) -> list[tuple[tuple[int, ...], float]]:
    """Run Algorithm 1 as it is written."""
    strengths: dict[tuple[int, ...], float] = defaultdict(float)
    for weights, influence_of_unit in zip(np.abs(first), z, strict=True):
        order = np.argsort(-weights)
        for size in range(2, len(order) + 1):
            strengths[tuple(sorted(order[:size].tolist()))] += influence_of_unit * weights[order[size - 1]]
    return sorted(strengths.items(), key=lambda one: -one[1])[:RANKED]


if __name__ == "__main__":
    main()
