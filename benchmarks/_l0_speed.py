"""An epoch of L0-SIGN against a graph-library-like scatter form and a dense padded form; rows explained a second.

All start from the same weights and take the same batches with the same noise; each makes its batches itself. Losses
are compared step by step, so that the time is that of the same training.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn

from benchmarks._l0_dense import DenseL0Sign, block_of, noise_of
from benchmarks._l0_logs import of_frappe, tweets
from benchmarks._l0_scatter import ScatterL0Sign, graph_of
from benchmarks._rows import Rows
from worker.methods.l0_sign.explain import PairTable
from worker.methods.l0_sign.losses import Lambdas, risk
from worker.methods.l0_sign.model import Design, L0Sign, Noise
from worker.methods.l0_sign.pairs import Rows as Batch
from worker.methods.l0_sign.pairs import as_sets, pairs_of
from worker.trainings._data import Sets

BATCHES = (1024, 8192)
SAME = 1e-5
"""Losses of the forms at every step may differ by so much: float32 sums in another order, and what follows of it."""
LAMBDAS = Lambdas(gates=1e-3, messages=1e-5)
_REPEATS = 3

Step = Callable[[Batch, Tensor, Tensor], Tensor]
"""Rows, noise of each of their pairs, labels → risk."""


@dataclass(frozen=True, kw_only=True)
class Log:
    """Rows to time on, and how many features they have."""

    name: str
    rows: Batch
    labels: Tensor
    features: int


def add_speed(rows: Rows, *, quick: bool) -> None:
    """Add epochs and explanations, on a log with Frappe's shape and on tweets."""
    logs = [_log("Frappe's shape", of_frappe(16_384, seed=0)), _log("twitter_graph", tweets(16_384))]
    for log in logs[:1] if quick else logs:
        for size in BATCHES:
            add_epochs(rows, log, size, repeats=1 if quick else _REPEATS)
        add_explained(rows, log)


def add_epochs(rows: Rows, log: Log, size: int, *, repeats: int) -> None:
    """Time the forms in turn, so that whatever else the machine does falls on all of them."""
    seconds: dict[str, list[float]] = {}
    losses: dict[str, list[float]] = {}
    for _ in range(repeats):
        for name, (network, step) in forms(log.features).items():
            spent, losses[name] = epoch(network, step, log, size)
            seconds.setdefault(name, []).append(spent)
    ours = median(seconds["ours"])
    rows.add(metric="epoch_seconds", case=f"{log.name}, batch {size}, ours", value=ours, unit="CPU s")
    for name in ("scatter", "dense"):
        apart = max(abs(a - b) for a, b in zip(losses["ours"], losses[name], strict=True))
        if apart > SAME:
            raise AssertionError(f"expected the same losses, {name} and ours differ by {apart:g} at batch {size}")
        theirs, case = median(seconds[name]), f"{log.name}, batch {size}, {name}"
        unit = f"times as fast; losses within {apart:.1g}"
        rows.add(metric="epoch_speedup", case=case, value=theirs / ours, unit=unit, peer=name, ratio=theirs / ours)
        rows.add(metric="epoch_seconds", case=case, value=theirs, unit="CPU s")


def forms(features: int) -> dict[str, tuple[nn.Module, Step]]:
    """Return the three forms with the same weights."""
    ours = L0Sign(Design(features=features), torch.Generator().manual_seed(0))
    scatter, dense = ScatterL0Sign(ours), DenseL0Sign(ours)

    def our_step(rows: Batch, uniform: Tensor, labels: Tensor) -> Tensor:
        found = ours.evaluate(rows, pairs_of(rows), Noise(uniform=uniform))
        return risk(found, labels, LAMBDAS, objective="cross-entropy")

    def scatter_step(rows: Batch, uniform: Tensor, labels: Tensor) -> Tensor:
        return scatter.risk(graph_of(rows, features=features), uniform, labels.float(), LAMBDAS)

    def dense_step(rows: Batch, uniform: Tensor, labels: Tensor) -> Tensor:
        block = block_of(rows, features=features)
        return dense.risk(block, noise_of(rows, block, uniform), labels.float(), LAMBDAS)

    return {"ours": (ours, our_step), "scatter": (scatter, scatter_step), "dense": (dense, dense_step)}


def epoch(network: nn.Module, step: Step, log: Log, size: int) -> tuple[float, list[float]]:
    """Train one epoch; return its CPU seconds and the loss of every step."""
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    batches = list(noisy_batches(log, size))
    started, losses = time.process_time(), []
    for which, uniform in batches:
        optimizer.zero_grad(set_to_none=True)
        loss = step(log.rows.take(which), uniform, log.labels[which])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    return time.process_time() - started, losses


def noisy_batches(log: Log, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield row indices and the noise of their pairs, the same for every form."""
    generator = torch.Generator().manual_seed(0)
    for which in torch.randperm(len(log.rows), generator=generator).split(size):
        lengths = log.rows.lengths[which]
        yield which, torch.rand(int((lengths * (lengths + 1) // 2).sum()), generator=generator)


def add_explained(rows: Rows, log: Log) -> None:
    """Time explanations with a table of the log's pairs, a thousand rows at once."""
    network = L0Sign(Design(features=log.features), torch.Generator().manual_seed(0)).eval()
    table = PairTable.of(network, log.rows)
    parts = [log.rows.take(part) for part in torch.arange(len(log.rows)).split(1024)]
    table.contributions(network, parts[0])
    started = time.perf_counter()
    for part in parts:
        table.contributions(network, part)
    seconds = time.perf_counter() - started
    rows.add(
        metric="explained_rows_per_second", case=f"{log.name}, 1024 rows at once", value=len(log.rows) / seconds,
        unit="rows/s", peer="at least 20,000",
    )  # fmt: skip


def _log(name: str, data: Sets) -> Log:
    batch = as_sets(Batch(offsets=data.offsets, features=data.features))
    return Log(name=name, rows=batch, labels=data.labels.values, features=len(data.vocabulary))
