"""Adam for an ensemble: where its networks stand, and an epoch's way down for some of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.optim.adam import adam

from worker.methods.nid.blocks import Block
from worker.methods.nid.losses import Task
from worker.methods.nid.networks import Design, Parameters
from worker.methods.nid.penalties import Lasso, Penalty
from worker.methods.nid.slopes import Pass

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
class Standing:
    """Where networks are, and Adam with them.

    Attributes:
        names: `(members,)`: their places in the whole ensemble.
        mean, square: Adam's moving means of slopes and of their squares.
        steps: Taken so far.
    """

    design: Design
    names: Tensor
    parameters: Parameters
    mean: Parameters
    square: Parameters
    steps: int = 0

    @classmethod
    def fresh(cls, design: Design, parameters: Parameters) -> Standing:
        """Begin."""
        return cls(design, torch.arange(design.members), parameters, parameters.like(0.0), parameters.like(0.0))

    def of(self, kept: Tensor) -> Standing:
        """Keep some networks, by `(members,)` bool."""
        rows = self.design.rows(kept)
        moments = (self.parameters.of(*rows), self.mean.of(*rows), self.square.of(*rows))
        return Standing(self.design.of(kept), self.names[kept], *moments, self.steps)


class Descent:
    """An epoch of some networks: what moves lies in blocks, and goes back into a `Standing` at the end."""

    def __init__(self, standing: Standing, recipe: Recipe) -> None:
        design = self._design = standing.design
        self._names, self._steps = standing.names, torch.tensor(float(standing.steps))
        self._values, self._mean, self._square = (
            Block.of(design, numbers) for numbers in (standing.parameters, standing.mean, standing.square)
        )
        self._slopes = Block(design, torch.empty_like(self._values.numbers))
        l1 = recipe.l1[standing.names][design.owner]
        self._penalty = Penalty(self._values, l1, l2=recipe.l2, lasso=recipe.lasso)
        self._task, self._batch = recipe.task, recipe.batch
        self._passes: dict[int, Pass] = {}

    @torch.no_grad()
    def run(self, rows: Rows, orders: Tensor, *, learning_rate: float, beat: Callable[[], None]) -> None:
        """Train for an epoch.

        Args:
            orders: `(members, rows)`: the order in which each network sees them.
            beat: Called before every step; may raise.
        """
        for batch in torch.split(orders, self._batch, dim=1):
            beat()
            self._step(_gathered(rows.x, batch), _gathered(rows.y, batch), learning_rate)

    def standing(self) -> Standing:
        """Return where the networks are now."""
        parameters, mean, square = (block.parameters() for block in (self._values, self._mean, self._square))
        return Standing(self._design, self._names, parameters, mean, square, int(self._steps))

    def _step(self, x: Tensor, y: Tensor, learning_rate: float) -> None:
        self._penalty.write_slopes(self._values, self._slopes)
        self._pass(x.shape[1]).run(x, y, self._task)
        adam(
            [self._values.numbers], [self._slopes.numbers], [self._mean.numbers], [self._square.numbers], [],
            [self._steps], fused=True, amsgrad=False, beta1=_BETAS[0], beta2=_BETAS[1], lr=learning_rate,
            weight_decay=0.0, eps=_EPSILON, maximize=False,
        )  # fmt: skip

    def _pass(self, batch: int) -> Pass:
        if batch not in self._passes:
            self._passes[batch] = Pass(self._design, self._values, self._slopes, batch)
        return self._passes[batch]


def joined(whole: Standing, parts: Sequence[Standing]) -> Standing:
    """Move networks to where their parts of the ensemble, in order, have come in equally many steps."""
    parameters, mean, square = (
        Parameters(torch.cat([one.deep for one in every]), torch.cat([one.mains for one in every]))
        for every in zip(*((one.parameters, one.mean, one.square) for one in parts), strict=True)
    )
    return replace(whole, parameters=parameters, mean=mean, square=square, steps=parts[0].steps)


def _gathered(values: Tensor, at: Tensor) -> Tensor:
    return values.index_select(0, at.reshape(-1)).view(*at.shape, *values.shape[1:])
