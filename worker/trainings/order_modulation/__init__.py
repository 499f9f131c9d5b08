"""Train a network whose interactions are strong at some context orders and weak at others.

Beside the classification loss stand terms that make the network classify by the interactions of a range of orders
alone (L+), or make these say nothing of the class (L-). What that did is measured on held-out rows: interaction
strength by context order, accuracy, loss gap, robustness under attack, and the structural test.

Source: Deng et al., "The Interaction Bottleneck of Deep Neural Networks: Discovery, Proof, and Modulation", Sec. 6;
the losses first: https://arxiv.org/abs/2111.06236.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from jobs.errors import NumericalError
from worker.trainings._fitting import Loss, fit
from worker.trainings._registry import NewModel, Trained, TrainingTask, register_training
from worker.trainings.classifier.goals import Classes
from worker.trainings.classifier.splits import split_of
from worker.trainings.classifier.start import inputs_for, network_for, schedule_of
from worker.trainings.order_modulation.answer import answer
from worker.trainings.order_modulation.losses import logits_and_differences, sizes_of, term_losses, weighted
from worker.trainings.order_modulation.measuring import Measuring
from worker.trainings.order_modulation.params import OrderModulationParams
from worker.trainings.order_modulation.players import seated

__all__ = ["OrderModulationParams", "train"]


@register_training(
    "order-modulation",
    title="Order modulation",
    summary="Trains a classifier whose interactions are strong at chosen context orders, and measures what that does.",
    source="https://arxiv.org/abs/2111.06236",
    params=OrderModulationParams,
    datasets=("table", "images"),
    tasks=("binary", "multiclass"),
    starts=("model", "architecture"),
    least_rows=8,
    most_inputs=4096,
)
def train(task: TrainingTask, params: OrderModulationParams) -> Trained:
    """Train as `params` say, and measure the network before and after."""
    split = split_of(task.data, share=params.validation, seed=task.seed)
    inputs = inputs_for(task, split.train)
    seating = seated(inputs, params, split.train, task.device)
    goal = Classes(task.data.labels, split.train, balanced=params.balanced)

    def batch(rows: Tensor) -> tuple[Tensor, Tensor]:
        return inputs.batch(rows).to(task.device), goal.targets(rows).to(task.device)

    measuring = Measuring(task=task, params=params, inputs=inputs, goal=goal, seating=seating, split=split, batch=batch)
    network = network_for(task, inputs, goal)
    _check_finite(network, batch(split.validation[:2])[0])
    # What cannot be measured is known before an epoch is spent.
    before = measuring(_frozen(network), "before")
    course = fit(
        network, batch, train=split.train, schedule=replace(schedule_of(params), minimised="objective"), task=task,
        loss=_objective(measuring), evaluate=measuring.after_epoch,
    )  # fmt: skip
    # `fit` leaves the last epoch's weights in the network.
    chosen = course.best if params.returned == "best" else _state(network)
    network.load_state_dict(chosen)
    after = measuring(_frozen(network), "after")
    kept = [(f"{task.name[:180]} epoch {epoch}", state, epoch) for epoch, state in sorted(course.kept.items())]
    models = [
        NewModel(
            state=state, manifest=inputs.manifest.model_copy(update={"name": name, "classes": goal.classes}), epoch=at
        )
        for name, state, at in (*kept, (task.name, chosen, None))
    ]
    return Trained(result=answer(measuring, course, before, after), models=tuple(models))


def _objective(measuring: Measuring) -> Loss:
    """Return Eq. 15: the classification loss plus the weighted terms, each on coalitions drawn anew."""
    terms, goal, seating = measuring.params.terms, measuring.goal, measuring.seating
    sizes = [sizes_of(term, seating.players) for term in terms]

    def loss(network: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        logits, differences = logits_and_differences(network, inputs, seating, sizes, draws=measuring.params.draws)
        added = weighted(terms, term_losses(terms, differences, targets, goal.loss_of))
        return goal.loss_of(logits, targets) + added.to(logits.device)

    return loss


def _state(network: nn.Module) -> dict[str, Tensor]:
    return {key: tensor.detach().cpu().clone() for key, tensor in network.state_dict().items()}


def _frozen(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network).eval().requires_grad_(False)


@torch.no_grad()
def _check_finite(network: nn.Module, inputs: Tensor) -> None:
    if not network.eval()(inputs).isfinite().all():
        raise NumericalError("the network's outputs are not finite before any training")
