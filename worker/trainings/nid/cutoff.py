"""MLP-Cutoff: how many interactions an additive model needs to be as good as the networks that see everything.

The model with K interactions is the sum of a small network for every input and a network for each of the first K
interactions of the ranking; where one holds another, only the larger one is kept. All K train as one ensemble, each
from several random starts: how good a model gets can hang on the start more than on one interaction more or less.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from worker.methods.nid.course import Fitted
from worker.methods.nid.networks import Design, additive
from worker.methods.nid.training import predict
from worker.trainings.nid.gate import row_losses
from worker.trainings.nid.params import NidParams
from worker.trainings.nid.search import Material, recipe_of
from worker.trainings.nid.stages import Stages
from worker.trainings.nid.verdict import Members

HIDDEN = (60, 40, 20)
"""Of an interaction's network, which sees few inputs."""
STARTS = 3
"""Of each model; the best on the validation rows stays."""


@dataclass(frozen=True)
class Cutoff:
    """Additive models by how many interactions were added.

    Attributes:
        sets: The interactions of each model.
        validation, test: Mean loss of each.
        goal_validation, goal_test: Of the networks that see everything.
        chosen: Index of the first model that is as good as the whole networks on the validation rows, else of the best.
        reached: Whether it is as good.
        relative_improvement: Share of the way from no interaction to the whole networks that the chosen model goes on
            the test rows; None where interactions improve nothing.
    """

    fitted: Fitted
    sets: tuple[tuple[Members, ...], ...]
    validation: tuple[float, ...]
    test: tuple[float, ...]
    goal_validation: float
    goal_test: float
    chosen: int
    reached: bool
    relative_improvement: float | None


def additive_models(
    ranking: Sequence[Members], material: Material, params: NidParams, stages: Stages,
    *, goal: tuple[float, float],
) -> Cutoff:  # fmt: skip
    """Train a model for each number of interactions.

    Args:
        ranking: Interactions, strongest first.
        goal: Validation and test loss of the networks that see everything.
    """
    sets = added(ranking, most=params.cutoff)
    starts = [one for one in sets for _ in range(STARTS)]
    # No L1 norm: nothing is to be found any more, and strong ones kill the networks of weak interactions.
    recipe = recipe_of(params, material.target, torch.zeros(len(starts)))
    whole = stages.train(
        "cutoff", _design(starts, material), material.train, material.validation, recipe,
        first=params.trials * len(params.l1),
    )  # fmt: skip
    fitted = best_starts(whole)
    validation = tuple(fitted.loss.double().tolist())
    answers = predict(fitted.design, fitted.parameters, material.test.x)
    test = tuple(float(row_losses(one, material.test.y, material.target).mean()) for one in answers)
    chosen, reached = choice(validation, goal[0])
    error = math.sqrt if material.target.labels.task == "regression" else float  # of a number the RMSE, as the paper
    improvement = _share(error(test[0]), error(test[chosen]), error(goal[1]))
    return Cutoff(fitted, sets, validation, test, *goal, chosen, reached, improvement)


def added(ranking: Sequence[Members], *, most: int) -> tuple[tuple[Members, ...], ...]:
    """Return the interactions of the models with the first 0, 1, … of the ranking, subsets of others left out."""
    models: list[tuple[Members, ...]] = [()]
    for members in ranking:
        if len(models) > most:
            break
        before = models[-1]
        if any(set(members) <= set(other) for other in before):
            continue
        models.append((*(other for other in before if not set(other) <= set(members)), members))
    return tuple(models)


def best_starts(fitted: Fitted) -> Fitted:
    """Keep, of every `STARTS` networks, the one with the lowest loss."""
    losses = fitted.loss.view(-1, STARTS)
    kept = torch.zeros_like(losses, dtype=torch.bool).scatter_(1, losses.argmin(1, keepdim=True), True).flatten()
    return Fitted(
        fitted.design.of(kept), fitted.parameters.of(*fitted.design.rows(kept)), fitted.loss[kept],
        fitted.epochs[kept], [one for one, stays in zip(fitted.history, kept.tolist(), strict=True) if stays],
    )  # fmt: skip


def choice(losses: Sequence[float], goal: float) -> tuple[int, bool]:
    """Return the first model that is as good as the goal, else the best, and whether one is as good."""
    for index, loss in enumerate(losses):
        if loss <= goal:
            return index, True
    return min(range(len(losses)), key=lambda index: losses[index]), False


def _share(start: float, error: float, goal: float) -> float | None:
    return (start - error) / (start - goal) if start > goal else None


def _design(sets: Sequence[Sequence[Members]], material: Material) -> Design:
    fields = material.fields
    columns = [[fields.columns_of(members) for members in model] for model in sets]
    return additive(fields.inputs, material.target.outputs, columns, hidden=HIDDEN)
