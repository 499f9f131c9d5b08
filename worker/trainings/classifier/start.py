"""What a training starts from: the dataset as the network takes it, the network itself, and the steps to go."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from jobs.errors import InvalidInput, UnsupportedModel
from worker.models.architectures import fresh
from worker.trainings._fitting import Schedule
from worker.trainings._inputs import Inputs, inputs_of, new_inputs
from worker.trainings._registry import TrainingTask
from worker.trainings.classifier.goals import Goal
from worker.trainings.classifier.params import ClassifierParams


def schedule_of(params: ClassifierParams) -> Schedule:
    """Return how the parameters say to go downhill."""
    return Schedule(
        epochs=params.epochs, batch_size=params.batch_size, optimizer=params.optimizer,
        learning_rate=params.learning_rate, momentum=params.momentum, weight_decay=params.weight_decay,
        patience=params.patience, keep=params.keep_checkpoints,
    )  # fmt: skip


def inputs_for(task: TrainingTask, train: Tensor) -> Inputs:
    """Return the dataset as the network takes it.

    Raises:
        InvalidInput: Nothing to start from, or one that takes other rows.
    """
    if task.manifest is not None:
        named = task.manifest.model_copy(update={"name": task.name})
        return inputs_of(task.data, named)
    if task.architecture is None:
        raise InvalidInput("expected a model to go on from, or an architecture")
    return new_inputs(task.data, task.architecture, name=task.name, train=train)


def network_for(task: TrainingTask, inputs: Inputs, goal: Goal) -> nn.Module:
    """Return the network to train, on the device; random weights follow from the seed.

    Raises:
        UnsupportedModel: It does not give what the goal needs.
    """
    if task.start is not None:
        network = copy.deepcopy(task.start).requires_grad_(True)
    else:
        with torch.random.fork_rng():
            torch.manual_seed(task.seed)
            network = fresh(inputs.manifest, outputs=goal.outputs).to(task.device)
    _check_outputs(network, inputs, goal, task)
    if task.start is not None:
        goal.take_scale_from(network)
    goal.in_units(network, network.state_dict())  # where that is impossible, it is known before an epoch is spent
    return network


def _check_outputs(network: nn.Module, inputs: Inputs, goal: Goal, task: TrainingTask) -> None:
    """Run two rows, so that what does not fit is known before an epoch is spent."""
    with torch.no_grad():
        found = network.eval()(inputs.batch(torch.arange(2)).to(task.device))
    if found.shape != (2, goal.outputs):
        raise UnsupportedModel(
            f"expected {goal.outputs} output(s), {goal.reason}, got {list(found.shape[1:])} from the network"
        )
