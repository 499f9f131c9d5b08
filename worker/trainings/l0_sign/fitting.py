"""Train L0-SIGN on rows of features: batches, the risk of each, and the state that is best on validation rows.

Noise behind the gates is drawn from the global generator, which `_fitting` seeds anew in every epoch, so that a
training that was killed goes on with the same numbers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from jobs.errors import InvalidInput
from worker.methods.l0_sign.losses import Lambdas, Objective, risk
from worker.methods.l0_sign.model import Design, Evaluation, L0Sign
from worker.methods.l0_sign.pairs import Rows, as_sets
from worker.trainings._data import Sets
from worker.trainings._fitting import Course, Schedule, fit
from worker.trainings._registry import TrainingTask
from worker.trainings.l0_sign.measures import accuracy, auc

_ROWS_AT_ONCE = 8192


def rows_of(data: Sets, *, as_given: bool) -> Rows:
    """Return the rows of a dataset: sets of features, or, for the published code, lists with order and repeats.

    Raises:
        InvalidInput: A value is not finite.
    """
    rows = Rows(offsets=data.offsets, features=data.features, values=data.values)
    try:
        return rows if as_given else as_sets(rows)
    except ValueError as error:
        raise InvalidInput(str(error)) from error


def check_labels(data: Sets, design: Design) -> None:
    """Check that the labels can be learned.

    Raises:
        InvalidInput: There are not two classes, or the published network, which has two outputs, is to learn numbers.
    """
    labels = data.labels
    if labels.task == "regression":
        if design.published:
            raise InvalidInput("expected two classes, as the published network has an output for each; got numbers")
        return
    if labels.outputs != 2:
        raise InvalidInput(f"expected two classes, got {labels.outputs}")
    if len(present := torch.unique(labels.values)) != 2:
        raise InvalidInput(f"expected rows of two classes, got only {labels.classes[int(present[0])]!r}")


def class_weights(labels: Tensor) -> Tensor:
    """Return weights of the two classes, `(2,)`, that make both count the same, 1 on average over `labels`."""
    return len(labels) / (2 * torch.bincount(labels, minlength=2).clamp(min=1))


def train_network(
    task: TrainingTask, data: Sets, design: Design, lambdas: Lambdas, schedule: Schedule, *,
    train: Tensor, validation: Tensor, balanced: bool = False,
) -> tuple[L0Sign, Course]:  # fmt: skip
    """Train a network; it is given back in the state of the epoch with the lowest validation loss.

    Args:
        train: `(n,)` indices of rows.
        validation: `(m,)` indices of rows.
        balanced: Let both classes count the same.

    Raises:
        InvalidInput: Labels or values cannot be learned from.
        NumericalError: The loss is not finite.
        JobCanceled: Out of `task.report`.
    """
    check_labels(data, design)
    rows, labels = rows_of(data, as_given=design.published), data.labels.values
    objective: Objective = "squared" if data.labels.task == "regression" else "cross-entropy"
    by_class = class_weights(labels[train]) if balanced and objective == "cross-entropy" else None
    network = L0Sign(design, torch.Generator().manual_seed(task.seed))

    def loss(network: nn.Module, batch: Tensor, targets: Tensor) -> Tensor:
        found: Evaluation = network(rows.take(batch), torch.default_generator)
        weights = None if by_class is None else by_class[targets]
        return risk(found, targets, lambdas, objective=objective, weights=weights)

    course = fit(
        network, lambda batch: (batch, labels[batch]), train=train, schedule=schedule, task=task, loss=loss,
        evaluate=lambda _: measured(network, rows, labels, validation, objective, seed=task.seed),
    )  # fmt: skip
    network.load_state_dict(course.best)
    return network.eval(), course


@torch.no_grad()
def measured(
    network: L0Sign, rows: Rows, labels: Tensor, which: Tensor, objective: Objective, *, seed: int
) -> dict[str, float]:
    """Measure `network`, in eval mode, on the rows `which`: loss without penalties, edges kept, and of classes AUC.

    Args:
        seed: Of the noise, which only a published network has at evaluation.
    """
    generator, free = torch.Generator().manual_seed(seed), Lambdas(gates=0, messages=0)
    losses = kept = pairs = 0.0
    margins: list[Tensor] = []
    for part in torch.split(which, _ROWS_AT_ONCE):
        found = network.forward(rows.take(part), generator)
        losses += float(risk(found, labels[part], free, objective=objective)) * len(part)
        kept, pairs = kept + float((found.gates > 0).sum()), pairs + len(found.gates)
        margins.append(found.margins)
    numbers = {"validation_loss": losses / len(which), "validation_edges_kept": kept / pairs if pairs else math.nan}
    if objective == "squared":
        return numbers
    together = torch.cat(margins)
    return numbers | {
        "validation_auc": auc(together, labels[which]),
        "validation_accuracy": accuracy(together, labels[which]),
    }
