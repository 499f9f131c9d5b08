"""Table 3 of the NID paper: how much of what interactions give an additive model with few of them gets.

The service's own training is run on tables. `relative_improvement` is the paper's: the RMSE on the test rows from the
additive model without interactions to the one with K, over that to the networks that see everything. K is where the
validation loss reaches that of those networks, as in the paper, else where it is lowest.
`top_pair_share` is the share of trials that rank {longitude, latitude} first.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks._nid_networks import Size, spread
from benchmarks._rows import Rows
from benchmarks._synthetic import INPUTS
from jobs.trainings import TrainingResult
from worker.trainings._data import Feature, Labels, Table
from worker.trainings._registry import TrainingTask
from worker.trainings.nid import train
from worker.trainings.nid.params import NidParams

FOLDER = Path(__file__).parents[2] / "shared" / "assets" / "data"
"""Where the real tables are, beside the checkout."""
SYNTHETIC = ("F3", "F5", "F7", "F10")
SEEDS = 3
PAPER = {
    "F3": "104.1 % ± 0.21 %, K = 4", "F5": "102.0 % ± 0.30 %, K = 6", "F7": "105.2 % ± 0.30 %, K = 3",
    "F10": "105.5 % ± 0.50 %, K = 4", "cal_housing": "99 % ± 4.0 %, K = 2", "bike_sharing": "98.8 % ± 0.89 %, K = 12",
}  # fmt: skip
CAL_PAIR = ("longitude", "latitude")


@dataclass(frozen=True)
class Case:
    """A table, and how it is trained."""

    name: str
    table: Table
    params: NidParams


def add_cutoff(table: Rows, size: Size) -> None:
    """Add the synthetic functions."""
    for case in synthetic_cases(size):
        _run(table, case, size)


def add_tables(table: Rows, size: Size) -> None:
    """Add the real tables that are there."""
    for case in real_cases(size):
        results = _run(table, case, size)
        if case.name == "cal_housing":
            _add_top_pair(table, results)


def _run(table: Rows, case: Case, size: Size) -> list[TrainingResult]:
    started = time.process_time()
    seeds = range(1) if size.quick else range(SEEDS)
    results = [train(TrainingTask(data=case.table, seed=seed), case.params).result for seed in seeds]
    seconds = (time.process_time() - started) / len(results)
    _add_improvement(table, case, results, seconds)
    return results


def synthetic_cases(size: Size) -> list[Case]:
    """Return functions as tables, a third of the rows each to learn from, to stop by and to test on."""
    rows = 6000 if size.quick else 15_000
    params = NidParams(
        trials=2, most_rows=rows, validation=1 / 3, test=1 / 3, cutoff=2 if size.quick else 8, compare=(),
        epochs=size.epochs,
    )  # fmt: skip
    return [
        Case(function.name, table_of(*function.draw(rows, seed=0)), params)
        for function in size.functions
        if function.name in SYNTHETIC
    ]


def table_of(x: torch.Tensor, y: torch.Tensor) -> Table:
    """Make a table of a function's inputs and values."""
    features = tuple(Feature(name=f"x{column + 1}", values=x[:, column]) for column in range(INPUTS))
    return Table(features=features, labels=Labels(task="regression", values=y), rows=len(y))


def real_cases(size: Size) -> list[Case]:
    """Return the tables that are there; L1 is 5e-5 and a tenth of the rows each stops and tests, as in the paper."""
    found = []
    for name, file, target, ignored, most in (
        ("cal_housing", "housing.csv", "median_house_value", ("ocean_proximity",), 5),
        ("bike_sharing", "hour.csv", "cnt", ("instant", "dteday", "casual", "registered"), 30),
    ):
        path = FOLDER / name / file
        if not path.exists():
            print(f"{name}: skipped, as {path.name} is not beside the checkout", flush=True)
            continue
        params = NidParams(
            trials=2 if size.quick else 5, l1=(5e-5,), validation=0.1, test=0.1, cutoff=1 if size.quick else most,
            most_rows=1000 if size.quick else 30_000, epochs=size.epochs, compare=(), top=1,
        )  # fmt: skip
        found.append(Case(name, numbers_of(path, target=target, ignored=ignored), params))
    return found


def numbers_of(path: Path, *, target: str, ignored: Sequence[str]) -> Table:
    """Read a table whose columns are all numbers, as the paper took them; an empty cell is missing."""
    with path.open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    columns = {
        name: np.array([float(line[name] or "nan") for line in lines]) for name in lines[0] if name not in ignored
    }
    y = columns.pop(target)
    features = tuple(Feature(name=name, values=torch.from_numpy(values)) for name, values in columns.items())
    return Table(features=features, labels=Labels(task="regression", values=torch.from_numpy(y)), rows=len(y))


def _add_improvement(table: Rows, case: Case, results: Sequence[TrainingResult], seconds: float) -> None:
    cutoffs: list[Any] = [result.details["cutoff"] for result in results]
    chosen = [one["interactions"] for one in cutoffs]
    shares = [improvement(one, count) for one, count in zip(cutoffs, chosen, strict=True)]
    sets = [one["added"][count] for one, count in zip(cutoffs, chosen, strict=True)]
    counts, orders = [len(one) for one in sets], [len(members) for one in sets for members in one]
    reached = sum(bool(one["reached"]) for one in cutoffs)
    gains = [rmse(one, 0) - rmse(one, count) for one, count in zip(cutoffs, chosen, strict=True)]
    table.add(
        metric="relative_improvement", case=case.name, value=float(np.mean(shares)),
        unit=f"of the way in RMSE, {spread(shares)} over {len(shares)} seed(s), {reached} as good on validation; "
        f"median K {np.median(counts):g}, mean order {np.mean(orders) if orders else 0:.1f}, "
        f"RMSE lower by {np.mean(gains):.3f}; {seconds:.0f} CPU s a run",
        peer=f"paper {PAPER[case.name]}", ratio=float(np.mean(shares)) / (float(PAPER[case.name].split(" ")[0]) / 100),
    )  # fmt: skip


def improvement(cutoff: Any, count: int) -> float:
    """Return how far the model with the first `count` interactions goes in RMSE."""
    return (rmse(cutoff, 0) - rmse(cutoff, count)) / (rmse(cutoff, 0) - math.sqrt(cutoff["whole_test_loss"]))


def rmse(cutoff: Any, count: int) -> float:
    """Return the RMSE on the test rows, of the standardised target."""
    return math.sqrt(cutoff["test_loss"][count])


def _add_top_pair(table: Rows, results: Sequence[TrainingResult]) -> None:
    ranks: list[Any] = [
        rank
        for result in results
        for one in result.interactions
        if one.kind == "pair" and {result.players.names[member] for member in one.members} == set(CAL_PAIR)
        for rank in one.details["trial_ranks"]
    ]  # fmt: skip
    table.add(
        metric="top_pair_share", case="cal_housing {longitude, latitude}", value=ranks.count(1) / len(ranks),
        unit=f"of {len(ranks)} trials rank it first; worst rank {max(ranks)}", peer="paper: first", ratio=None,
    )  # fmt: skip
