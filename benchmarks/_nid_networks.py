"""The networks of the synthetic functions: ensembles that all parts of the NID benchmark read.

All trials of a function see the same rows and differ in their random weights and batches. An ensemble has a network
for every trial and every L1 weight of the service's grid, and is trained once a process, however many parts ask for it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

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


@dataclass(frozen=True)
class Size:
    """How much is run.

    Attributes:
        rows: Of a function; a third to learn from, a third to stop by, a third left over.
        quick: Everything is small, and says only that it runs.
    """

    quick: bool
    trials: int
    rows: int
    epochs: int
    functions: tuple[Function, ...]

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

    def params(self, aggregate: Literal["geometric", "validation"] = "geometric") -> NidParams:
        """Return how the service would read these networks."""
        return NidParams(trials=self.trials, l1=self.l1, aggregate=aggregate)

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
    """Train trials x L1 weights at once with the service's recipe.

    Args:
        noise: Standard deviation of what is added to inputs and target after both are standardised.
    """
    trials = trials or size.trials
    members = trials * len(l1)
    recipe = Recipe(
        task="regression", l1=torch.tensor(l1).repeat(trials), l2=l2, lasso=lasso, epochs=size.epochs,
        learning_rate=DEFAULTS.learning_rate, decay=DEFAULTS.decay, batch=DEFAULTS.batch_size,
        patience=DEFAULTS.patience,
    )  # fmt: skip
    design = mlp(INPUTS, 1, members=members, mains=architecture == "MLP-M")
    learned, validation = parts(function, size.rows, noise=noise)
    started = time.process_time()
    fitted = train(design, learned, validation, recipe, seeds=range(members))
    return Ensemble(read(fitted, len(l1)), trials, l1, (time.process_time() - started) / members)


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


def read(fitted: Fitted, weights: int) -> tuple[Network, ...]:
    """Read networks of standardised inputs, whose weights need no scale; network k is of trial k // weights."""
    first, *later = (layer.double() for layer in deep_weights(fitted.design, fitted.parameters))
    z = influence(later)
    return tuple(
        Network(k // weights, k % weights, first[k].abs(), z[k], float(fitted.loss[k])) for k in range(len(first))
    )


def trimmed(values: Floats) -> Floats:
    """Leave out the best and the worst trial, as the paper does; all stay where there are fewer than four."""
    return np.sort(values)[1:-1] if len(values) > 3 else values


def spread(values: Floats | Sequence[float]) -> str:
    """`± 0.012`, the standard deviation; nothing of a single value."""
    return f"± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
