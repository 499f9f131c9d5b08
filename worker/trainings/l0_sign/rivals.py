"""Other networks on the same rows: SIGN with all edges, and six recommenders; same parts, steps and patience."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from worker.methods.l0_sign.losses import Lambdas
from worker.methods.l0_sign.pairs import Rows
from worker.methods.recommenders import recommender
from worker.trainings._fitting import Course, fit
from worker.trainings._registry import TrainingTask
from worker.trainings._stages import Stages
from worker.trainings.l0_sign.fitting import (
    Measured,
    measured,
    network_of,
    recipe_of,
    schedule_of,
    train_network,
)
from worker.trainings.l0_sign.material import Material, portions
from worker.trainings.l0_sign.params import L0SignParams


@dataclass(frozen=True, kw_only=True)
class Rival:
    """One network beside: what it reaches on the test rows."""

    name: str
    measured: Measured
    parameters: int
    course: Course
    seconds: float


def trained_rivals(stages: Stages, material: Material, params: L0SignParams, lambdas: Lambdas) -> list[Rival]:
    """Train what `params.compare` names.

    Args:
        lambdas: Of the L0-SIGN network; SIGN has the same λ2.

    Raises:
        NumericalError: A loss is not finite.
        JobCanceled: Out of the task's `report`.
    """
    return [_trained(name, stages, material, params, lambdas) for name in params.compare]


def _trained(name: str, stages: Stages, material: Material, params: L0SignParams, lambdas: Lambdas) -> Rival:
    stage = f"rival {name}"
    task = stages.stage(stage, f"compare, {name}", epochs=params.epochs)
    if name == "sign":
        course, network, found = _sign(task, material, params, lambdas)
    else:
        course, network, found = _recommender(name, task, material, params)
    stages.settle(stage)
    size = sum(parameter.numel() for parameter in network.parameters())
    return Rival(name=name, measured=found, parameters=size, course=course, seconds=stages.seconds(stage))


def _sign(
    task: TrainingTask, material: Material, params: L0SignParams, lambdas: Lambdas
) -> tuple[Course, nn.Module, Measured]:
    recipe = recipe_of(params, material, Lambdas(gates=0, messages=lambdas.messages), gates=False)
    course = train_network(task, material, recipe)
    network = network_of(recipe, course.best)
    found = measured(
        network, material, material.parts.test, seed=task.seed, lambdas=recipe.lambdas, batch=material.batch
    )
    return course, network, found


def _recommender(
    name: str, task: TrainingTask, material: Material, params: L0SignParams
) -> tuple[Course, nn.Module, Measured]:
    log = material.log
    rows, fields = (log.by_field, len(log.fields)) if log.by_field is not None else (log.rows, None)
    generator = torch.Generator().manual_seed(task.seed)
    network = recommender(
        name, features=log.features, fields=fields, embedding=params.embedding, generator=generator
    )  # fmt: skip

    def loss(network: nn.Module, batch: Tensor, wanted: Tensor) -> Tensor:
        by_row = None if material.by_class is None else material.by_class[wanted]
        return _loss(network(rows.take(batch)), wanted, material, by_row)

    def evaluate(network: nn.Module) -> dict[str, float]:
        found = _measured(network, rows, material, material.parts.validation, batch=material.batch)
        return {name: value for name, value in found.named("validation").items() if math.isfinite(value)}

    course = fit(
        network, lambda batch: (batch, material.targets[batch]), train=material.parts.train,
        schedule=replace(schedule_of(params, material), minimised="loss"), task=task, loss=loss, evaluate=evaluate,
        save_last=True,
    )  # fmt: skip
    network.load_state_dict(course.best)
    network.eval()
    return course, network, _measured(network, rows, material, material.parts.test, batch=material.batch)


@torch.no_grad()
def _measured(network: nn.Module, rows: Rows, material: Material, which: Tensor, *, batch: int) -> Measured:
    margins = torch.cat([network(rows.take(part)) for part in portions(rows, which, most=batch)])
    targets = material.targets[which]
    return Measured(
        margins=margins, targets=targets, loss=float(_loss(margins, targets, material, None)), objective=math.nan,
        edges_kept=math.nan, of_classes=material.of_classes,
    )  # fmt: skip


def _loss(margins: Tensor, targets: Tensor, material: Material, weights: Tensor | None) -> Tensor:
    if not material.of_classes:
        return mse_loss(margins, targets)
    return binary_cross_entropy_with_logits(margins, targets.to(margins.dtype), weight=weights)
