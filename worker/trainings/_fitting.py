"""Fit a network by stochastic gradient descent: epochs, early stopping, save points; the same numbers after a kill.

What is random in an epoch (the order of rows, dropout) is drawn from the seed and the epoch's number, so an epoch that
is done again after a kill is the same epoch.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from jobs.errors import NumericalError
from jobs.trainings import Curve
from worker.trainings._registry import SavePoint, TrainingTask

State = dict[str, Tensor]

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""`loss(network, inputs, targets)`: a scalar to be minimised on one batch, the network in training mode."""

_EPOCHS_APART = 1_000_003  # a prime: seeds of different epochs and of neighbouring seeds do not meet


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and in which steps to go downhill.

    Attributes:
        patience: Epochs without a better validation loss after which to stop; None: never before the last.
        keep: Epochs after which a copy of the network is kept.
        momentum: Of sgd.
        minimised: Name of the number that the loss is; the best epoch is the one where it is lowest on validation rows.
        decay: Of adagrad's learning rate, by step.
        unjudged: Epochs at first of which none is the best one, and which patience does not count.
    """

    epochs: int
    batch_size: int
    optimizer: Literal["adam", "sgd", "adagrad"]
    learning_rate: float
    momentum: float
    weight_decay: float
    patience: int | None
    keep: tuple[int, ...] = ()
    minimised: str = "loss"
    decay: float = 0.0
    unjudged: int = 0


@dataclass
class Course:
    """Where a training is: everything that a save point must hold."""

    epoch: int = 0
    best_epoch: int = 0
    best_loss: float = math.inf
    best: State = field(default_factory=dict)
    kept: dict[int, State] = field(default_factory=dict)
    history: dict[str, list[float]] = field(default_factory=dict)

    def stale(self, schedule: Schedule) -> bool:
        """Tell whether it has been without progress for too long."""
        since = self.epoch - max(self.best_epoch, schedule.unjudged)
        return schedule.patience is not None and since >= schedule.patience


def fit(
    network: nn.Module,
    batch: Callable[[Tensor], tuple[Tensor, Tensor]],
    *,
    train: Tensor,
    schedule: Schedule,
    task: TrainingTask,
    loss: Loss,
    evaluate: Callable[[nn.Module], dict[str, float]],
    judged: Callable[[Mapping[str, float]], float] | None = None,
    begin: Callable[[int], None] | None = None,
    save_last: bool = False,
) -> Course:
    """Train `network` in place; return the course, with the state of the best epoch on validation rows.

    Args:
        network: On `task.device`.
        batch: Row indices → inputs and targets, on `task.device`.
        train: `(n,)` indices of the rows to learn from.
        evaluate: Called after every epoch; gives `validation_loss` (or what is `minimised`), and what else is to be a
            curve.
        judged: An epoch's numbers → what is lowest in the best epoch; default: `validation_loss`, as above.
        begin: Called before every epoch with how many are done.
        save_last: Save after the last epoch too, so that the training can be taken further.

    Raises:
        NumericalError: The loss is not finite.
        JobCanceled: Out of `task.report`.
    """
    optimizer = _optimizer(network, schedule)
    course = _resumed(network, optimizer, task) or Course(best=_copied(network))
    while _goes_on(course, schedule):
        if begin is not None:
            begin(course.epoch)
        numbers = _epoch(network, batch, train, optimizer, schedule, task, loss, course)
        course.epoch += 1
        network.eval()
        with torch.no_grad():
            numbers |= evaluate(network)
        _note(course, network, numbers, schedule, judged)
        task.report("train", course.epoch, schedule.epochs, numbers)
        if (save_last and not _goes_on(course, schedule)) or (
            task.checkpoints.due() and course.epoch < schedule.epochs
        ):
            task.checkpoints.save(_save_point(course, network, optimizer))
    return course


def _goes_on(course: Course, schedule: Schedule) -> bool:
    return course.epoch < schedule.epochs and not course.stale(schedule)


def curves(course: Course) -> tuple[Curve, ...]:
    """Return what was noted after every epoch as curves: `validation_loss` is the part `validation` of `loss`."""
    at = tuple(float(epoch) for epoch in range(1, course.epoch + 1))
    named = {name: name.partition("_")[::2] for name in course.history}
    return tuple(
        Curve(
            name=rest or part, part=part if rest else "", at=at,
            values=tuple(value if math.isfinite(value) else None for value in course.history[name]),
        )
        for name, (part, rest) in named.items()
    )  # fmt: skip


def _epoch(
    network: nn.Module, batch: Callable[[Tensor], tuple[Tensor, Tensor]], train: Tensor,
    optimizer: torch.optim.Optimizer, schedule: Schedule, task: TrainingTask, loss: Loss, course: Course,
) -> dict[str, float]:  # fmt: skip
    network.train()
    total = torch.zeros((), dtype=torch.float64)
    with _drawn_for(task.seed, course.epoch):
        order = train[torch.randperm(len(train))]
        for rows in _batches(order, schedule.batch_size):
            optimizer.zero_grad(set_to_none=True)
            value = loss(network, *batch(rows))
            value.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += value.detach().double().cpu() * len(rows)
            task.report("train", course.epoch, schedule.epochs, _latest(course))
    mean = float(total) / len(train)
    if not math.isfinite(mean):
        raise NumericalError(f"the loss is not finite in epoch {course.epoch + 1}; use a lower learning rate")
    return {f"train_{schedule.minimised}": mean}


def _batches(order: Tensor, size: int) -> Iterator[Tensor]:
    """Yield batches; a last one of a single row joins the one before, as batch norm needs two."""
    parts = list(torch.split(order, size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    yield from parts


@contextmanager
def _drawn_for(seed: int, epoch: int) -> Iterator[None]:
    """Seed the global generators, from which dropout draws, and put them back afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed((seed * _EPOCHS_APART + epoch) % 2**63)
        yield


def _note(
    course: Course, network: nn.Module, numbers: Mapping[str, float], schedule: Schedule,
    judge: Callable[[Mapping[str, float]], float] | None,
) -> None:  # fmt: skip
    for name, value in numbers.items():
        course.history.setdefault(name, []).append(float(value))
    judged = judge(numbers) if judge is not None else numbers[f"validation_{schedule.minimised}"]
    if course.epoch > schedule.unjudged and judged < course.best_loss:
        course.best_loss, course.best_epoch = judged, course.epoch
        course.best = _copied(network)
    if course.epoch in schedule.keep:
        course.kept[course.epoch] = _copied(network)


def _latest(course: Course) -> dict[str, float]:
    return {name: values[-1] for name, values in course.history.items()}


def _copied(network: nn.Module) -> State:
    return {key: tensor.detach().cpu().clone() for key, tensor in network.state_dict().items()}


def _optimizer(network: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    weights = list(network.parameters())
    if schedule.optimizer == "adam":
        return torch.optim.Adam(weights, lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    if schedule.optimizer == "adagrad":
        return torch.optim.Adagrad(
            weights, lr=schedule.learning_rate, lr_decay=schedule.decay, weight_decay=schedule.weight_decay
        )
    return torch.optim.SGD(
        weights, lr=schedule.learning_rate, momentum=schedule.momentum, weight_decay=schedule.weight_decay
    )


def _save_point(course: Course, network: nn.Module, optimizer: torch.optim.Optimizer) -> SavePoint:
    tensors = {f"network/{key}": tensor for key, tensor in _copied(network).items()}
    tensors |= {f"best/{key}": tensor for key, tensor in course.best.items()}
    for epoch, state in course.kept.items():
        tensors |= {f"kept/{epoch}/{key}": tensor for key, tensor in state.items()}
    for index, state in optimizer.state_dict()["state"].items():
        held = {key: value for key, value in state.items() if isinstance(value, Tensor)}
        tensors |= {f"optimizer/{index}/{key}": value.detach().cpu().clone() for key, value in held.items()}
    values: dict[str, Any] = {
        "best_epoch": course.best_epoch,
        "best_loss": course.best_loss if math.isfinite(course.best_loss) else None,
        "history": course.history,
    }
    return SavePoint(epoch=course.epoch, tensors=tensors, values=copy.deepcopy(values))


def _resumed(network: nn.Module, optimizer: torch.optim.Optimizer, task: TrainingTask) -> Course | None:
    """Put the latest save point, if there is one, into network and optimizer, and return its course."""
    point = task.checkpoints.latest()
    if point is None:
        return None
    values: Any = copy.deepcopy(point.values)
    network.load_state_dict(_below(point.tensors, "network/"))
    _restore(optimizer, _below(point.tensors, "optimizer/"))
    kept: dict[int, State] = {}
    for name, tensor in _below(point.tensors, "kept/").items():
        epoch, _, key = name.partition("/")
        kept.setdefault(int(epoch), {})[key] = tensor
    loss = values["best_loss"]
    return Course(
        epoch=point.epoch, best_epoch=values["best_epoch"], best_loss=math.inf if loss is None else loss,
        best=_below(point.tensors, "best/"), kept=kept, history=values["history"],
    )  # fmt: skip


def _below(tensors: Mapping[str, Tensor], prefix: str) -> State:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _restore(optimizer: torch.optim.Optimizer, tensors: State) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition("/")
        # The optimizer takes tensors over and changes them in place, but whoever saved them may need them again.
        state.setdefault(int(index), {})[key] = tensor.clone()
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
