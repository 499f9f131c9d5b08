"""What is to be learned: a class, by cross-entropy, or a number, by the squared error of its standardised value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from jobs.errors import UnsupportedModel
from worker.trainings._data import Labels

_AT_ONCE = 256

Batch = Callable[[Tensor], tuple[Tensor, Tensor]]


class Goal(Protocol):
    """What the network shall give, and how near it is.

    Attributes:
        outputs: How many numbers it gives.
        reason: Why so many, for a message.
    """

    outputs: int
    reason: str
    classes: tuple[str, ...]

    def targets(self, rows: Tensor) -> Tensor:
        """Return what the network shall give for `rows`."""

    def loss(self, network: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of a batch."""

    def measured(self, network: nn.Module, batch: Batch, rows: Tensor) -> dict[str, float]:
        """Return loss and quality over `rows`."""

    def baseline(self, rows: Tensor) -> float:
        """Return the quality of a guess that looks at no input: the largest class, or the mean."""

    def in_units(self, network: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the state of a network whose outputs are in the target's own unit."""

    def take_scale_from(self, network: nn.Module) -> None:
        """Adapt to a network whose outputs are in the target's own unit already."""


def goal_of(labels: Labels, train: Tensor, *, balanced: bool) -> Goal:
    """Return the goal that the labels set."""
    return Classes(labels, train, balanced=balanced) if labels.classes else Number(labels, train)


class Classes:
    """One logit a class, and the cross-entropy of their softmax."""

    def __init__(self, labels: Labels, train: Tensor, *, balanced: bool) -> None:
        self.classes = labels.classes
        self.outputs = len(labels.classes)
        self.reason = "one for each class"
        self._labels = labels.values
        counts = torch.bincount(labels.values[train], minlength=self.outputs)
        self._frequent = int(counts.argmax())
        # Equal weight of classes in sum, and a mean weight of 1 over the rows.
        present = counts.clamp_min(1).float()
        self._weights = len(train) / (present * (counts > 0).sum()) if balanced else None

    def targets(self, rows: Tensor) -> Tensor:
        return self._labels[rows]

    def loss(self, network: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        return self.loss_of(network(inputs), targets)

    def loss_of(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of a batch's logits."""
        losses = nn.functional.cross_entropy(logits, targets, reduction="none")
        if self._weights is not None:
            losses = losses * self._weights.to(losses.device)[targets]
        return losses.mean()

    def measured(self, network: nn.Module, batch: Batch, rows: Tensor) -> dict[str, float]:
        loss, hits = 0.0, 0
        for part in torch.split(rows, _AT_ONCE):
            inputs, targets = batch(part)
            loss += float(self.loss(network, inputs, targets)) * len(part)
            hits += int((network(inputs).argmax(1) == targets).sum())
        return {"validation_loss": loss / len(rows), "validation_accuracy": hits / len(rows)}

    def baseline(self, rows: Tensor) -> float:
        return float((self._labels[rows] == self._frequent).double().mean())

    def in_units(self, network: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
        del network
        return state

    def take_scale_from(self, network: nn.Module) -> None:
        del network


class Number:
    """One output: the target, standardised by the training rows; the last layer is given its unit afterwards."""

    classes: tuple[str, ...] = ()
    outputs = 1
    reason = "the number to be predicted"

    def __init__(self, labels: Labels, train: Tensor) -> None:
        self._labels = labels.values.double()
        values = self._labels[train]
        self._mean = float(values.mean())
        self._std = float(values.std(correction=0)) or 1.0
        self._scaled = True

    def targets(self, rows: Tensor) -> Tensor:
        return ((self._labels[rows] - self._mean) / self._std).float()[:, None]

    def loss(self, network: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        found = network(inputs)
        if not self._scaled:
            found = (found - self._mean) / self._std
        return nn.functional.mse_loss(found, targets)

    def measured(self, network: nn.Module, batch: Batch, rows: Tensor) -> dict[str, float]:
        loss = 0.0
        for part in torch.split(rows, _AT_ONCE):
            loss += float(self.loss(network, *batch(part))) * len(part)
        mean = loss / len(rows)
        return {"validation_loss": mean, "validation_rmse": self._std * mean**0.5}

    def baseline(self, rows: Tensor) -> float:
        return float((self._labels[rows] - self._mean).square().mean().sqrt())

    def in_units(self, network: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """y = std · (w·h + b) + mean is the same layer with weights std · w and bias std · b + mean."""
        if not self._scaled:
            return state
        layer = _last_linear(network)
        weight, bias = state[f"{layer}.weight"], state[f"{layer}.bias"]
        return {**state, f"{layer}.weight": weight * self._std, f"{layer}.bias": bias * self._std + self._mean}

    def take_scale_from(self, network: nn.Module) -> None:
        del network
        self._scaled = False


def _last_linear(network: nn.Module) -> str:
    """Return the name of the network's last layer.

    Raises:
        UnsupportedModel: It is no linear layer with a bias, so that it cannot take the target's unit.
    """
    name: str
    name, layer = [(name, one) for name, one in network.named_modules() if not list(one.children())][-1]
    if not isinstance(layer, nn.Linear) or layer.bias is None:
        raise UnsupportedModel("expected a linear layer with bias at the end of a network that predicts a number")
    return name
