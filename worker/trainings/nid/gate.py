"""The fit gate: a ranking says nothing where the networks learned no more than a model without interactions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from worker.methods.nid.descent import Rows
from worker.trainings.nid.parts import Target
from worker.trainings.nid.search import Material

_ERRORS = 2.0
"""Standard errors by which a baseline must be beaten."""
_STEPS = 100
_SHRINK = 1e-4


@dataclass(frozen=True)
class Fit:
    """Mean losses on the test rows.

    Attributes:
        networks: Of the networks with the best L1 weight.
        constant: Of the training rows' mean, or class frequencies.
        linear: Of a linear model of the same inputs.
        beats_constant, beats_linear: Whether by more than chance among the test rows would give.
    """

    networks: float
    constant: float
    linear: float
    beats_constant: bool
    beats_linear: bool

    @property
    def trusted(self) -> bool:
        return self.beats_constant and self.beats_linear

    def score(self, loss: float) -> float:
        """Return the share of the constant's loss that is explained: R² for a number."""
        return 1 - loss / self.constant if self.constant > 0 else 0.0


def judged_fit(material: Material, answers: Tensor) -> Fit:
    """Compare networks with a constant and a linear model.

    Args:
        answers: `(networks, rows, outputs)` on the test rows.
    """
    target, y = material.target, material.test.y
    networks = torch.stack([row_losses(one, y, target) for one in answers]).mean(0)
    constant = row_losses(_constant(material.train, target).expand(len(y), -1), y, target)
    linear = row_losses(_linear(material), y, target)
    return Fit(
        networks=float(networks.mean()),
        constant=float(constant.mean()),
        linear=float(linear.mean()),
        beats_constant=_beats(networks, constant),
        beats_linear=_beats(networks, linear),
    )


def row_losses(answers: Tensor, y: Tensor, target: Target) -> Tensor:
    """Return squared error or cross-entropy of every row: `(rows, outputs)` to `(rows,)`, float64."""
    answers = answers.double()
    if target.labels.task == "regression":
        return (answers - y.double())[:, 0].square()
    if target.outputs == 1:
        return nn.functional.binary_cross_entropy_with_logits(answers, y.double(), reduction="none")[:, 0]
    return nn.functional.cross_entropy(answers, y, reduction="none")


def _beats(losses: Tensor, others: Tensor) -> bool:
    gain = others - losses
    error = gain.std(correction=1) / len(gain) ** 0.5
    return bool(gain.mean() > _ERRORS * error)


def _constant(train: Rows, target: Target) -> Tensor:
    """Return the best answer that looks at no input: `(1, outputs)`."""
    if target.labels.task == "regression":
        return train.y.double().mean(0, keepdim=True)
    if target.outputs == 1:
        return train.y.double().mean(0, keepdim=True).logit(eps=_SHRINK)
    counts = torch.bincount(train.y, minlength=target.outputs).double()
    return (counts / counts.sum()).clamp(min=_SHRINK).log()[None]


def _linear(material: Material) -> Tensor:
    """Fit a linear model to the training rows and return its answers on the test rows."""
    target = material.target
    x, test = (_with_one(rows.x) for rows in (material.train, material.test))
    if target.labels.task == "regression":
        ridge = x.T @ x + _SHRINK * len(x) * torch.eye(x.shape[1], dtype=torch.float64)
        weights: Tensor = torch.linalg.solve(ridge, x.T @ material.train.y.double())
        return test @ weights
    return test @ _logistic(x, material.train.y, target)


def _logistic(x: Tensor, y: Tensor, target: Target) -> Tensor:
    weights = torch.zeros(x.shape[1], target.outputs, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        loss = row_losses(x @ weights, y, target).mean() + _SHRINK * weights.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return weights.detach()


def _with_one(x: Tensor) -> Tensor:
    return torch.cat([x.double(), torch.ones(len(x), 1, dtype=torch.float64)], dim=1)
