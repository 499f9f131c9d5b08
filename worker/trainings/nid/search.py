"""The ensemble: every trial with every L1 weight, trained at once, and what its first layers say of fields."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jobs.errors import NumericalError
from worker.methods.nid.course import Fitted
from worker.methods.nid.descent import Recipe, Rows
from worker.methods.nid.networks import deep_weights, mlp
from worker.methods.nid.strengths import influence
from worker.trainings._parts import Parts
from worker.trainings.nid.encoding import Fields
from worker.trainings.nid.params import NidParams
from worker.trainings.nid.parts import Target
from worker.trainings.nid.stages import Stages


@dataclass(frozen=True)
class Material:
    """What all networks learn from, are stopped by and are judged on."""

    fields: Fields
    target: Target
    train: Rows
    validation: Rows
    test: Rows


@dataclass(frozen=True)
class Network:
    """What one trained network tells.

    Attributes:
        first: `(units, fields)` float64, at least 0: how much a field's contribution to a unit varies over rows.
        influences: `(units,)` float64.
        loss: On the validation rows.
    """

    trial: int
    l1: int
    first: Tensor
    influences: Tensor
    loss: float


def material_of(fields: Fields, target: Target, parts: Parts) -> Material:
    """Encode every part."""
    cut = [Rows(fields.encode(rows), target.y[rows]) for rows in (parts.train, parts.validation, parts.test)]
    return Material(fields, target, *cut)


def trained_ensemble(material: Material, params: NidParams, stages: Stages) -> Fitted:
    """Train trials x L1 weights; network k is trial k // len(l1) with weight k % len(l1).

    Raises:
        NumericalError: No network has a finite loss.
        JobCanceled: Out of the task's `report`.
    """
    members = params.trials * len(params.l1)
    design = mlp(
        material.fields.inputs, material.target.outputs, members=members, mains=params.main_effects,
        hidden=params.hidden,
    )  # fmt: skip
    recipe = recipe_of(params, material.target, torch.tensor(params.l1).repeat(params.trials))
    fitted = stages.train("train", design, material.train, material.validation, recipe)
    if not fitted.loss.isfinite().any():
        raise NumericalError("the loss of every network is not finite; use a lower learning rate")
    return fitted


def recipe_of(params: NidParams, target: Target, l1: Tensor) -> Recipe:
    """Return how networks are trained, `l1` the weight of each."""
    return Recipe(
        task=target.labels.task, l1=l1, l2=params.l2, lasso=params.lasso, learning_rate=params.learning_rate,
        decay=params.decay, batch=params.batch_size, epochs=params.epochs, patience=params.patience,
    )  # fmt: skip


def read_networks(fitted: Fitted, material: Material, params: NidParams) -> list[Network]:
    """Read fields' weights and units' influences off every network with a finite loss."""
    first, *later = (weights.double() for weights in deep_weights(fitted.design, fitted.parameters))
    weights, influences = field_weights(first, material), influence(later)
    return [
        Network(
            trial=member // len(params.l1), l1=member % len(params.l1), first=weights[member],
            influences=influences[member], loss=float(fitted.loss[member]),
        )
        for member in fitted.loss.isfinite().nonzero()[:, 0].tolist()
    ]  # fmt: skip


def field_weights(first: Tensor, material: Material) -> Tensor:
    """Return the standard deviation, over training rows, of what each field adds to each unit.

    For one standardised number this is the size of its weight; a column of many inputs becomes one number that does
    not depend on how many there are.

    Args:
        first: `(members, units, inputs)`.

    Returns:
        `(members, units, fields)`.
    """
    x = material.train.x.double()
    x = x - x.mean(0)
    columns = []
    for place in material.fields.slices:
        block = first[..., place]
        covariance = x[:, place].T @ x[:, place] / len(x)
        columns.append(((block @ covariance) * block).sum(-1).clamp(min=0).sqrt())
    return torch.stack(columns, dim=-1)
