"""How fast NID is: the ensemble against a plain loop, Algorithm 1 against a dictionary, requests, and Fig. 8b.

`training_speedup`: seconds of a network in an ensemble of 20, as a request trains them, against the same recipe as
anybody would write it, in the same process, by turns. `ranking_speedup`: Algorithm 1 against a dictionary of tuples.
`request_seconds`: a whole training of the service with its defaults. `runtime_seconds`: of one network, by rows and
inputs, to be read beside the paper's Fig. 8b, of which the text has no numbers. Seconds are of the CPU, on one thread.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks._nid_cutoff import table_of
from benchmarks._nid_networks import ARCHITECTURES, Architecture, Size, parts
from benchmarks._rows import Rows as Table
from benchmarks._synthetic import FUNCTIONS, INPUTS
from worker.methods.nid.descent import Recipe, Rows
from worker.methods.nid.networks import HIDDEN, mlp
from worker.methods.nid.ranking import rank_any_order
from worker.methods.nid.training import train
from worker.trainings._registry import TrainingTask
from worker.trainings.nid import train as train_request
from worker.trainings.nid.params import NidParams

RANKED = 100
MEMBERS = 20
L1 = 5e-5


def add_speed(table: Table, size: Size) -> None:
    """Add all speeds."""
    for architecture in ARCHITECTURES:
        _add_training_speedup(table, architecture, epochs=1 if size.quick else 2, times=1 if size.quick else 3)
    for p, units in ((10, 140), (200, 140)) if size.quick else ((10, 140), (50, 140), (200, 140), (1000, 50)):
        _add_ranking_speedup(table, p=p, units=units)
    _add_request(table, rows=600 if size.quick else 20_000)
    _add_runtime(table, size)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


# ---------------------------------------------------------------- training


def _add_training_speedup(table: Table, architecture: Architecture, *, epochs: int, times: int) -> None:
    rows, validation = parts(FUNCTIONS[3], 9000)
    mains = architecture == "MLP-M"
    plain_loop(Rows(rows.x[:100], rows.y[:100]), validation, mains=mains, epochs=1)  # Adam's first step imports much
    ours, plain = [], []
    for _ in range(times):
        ours.append(cpu_seconds(lambda: _ensemble(rows, validation, mains=mains, epochs=epochs)) / MEMBERS)
        plain.append(cpu_seconds(lambda: plain_loop(rows, validation, mains=mains, epochs=epochs)))
    ratios = np.array(plain) / np.array(ours)
    step = 1e3 * float(np.median(ours)) / (epochs * len(rows.x) / 100)
    table.add(
        metric="training_speedup", case=f"{architecture}, {MEMBERS} at once", value=float(np.median(ratios)),
        unit=f"×, median of {times} ({ratios.min():.1f} to {ratios.max():.1f}); ours {step:.2f} ms a network and step",
        peer="plain PyTorch loop", ratio=float(np.median(ratios)),
    )  # fmt: skip


def _ensemble(rows: Rows, validation: Rows, *, mains: bool, epochs: int) -> None:
    recipe = Recipe(task="regression", l1=torch.full((MEMBERS,), L1), epochs=epochs, patience=epochs + 1)
    train(mlp(INPUTS, 1, members=MEMBERS, mains=mains), rows, validation, recipe, seeds=range(MEMBERS))


def plain_loop(rows: Rows, validation: Rows, *, mains: bool, epochs: int) -> None:
    """Train one network as one usually would."""
    torch.manual_seed(0)
    deep = chain((INPUTS, *HIDDEN, 1))
    single = [chain((1, 10, 10, 10, 1)) for _ in range(INPUTS if mains else 0)]
    optimizer = torch.optim.Adam([weight for net in (deep, *single) for weight in net.parameters()], lr=0.01)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.95)
    for _ in range(epochs):
        for batch in torch.split(torch.randperm(len(rows.x)), 100):
            optimizer.zero_grad()
            loss = (additive(deep, single, rows.x[batch]) - rows.y[batch]).square().mean()
            penalty = sum(layer.weight.abs().sum() for layer in deep if isinstance(layer, nn.Linear))
            (loss + L1 * penalty).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        schedule.step()
        with torch.no_grad():
            additive(deep, single, validation.x)


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


# ---------------------------------------------------------------- ranking


def _add_ranking_speedup(table: Table, *, p: int, units: int) -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(units, p, generator=generator, dtype=torch.float64)
    z = torch.rand(units, generator=generator, dtype=torch.float64)
    ours = np.median([cpu_seconds(lambda: rank_any_order(first, z, most=RANKED)) for _ in range(11)])
    naive = np.median(
        [cpu_seconds(lambda: by_dictionary(first.numpy(), z.numpy())) for _ in range(1 if p > 100 else 5)]
    )
    ratio = float(naive / ours)
    table.add(
        metric="ranking_speedup", case=f"p = {p}, {units} units", value=ratio,
        unit=f"×, ours {1e3 * ours:.1f} ms, first {RANKED} sets", peer="dictionary of tuples", ratio=ratio,
    )  # fmt: skip


def by_dictionary(first: np.ndarray, z: np.ndarray) -> list[tuple[tuple[int, ...], float]]:
    """Run Algorithm 1 as it is written."""
    strengths: dict[tuple[int, ...], float] = defaultdict(float)
    for weights, influence_of_unit in zip(np.abs(first), z, strict=True):
        order = np.argsort(-weights)
        for size in range(2, len(order) + 1):
            strengths[tuple(sorted(order[:size].tolist()))] += influence_of_unit * weights[order[size - 1]]
    return sorted(strengths.items(), key=lambda one: -one[1])[:RANKED]


# ---------------------------------------------------------------- requests


def _add_request(table: Table, *, rows: int) -> None:
    """Add a request with the defaults, and one without the additive model."""
    for case, params in (("defaults", NidParams()), ("without cutoff", NidParams(cutoff=0))):
        seconds, wall, reports = _request(rows, params)
        table.add(
            metric="request_seconds", case=f"{rows:,} × {INPUTS} table, {case}", value=seconds,
            unit=f"CPU s on one thread, {wall:.0f} s of the clock; {params.trials} trials × "
            f"{len(params.l1)} L1 weights, {reports} reports of progress", peer="aim: 60 s on two cores",
        )  # fmt: skip


def _request(rows: int, params: NidParams) -> tuple[float, float, int]:
    """Return seconds of the CPU, seconds of the clock, and how often progress was reported."""
    reports: list[str] = []
    task = TrainingTask(
        data=table_of(*FUNCTIONS[3].draw(rows, seed=0)), report=lambda stage, *counts: reports.append(stage)
    )
    started = time.perf_counter()
    seconds = cpu_seconds(lambda: train_request(task, params))
    return seconds, time.perf_counter() - started, len(reports)


def _add_runtime(table: Table, size: Size) -> None:
    """Add seconds an epoch of one MLP-M in an ensemble of four."""
    for rows, p in ((1500, 10),) if size.quick else ((3000, 10), (10_000, 10), (3000, 50), (3000, 200)):
        table.add(
            metric="runtime_seconds", case=f"{rows:,} rows, p = {p}", value=_epoch_seconds(rows, p),
            unit="CPU s an epoch of one MLP-M, four at once",
        )  # fmt: skip


def _epoch_seconds(rows: int, p: int, *, members: int = 4, epochs: int = 2) -> float:
    x = torch.randn(rows, p, generator=torch.Generator().manual_seed(0))
    data, design = Rows(x, x[:, :1] * x[:, 1:2]), mlp(p, 1, members=members, mains=True)
    recipe = Recipe(task="regression", l1=torch.full((members,), L1), epochs=epochs, patience=epochs + 1)
    return cpu_seconds(lambda: train(design, data, data, recipe, seeds=range(members))) / (members * epochs)
