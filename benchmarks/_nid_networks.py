"""The networks of the synthetic functions: ensembles that all parts of the NID benchmark read.

All trials of a function see the same rows and differ in their random weights and batches. An ensemble has a network
for every trial and every L1 weight of the service's grid. It is trained once, however many parts ask for it, and with a
folder to keep it in, once for several runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks._synthetic import FUNCTIONS, INPUTS, Function
from worker.methods.nid.course import Fitted
from worker.methods.nid.descent import Recipe, Rows
from worker.methods.nid.networks import deep_weights, mlp
from worker.methods.nid.penalties import Lasso
from worker.methods.nid.strengths import influence
from worker.methods.nid.training import train
from worker.trainings.nid.params import NidParams
from worker.trainings.nid.search import Network

Floats = NDArray[np.float64]
Architecture = Literal["MLP", "MLP-M"]
ARCHITECTURES: tuple[Architecture, ...] = ("MLP", "MLP-M")
DEFAULTS = NidParams()
AT_ONCE = 5
"""Trials that train together, with all L1 weights: what a request has."""


@dataclass(frozen=True)
class Size:
    """How much is run.

    Attributes:
        rows: Of a function; a third to learn from, a third to stop by, a third left over.
        quick: Everything is small, and says only that it runs.
        kept: Folder of trained networks, to begin with and to add to.
    """

    quick: bool
    trials: int
    rows: int
    epochs: int
    functions: tuple[Function, ...]
    kept: Path | None = None

    @property
    def whole(self) -> bool:
        """Whether all ten functions take part, so that means compare with the paper's."""
        return len(self.functions) == len(FUNCTIONS)


@dataclass(frozen=True)
class Ensemble:
    """Trained networks, sorted by trial, then L1 weight, and the CPU seconds of each."""

    networks: tuple[Network, ...]
    trials: int
    l1: tuple[float, ...]
    seconds: float

    def params(self, aggregate: Literal["geometric", "validation"] | None = None) -> NidParams:
        """Return how the service would read these networks; None: by default."""
        return NidParams(trials=self.trials, l1=self.l1, aggregate=aggregate or DEFAULTS.aggregate)

    def of_trial(self, trial: int) -> list[Network]:
        """Return one trial's networks."""
        return [one for one in self.networks if one.trial == trial]

    def best(self, trial: int) -> Network:
        """Return a trial's network with the lowest validation loss, which is how the paper chooses L1."""
        return min(self.of_trial(trial), key=lambda one: one.loss)


@cache
def trained(
    function: Function, architecture: Architecture, size: Size, *, trials: int | None = None,
    l1: tuple[float, ...] = DEFAULTS.l1, l2: float = 0.0, lasso: Lasso = "none", noise: float = 0.0,
) -> Ensemble:  # fmt: skip
    """Train trials x L1 weights with the service's recipe, or take them from the folder of an earlier run.

    Args:
        noise: Standard deviation of what is added to inputs and target after both are standardised.
    """
    trials = trials or size.trials
    data = parts(function, size.rows, noise=noise)
    networks, seconds = [], 0.0
    for first in range(0, trials, AT_ONCE):
        count = min(AT_ONCE, trials - first)
        name = f"{function.name}-{architecture}-{size.rows}-{size.epochs}-{l1}-{l2:g}-{lasso}-{noise:g}-{first}-{count}"
        recipe = Recipe(
            task="regression", l1=torch.tensor(l1).repeat(count), l2=l2, lasso=lasso, epochs=size.epochs,
            learning_rate=DEFAULTS.learning_rate, decay=DEFAULTS.decay, batch=DEFAULTS.batch_size,
            patience=DEFAULTS.patience,
        )  # fmt: skip
        seeds = range(first * len(l1), (first + count) * len(l1))
        block = _kept(size.kept, name, partial(_trained, architecture, recipe, data, seeds))
        networks += _networks(block, first, len(l1))
        seconds += float(block["seconds"])
    return Ensemble(tuple(networks), trials, l1, seconds / len(networks))


def _trained(architecture: Architecture, recipe: Recipe, data: tuple[Rows, Rows], seeds: range) -> dict[str, Tensor]:
    design = mlp(INPUTS, 1, members=len(seeds), mains=architecture == "MLP-M")
    started = time.process_time()
    fitted = train(design, *data, recipe, seeds=seeds)
    return read(fitted) | {"seconds": torch.tensor(time.process_time() - started)}


def _kept(folder: Path | None, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Load what an earlier run left in `folder`, else make it and leave it there."""
    if folder is None:
        return make()
    file = folder / f"{name}.pt"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(make(), file.with_suffix(f".{os.getpid()}"))
        file.with_suffix(f".{os.getpid()}").replace(file)
    loaded: dict[str, Tensor] = torch.load(file, weights_only=True)
    return loaded


def read(fitted: Fitted) -> dict[str, Tensor]:
    """Read networks of standardised inputs, whose weights need no scale: what `Network` has, for all of them."""
    first, *later = (layer.double() for layer in deep_weights(fitted.design, fitted.parameters))
    return {"first": first.abs(), "influences": influence(later), "loss": fitted.loss}


def _networks(block: dict[str, Tensor], first: int, weights: int) -> list[Network]:
    """Name networks; network k of a block is of trial `first + k // weights`."""
    return [
        Network(first + k // weights, k % weights, block["first"][k], block["influences"][k], float(loss))
        for k, loss in enumerate(block["loss"])
    ]


def parts(function: Function, rows: int, *, noise: float = 0.0) -> tuple[Rows, Rows]:
    """Draw rows and standardise them by those that are learned from: a third to learn from, a third to stop by."""
    x, y = function.draw(rows, seed=0)
    third = rows // 3
    x = (x - x[:third].mean(0)) / x[:third].std(0)
    y = ((y - y[:third].mean()) / y[:third].std())[:, None]
    generator = torch.Generator().manual_seed(1)
    x, y = (one + noise * torch.randn(one.shape, generator=generator, dtype=one.dtype) for one in (x, y))
    first, second = ((x[at].float(), y[at].float()) for at in (slice(third), slice(third, 2 * third)))
    return Rows(*first), Rows(*second)


def trimmed(values: Floats) -> Floats:
    """Leave out the best and the worst trial, as the paper does; all stay where there are fewer than four."""
    return np.sort(values)[1:-1] if len(values) > 3 else values


def spread(values: Floats | Sequence[float]) -> str:
    """`± 0.012`, the standard deviation; nothing of a single value."""
    return f"± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
