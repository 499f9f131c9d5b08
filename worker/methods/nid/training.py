"""Train an ensemble as one: own batches, own penalty and own early stopping for each network, one step for all.

The losses are added up, so that no network's gradient feels another's, and Adam works number by number: each network
goes exactly where it would go alone. A network whose validation loss has stopped falling leaves with its best
parameters, and the others go on in a smaller batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from worker.methods.nid.networks import Design, Parameters, deep_weights, forward, initial

Task = Literal["regression", "binary", "multiclass"]
Lasso = Literal["none", "inputs", "units", "sparse-inputs", "sparse-units"]
Watch = Callable[[int, int, float], None]
"""`watch(epoch, networks still training, best mean validation loss)`; may raise to cancel."""

_ROWS_AT_ONCE = 4096
_BETAS = (0.9, 0.999)
_EPSILON = 1e-8


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How an ensemble is trained.

    Attributes:
        l1: `(members,)`: weight of the L1 norm of the deep parts' weights, biases left out.
        l2: Weight of the squared norm of all weights and biases.
        lasso: What `l1` penalises in the first layer: its weights one by one (`none`), or in groups, an input's or a
            unit's; the sparse forms do both.
        decay: Of the learning rate, every epoch.
        patience: Epochs without a lower validation loss before a network stops.
    """

    task: Task
    l1: Tensor
    l2: float = 0.0
    lasso: Lasso = "none"
    learning_rate: float = 0.01
    decay: float = 0.95
    batch: int = 100
    epochs: int = 100
    patience: int = 5


@dataclass(frozen=True)
class Rows:
    """Inputs `(rows, inputs)`, and targets: `(rows, 1)` numbers, or for `multiclass` `(rows,)` classes."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class Fitted:
    """Trained networks, each as it was in its best epoch.

    Attributes:
        loss: `(members,)`, on the validation rows.
        epochs: `(members,)`, until the best one.
        history: Validation loss by epoch, a list for each network.
    """

    design: Design
    parameters: Parameters
    loss: Tensor
    epochs: Tensor
    history: list[list[float]]


def train(
    design: Design,
    rows: Rows,
    validation: Rows,
    recipe: Recipe,
    *,
    seeds: Sequence[int],
    watch: Watch = lambda epoch, training, loss: None,
    beat: Callable[[int], None] = lambda epochs: None,
) -> Fitted:
    """Train every network of `design` on `rows`; network k draws its parameters and batches by `seeds[k]`.

    Args:
        beat: Called before every step with the epochs that are done; may raise to cancel.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    state = _State.fresh(design, recipe, generators)
    best = _Best(design, state.parameters)
    for epoch in range(1, recipe.epochs + 1):
        rate = recipe.learning_rate * recipe.decay ** (epoch - 1)
        state.run(rows, learning_rate=rate, beat=lambda done=epoch - 1: beat(done))  # type: ignore[misc]
        best.record(epoch, state, evaluate(state.design, state.parameters, validation, recipe.task))
        state = state.of(epoch - best.epochs[state.names] < recipe.patience)
        watch(epoch, len(state.names), float(best.loss.mean()))
        if not len(state.names):
            break
    return best.fitted()


@torch.no_grad()
def evaluate(design: Design, parameters: Parameters, rows: Rows, task: Task) -> Tensor:
    """Return every network's mean loss, `(members,)`."""
    total = torch.zeros(design.members)
    for x, y in zip(_chunks(rows.x), _chunks(rows.y), strict=True):
        spread = x.expand(design.members, *x.shape)
        total += len(x) * _losses(forward(design, parameters, spread), y.expand(design.members, *y.shape), task)
    return total / len(rows.x)


@torch.no_grad()
def predict(design: Design, parameters: Parameters, x: Tensor) -> Tensor:
    """Evaluate every network on the same rows: `(rows, inputs)` to `(members, rows, outputs)`."""
    parts = [forward(design, parameters, part.expand(design.members, *part.shape)) for part in _chunks(x)]
    return torch.cat(parts, dim=1)


class _State:
    """The networks that are still training, and where Adam is with them.

    Attributes:
        names: `(members,)`: their places in the whole ensemble.
    """

    def __init__(
        self,
        design: Design,
        parameters: Parameters,
        recipe: Recipe,
        *,
        generators: list[torch.Generator],
        names: Tensor,
        optimizers: tuple[_Adam, _Adam],
    ) -> None:
        self.design = design
        self.parameters = parameters
        self.names = names
        self._recipe = recipe
        self._generators = generators
        self._optimizers = optimizers

    @classmethod
    def fresh(cls, design: Design, recipe: Recipe, generators: list[torch.Generator]) -> _State:
        parameters = initial(design, generators)
        return cls(
            design, parameters, recipe, generators=generators, names=torch.arange(design.members),
            optimizers=(_Adam.fresh(parameters.deep), _Adam.fresh(parameters.mains)),
        )  # fmt: skip

    def of(self, kept: Tensor) -> _State:
        """Keep some networks, by `(members,)` bool."""
        if kept.all():
            return self
        deep, mains = self.design.rows(kept)
        return _State(
            self.design.of(kept), self.parameters.of(deep, mains), self._recipe,
            generators=[one for one, stays in zip(self._generators, kept.tolist(), strict=True) if stays],
            names=self.names[kept], optimizers=(self._optimizers[0].of(deep), self._optimizers[1].of(mains)),
        )  # fmt: skip

    def run(self, rows: Rows, *, learning_rate: float, beat: Callable[[], None]) -> None:
        """Train for an epoch; `beat` before every step."""
        orders = torch.stack([torch.randperm(len(rows.x), generator=generator) for generator in self._generators])
        for batch in torch.split(orders, self._recipe.batch, dim=1):
            beat()
            self._step(rows.x[batch], rows.y[batch], learning_rate=learning_rate)

    def _step(self, x: Tensor, y: Tensor, *, learning_rate: float) -> None:
        trained = [rows.requires_grad_() for rows in (self.parameters.deep, self.parameters.mains)]
        objective = _losses(forward(self.design, self.parameters, x), y, self._recipe.task).sum()
        objective = objective + self._penalty()
        slopes = torch.autograd.grad(objective, trained, allow_unused=True)
        for rows, slope, optimizer in zip(trained, slopes, self._optimizers, strict=True):
            rows.requires_grad_(False)
            if slope is not None:
                optimizer.step(rows, slope, learning_rate=learning_rate)

    def _penalty(self) -> Tensor:
        recipe, parameters = self._recipe, self.parameters
        penalty = recipe.l2 * (parameters.deep.square().sum() + parameters.mains.square().sum())
        l1 = recipe.l1[self.names][self.design.owner]
        return penalty + (l1 * sparsity(self.design, parameters, recipe.lasso)).sum() if l1.any() else penalty


def _losses(answers: Tensor, y: Tensor, task: Task) -> Tensor:
    """Return the mean loss of every network, `(members,)`."""
    if task == "multiclass":
        return cross_entropy(answers.transpose(1, 2), y, reduction="none").mean(1)
    if task == "binary":
        losses = binary_cross_entropy_with_logits(answers, y, reduction="none")
    else:
        losses = mse_loss(answers, y, reduction="none")
    return losses.mean((1, 2))


def _chunks(rows: Tensor) -> tuple[Tensor, ...]:
    parts: tuple[Tensor, ...] = torch.split(rows, _ROWS_AT_ONCE)
    return parts


def sparsity(design: Design, parameters: Parameters, lasso: Lasso) -> Tensor:
    """Return the norm of every deep part's weights that the L1 weight multiplies, `(parts,)`."""
    first, *later = (weights.flatten(1) for weights in deep_weights(design, parameters))
    norm: Tensor = torch.cat(later, dim=1).abs().sum(1)
    if lasso in ("none", "sparse-inputs", "sparse-units"):
        norm = norm + first.abs().sum(1)
    if lasso == "none":
        return norm
    units, inputs = design.hidden[0], design.inputs
    groups = first.view(-1, units, inputs)  # a column an input, a row a unit
    axis = 1 if lasso.endswith("inputs") else 2
    lengths: Tensor = torch.linalg.vector_norm(groups, dim=axis)  # whose slope at zero is zero, not undefined
    return norm + math.sqrt(groups.shape[axis]) * lengths.sum(1)


class _Adam:
    """Adam on the rows of one tensor: what `torch.optim.Adam` does, with rows that can leave."""

    def __init__(self, mean: Tensor, square: Tensor, steps: int) -> None:
        self._mean, self._square, self._steps = mean, square, steps

    @classmethod
    def fresh(cls, rows: Tensor) -> _Adam:
        return cls(torch.zeros_like(rows), torch.zeros_like(rows), 0)

    def of(self, kept: Tensor) -> _Adam:
        return _Adam(self._mean[kept], self._square[kept], self._steps)

    def step(self, rows: Tensor, slope: Tensor, *, learning_rate: float) -> None:
        """Move `rows` in place."""
        self._steps += 1
        self._mean.lerp_(slope, 1 - _BETAS[0])
        self._square.mul_(_BETAS[1]).addcmul_(slope, slope, value=1 - _BETAS[1])
        unbiased = (self._square / (1 - _BETAS[1] ** self._steps)).sqrt_().add_(_EPSILON)
        rows.addcdiv_(self._mean, unbiased, value=-learning_rate / (1 - _BETAS[0] ** self._steps))


class _Best:
    """Every network as it was in its best epoch so far."""

    def __init__(self, design: Design, parameters: Parameters) -> None:
        self.loss = torch.full((design.members,), torch.inf)
        self.epochs = torch.zeros(design.members, dtype=torch.int64)
        self._design = design
        self._parameters = Parameters(parameters.deep.clone(), parameters.mains.clone())
        self._history: list[list[float]] = [[] for _ in range(design.members)]

    def record(self, epoch: int, state: _State, losses: Tensor) -> None:
        """Take over what is better than before; a loss that is not a number never is."""
        better = losses < self.loss[state.names]
        for name, loss in zip(state.names.tolist(), losses.tolist(), strict=True):
            self._history[name].append(loss)
        improved = torch.zeros_like(self.epochs, dtype=torch.bool)
        improved[state.names[better]] = True
        self.loss[improved], self.epochs[improved] = losses[better], epoch
        mine, theirs = self._design.rows(improved), state.design.rows(better)
        self._parameters.deep[mine[0]] = state.parameters.deep[theirs[0]]
        self._parameters.mains[mine[1]] = state.parameters.mains[theirs[1]]

    def fitted(self) -> Fitted:
        return Fitted(self._design, self._parameters, self.loss, self.epochs, self._history)
