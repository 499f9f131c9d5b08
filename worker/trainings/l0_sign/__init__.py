"""L0-SIGN learned from a log: a network that predicts from the beneficial pairs of a row's features alone.

Source: Su, Zhang, Erfani & Xu, "Detecting Beneficial Feature Interactions for Recommender Systems", AAAI 2021,
https://arxiv.org/abs/2008.00404
"""

from __future__ import annotations

from worker.methods.l0_sign.pairs import LONGEST
from worker.trainings._registry import Trained, TrainingTask, register_training
from worker.trainings._stages import Stages
from worker.trainings.l0_sign.answer import Trainings, answer
from worker.trainings.l0_sign.material import material_of
from worker.trainings.l0_sign.networks import confidence_of, epochs_of, first_network, further_networks
from worker.trainings.l0_sign.params import L0SignParams
from worker.trainings.l0_sign.rivals import trained_rivals
from worker.trainings.l0_sign.search import trained_best
from worker.trainings.l0_sign.served import new_model

__all__ = ["L0SignParams", "train"]


@register_training(
    "l0-sign",
    title="L0-SIGN",
    summary="Learns from sets of features or a table which pairs help a prediction, and predicts by these alone.",
    source="https://arxiv.org/abs/2008.00404",
    params=L0SignParams,
    datasets=("sets", "table"),
    tasks=("binary", "regression"),
    starts=("none",),
    least_rows=20,
    longest_row=LONGEST,
)
def train(task: TrainingTask, params: L0SignParams) -> Trained:
    """Choose the weights of the penalties, train, and measure."""
    material = material_of(task.data, params, seed=task.seed)
    stages = Stages(task, epochs=epochs_of(params))
    found = trained_best(stages, material, params)
    first = first_network(found, material, params, seed=task.seed)
    networks = [first, *further_networks(stages, first, material, params)]
    rivals = trained_rivals(stages, material, params, found.lambdas)
    sure = confidence_of(networks)
    result = answer(
        Trainings(
            params=params, material=material, found=found, networks=networks, confidence=sure, rivals=rivals
        )
    )  # fmt: skip
    return Trained(result=result, models=(new_model(first, sure, material, params, name=task.name),))
