"""What networks are trained to make small, and how it changes with their answers."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

Task = Literal["regression", "binary", "multiclass"]


def losses(answers: Tensor, y: Tensor, task: Task) -> Tensor:
    """Return the mean loss of every network, `(members,)`.

    Args:
        answers: `(members, batch, outputs)`.
        y: `(members, batch, outputs)` numbers or 0 and 1; for `multiclass` `(members, batch)` classes.
    """
    if task == "multiclass":
        return cross_entropy(answers.transpose(1, 2), y, reduction="none").mean(1)
    if task == "binary":
        each = binary_cross_entropy_with_logits(answers, y, reduction="none")
    else:
        each = mse_loss(answers, y, reduction="none")
    return each.mean((1, 2))


def turn_into_slopes(answers: Tensor, y: Tensor, task: Task) -> Tensor:
    """Replace answers by the slopes of their networks' mean losses, in place.

    Args:
        answers: `(members, outputs, batch)`.
        y: As `losses` takes it.
    """
    outputs, batch = answers.shape[1:]
    if task == "multiclass":
        torch.softmax(answers, 1, out=answers)
        return answers.scatter_add_(1, y[:, None], answers.new_full((), -1.0).expand(len(y), 1, batch)).div_(batch)
    if task == "binary":
        return answers.sigmoid_().sub_(y.transpose(1, 2)).div_(batch * outputs)
    return answers.sub_(y.transpose(1, 2)).mul_(2 / (batch * outputs))
