"""Choose λ1 and λ2 by successive halving: all pairs of the grid train a little, the better ones several times longer.

A candidate that goes on is trained further, not anew, so the last round's best is the network that is wanted.

Source: Jamieson & Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS 2016,
https://arxiv.org/abs/1502.07943
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from pydantic import JsonValue

from jobs.errors import NumericalError
from worker.methods.l0_sign.losses import Lambdas
from worker.trainings._fitting import Course
from worker.trainings._registry import TrainingTask
from worker.trainings._stages import Stages
from worker.trainings.l0_sign.fitting import recipe_of, train_network
from worker.trainings.l0_sign.material import Material
from worker.trainings.l0_sign.params import L0SignParams


@dataclass(frozen=True)
class Score:
    """How a candidate did in a round.

    Attributes:
        value: Validation AUC in its best epoch; of numbers, the validation loss, negative; None if it diverged.
        edges_kept: In that epoch.
    """

    lambdas: Lambdas
    value: float | None
    edges_kept: float | None


@dataclass(frozen=True)
class Rung:
    """A round: how many epochs its candidates have at its end, and their scores, best first."""

    epochs: int
    scores: tuple[Score, ...]


@dataclass(frozen=True)
class Found:
    """The network that is wanted, and how it was chosen; no rungs where there was nothing to choose."""

    lambdas: Lambdas
    course: Course
    rungs: tuple[Rung, ...] = ()


def candidates_of(params: L0SignParams) -> list[Lambdas]:
    """Return the pairs of weights to choose from."""
    ones = params.lambda1_grid if params.lambda1 == "search" else (params.lambda1,)
    twos = params.lambda2_grid if params.lambda2 == "search" else (params.lambda2,)
    # Weights given twice are one candidate.
    return [Lambdas(gates=one, messages=two) for one, two in dict.fromkeys(product(ones, twos))]


def plan_of(params: L0SignParams) -> list[tuple[int, int]]:
    """Return how many candidates each round has, and how many epochs they have at its end."""
    count, factor = len(candidates_of(params)), params.halving
    if count == 1:
        return [(1, params.epochs)]
    least = min(params.rising + 1, params.epochs)
    return [
        (
            math.ceil(count / factor**rung),
            max(math.ceil(params.epochs / factor ** (params.rungs - 1 - rung)), least),
        )
        for rung in range(params.rungs)
    ]


def planned_epochs(params: L0SignParams) -> int:
    """Return the epochs of all rounds together."""
    plan = plan_of(params)
    before = [0, *(epochs for _, epochs in plan)]
    return sum(count * (epochs - done) for (count, epochs), done in zip(plan, before, strict=False))


def trained_best(stages: Stages, material: Material, params: L0SignParams) -> Found:
    """Train the candidates, round by round, and return the best of the last.

    Raises:
        NumericalError: No candidate has a finite loss.
        JobCanceled: Out of the task's `report`.
    """
    search = _Search(stages, material, params)
    rungs: list[Rung] = []
    going, before = candidates_of(params), 0
    for number, (count, epochs) in enumerate(plan_of(params), start=1):
        search.drop(going[count:])
        rungs.append(search.rung(number, going[:count], epochs, before, rungs[-1] if rungs else None))
        going, before = [score.lambdas for score in rungs[-1].scores], epochs
    best = rungs[-1].scores[0]
    if best.value is None:
        raise NumericalError("no network has a finite loss; use a lower learning_rate")
    search.drop(going[1:])
    course = search.settled(best.lambdas, before)
    return Found(best.lambdas, course, tuple(rungs) if len(candidates_of(params)) > 1 else ())


class _Search:
    """The candidates of a job, each a stage of its own."""

    def __init__(self, stages: Stages, material: Material, params: L0SignParams) -> None:
        self._stages = stages
        self._material = material
        self._params = params

    def rung(self, number: int, going: Sequence[Lambdas], epochs: int, before: int, last: Rung | None) -> Rung:
        """Train candidates from `before` epochs to `epochs`; a round that was done before a kill is remembered."""
        known, scores = self._stages.recall(f"round {number}") or {}, list[Score]()
        metrics = {"round": float(number), "candidates": float(len(going)), **_best(last)} if last or going[1:] else {}
        for lambdas in going:
            name = _name(lambdas)
            text = f"search, round {number}" if metrics else "train"
            task = self._stages.stage(name, text, epochs=epochs, after=before, beside=metrics)
            if name not in known:
                known[name] = self._scored(task, lambdas, epochs)
                self._stages.remember(f"round {number}", known)
            scores.append(Score(lambdas, **known[name]))
        return Rung(epochs, tuple(sorted(scores, key=lambda one: math.inf if one.value is None else -one.value)))

    def drop(self, losers: Sequence[Lambdas]) -> None:
        """Forget candidates that do not go on."""
        for lambdas in losers:
            self._stages.drop(_name(lambdas))

    def settled(self, best: Lambdas, epochs: int) -> Course:
        """Return the course of the candidate that was chosen, which has trained for `epochs`."""
        task = self._stages.stage(_name(best), "train", epochs=epochs, after=epochs)
        course = self._trained(task, best, epochs)
        self._stages.settle(_name(best))
        return course

    def _scored(self, task: TrainingTask, lambdas: Lambdas, epochs: int) -> dict[str, float | None]:
        """Return a candidate's score as JSON."""
        try:
            return _score(self._trained(task, lambdas, epochs), self._material)
        except NumericalError:
            return {"value": None, "edges_kept": None}

    def _trained(self, task: TrainingTask, lambdas: Lambdas, epochs: int) -> Course:
        recipe = recipe_of(self._params, self._material, lambdas, gates=self._params.gates)
        return train_network(task, self._material, replace(recipe, schedule=replace(recipe.schedule, epochs=epochs)))


def _best(last: Rung | None) -> dict[str, float]:
    """Return the best score of the round before, for progress."""
    value = last.scores[0].value if last else None
    return {} if value is None else {"best_score": value}


def _score(course: Course, material: Material) -> dict[str, float | None]:
    history, place = course.history, max(course.best_epoch, 1) - 1
    value = history["validation_auc"][place] if material.of_classes else -history["validation_loss"][place]
    return {"value": _finite(value), "edges_kept": _finite(history["validation_edges_kept"][place])}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _name(lambdas: Lambdas) -> str:
    return f"lambda1 {lambdas.gates:g}, lambda2 {lambdas.messages:g}"


def scores_of(rungs: Sequence[Rung]) -> list[JsonValue]:
    """Return the rounds as JSON."""
    return [{"epochs": rung.epochs, "candidates": [_as_json(one) for one in rung.scores]} for rung in rungs]


def _as_json(score: Score) -> dict[str, JsonValue]:
    return {
        "lambda1": score.lambdas.gates, "lambda2": score.lambdas.messages, "score": score.value,
        "edges_kept": score.edges_kept,
    }  # fmt: skip
