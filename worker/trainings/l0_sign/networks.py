"""The networks of a job, trained: the one that becomes the model, and those from other random weights beside it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from worker.methods.l0_sign.model import L0Sign
from worker.trainings._fitting import Course, State
from worker.trainings._stages import Stages
from worker.trainings.l0_sign.fitting import Measured, Recipe, measured, network_of, recipe_of, train_network
from worker.trainings.l0_sign.material import Material
from worker.trainings.l0_sign.params import L0SignParams
from worker.trainings.l0_sign.search import Found, planned_epochs
from worker.trainings.l0_sign.tables import FieldStatistics, PairStatistics, pair_statistics

_SEEDS_APART = 1_000_003  # a prime: networks of jobs with neighbouring seeds do not meet


@dataclass(frozen=True, kw_only=True)
class Network:
    """One trained network.

    Attributes:
        state: Its weights; of numbers, so that margins are in the target's unit.
        test, validation, train: What it is worth, with standardised numbers.
        pairs, fields: What it says over the training rows.
    """

    recipe: Recipe
    course: Course
    state: State
    test: Measured
    validation: Measured
    train: Measured
    pairs: PairStatistics
    fields: FieldStatistics

    @property
    def module(self) -> L0Sign:
        return network_of(self.recipe, self.state)


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """How far networks from other random weights agree, pair by pair; in the order of the first one's pairs.

    Attributes:
        kept: `(pairs,)` int64: networks in which the pair's gate is not 0.
        spread: `(pairs,)` float64: standard deviation of the mean contribution over networks.
        mean: `(pairs,)` float64: mean over networks.
    """

    networks: int
    kept: Tensor
    spread: Tensor
    mean: Tensor


def epochs_of(params: L0SignParams) -> int:
    """Return the epochs of all stages of a job, at most."""
    return planned_epochs(params) + params.epochs * (params.seeds - 1 + len(params.compare))


def first_network(found: Found, material: Material, params: L0SignParams, *, seed: int) -> Network:
    """Measure the network that was chosen."""
    recipe = recipe_of(params, material, found.lambdas, gates=params.gates)
    return _judged(recipe, found.course, material, seed=seed)


def further_networks(stages: Stages, first: Network, material: Material, params: L0SignParams) -> list[Network]:
    """Train `seeds` - 1 more networks like the first one.

    Raises:
        NumericalError: A loss is not finite.
        JobCanceled: Out of the task's `report`.
    """
    made: list[Network] = []
    for number in range(2, params.seeds + 1):
        name, seed = f"network {number}", (stages.task.seed + number * _SEEDS_APART) % 2**63
        text = f"train, network {number} of {params.seeds}"
        course = train_network(stages.stage(name, text, epochs=params.epochs, seed=seed), material, first.recipe)
        stages.settle(name)
        made.append(_judged(first.recipe, course, material, seed=seed))
    return made


def confidence_of(networks: list[Network]) -> Confidence | None:
    """Compare networks pair by pair; None of a single one."""
    if len(networks) < 2:
        return None
    # The pairs are those of the training rows, the same in every network.
    contributions = torch.stack([one.pairs.contribution for one in networks])
    kept = torch.stack([one.pairs.gates > 0 for one in networks]).sum(0)
    return Confidence(
        networks=len(networks), kept=kept, spread=contributions.std(0, correction=1), mean=contributions.mean(0)
    )


def _judged(recipe: Recipe, course: Course, material: Material, *, seed: int) -> Network:
    network, batch, parts = network_of(recipe, course.best), recipe.schedule.batch_size, material.parts
    test, validation, train = (
        measured(network, material, which, seed=seed, lambdas=recipe.lambdas, batch=batch)
        for which in (parts.test, parts.validation, parts.train)
    )
    state = _in_units(course.best, material)
    pairs, fields = pair_statistics(network_of(recipe, state), material.log, parts.train, batch=batch)
    return Network(
        recipe=recipe, course=course, state=state, test=test, validation=validation, train=train, pairs=pairs,
        fields=fields,
    )  # fmt: skip


def _in_units(state: State, material: Material) -> State:
    """Fold the target's deviation and mean into the head, which is linear."""
    head, bias = state["head.weight"] * material.std, state["head.bias"] * material.std + material.mean
    return {**state, "head.weight": head, "head.bias": bias}
