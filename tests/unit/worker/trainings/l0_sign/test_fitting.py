import math
from dataclasses import replace

import pytest
import torch

from tests.unit.worker.trainings.l0_sign.planted import Kept, planted
from worker.methods.l0_sign.losses import Lambdas
from worker.trainings._registry import TrainingTask
from worker.trainings.l0_sign import L0SignParams
from worker.trainings.l0_sign.fitting import Recipe, network_of, recipe_of, train_network
from worker.trainings.l0_sign.material import Material, material_of
from worker.trainings.l0_sign.measures import accuracy, auc

QUICK = {
    "batch_size": 60, "learning_rate": 0.03, "patience": None, "validation": 0.3, "test": 0.05, "gate_delay": 0,
    "gate_warmup": 0,
}  # fmt: skip


def prepared(epochs: int, *, lambda1: float = 0.002, **changes: object) -> tuple[Material, Recipe]:
    params = L0SignParams(**{**QUICK, "epochs": epochs, **changes})  # type: ignore[arg-type]
    material = material_of(planted(), params, seed=0)
    return material, recipe_of(params, material, Lambdas(gates=lambda1, messages=1e-5), gates=params.gates)


def trained(epochs: int = 12, *, task: TrainingTask | None = None, **changes: object):
    material, recipe = prepared(epochs, **changes)
    return train_network(task or TrainingTask(data=planted(), seed=1), material, recipe)


@pytest.mark.parametrize("gates", [False, True])
def test_a_planted_pair_is_learned(gates):
    assert max(trained(9, gates=gates).history["validation_auc"]) > 0.95


def test_a_higher_penalty_keeps_fewer_edges():
    kept = [trained(4, lambda1=weight).history["validation_edges_kept"][-1] for weight in (0.0, 0.1)]

    assert kept[1] < kept[0]


def test_a_resumed_training_ends_with_the_same_numbers():
    checkpoints = Kept()
    whole = trained(3, gate_warmup=2, task=TrainingTask(data=planted(), seed=1, checkpoints=checkpoints))

    first = Kept(checkpoints.points[0])
    resumed = trained(3, gate_warmup=2, task=TrainingTask(data=planted(), seed=1, checkpoints=first))

    assert [point.epoch for point in checkpoints.points] == [1, 2, 3]
    assert [point.epoch for point in first.points] == [2, 3]
    assert resumed.history == whole.history
    for name, tensor in whole.best.items():
        assert torch.equal(tensor, resumed.best[name])


def test_the_published_network_trains_by_adagrad_whose_sums_are_saved():
    checkpoints = Kept()
    whole = trained(2, compat="published", task=TrainingTask(data=planted(), seed=1, checkpoints=checkpoints))

    resumed = trained(
        2, compat="published",
        task=TrainingTask(data=planted(), seed=1, checkpoints=Kept(checkpoints.points[0])),
    )  # fmt: skip

    assert all(math.isfinite(value) for values in whole.history.values() for value in values)
    assert "optimizer/0/sum" in checkpoints.points[0].tensors
    assert resumed.history == whole.history


@pytest.mark.parametrize(
    "changed",
    [
        {"learning_rate_decay": 0.1, "optimizer": "adagrad"}, {"optimizer": "adagrad"}, {"learning_rate": 0.01},
        {"gate_delay": 1}, {"gate_warmup": 3}, {"initial_gate": 1.0}, {"beta": 0.3}, {"balanced": True},
        {"initial_embedding": 0.5}, {"initial_spread": 0.1},
        {"embedding": 4}, {"edge_embedding": 4}, {"hidden": 8}, {"mean": "nodes"}, {"batch_size": 30},
        {"validation": 0.2}, {"test": 0.2}, {"gates": False}, {"compat": "published"},
    ],
    ids=str,
)  # fmt: skip
def test_every_switch_changes_what_is_learned(changed):
    assert trained(1, **changed).history["train_objective"] != trained(1).history["train_objective"]


def test_lambda1_waits_and_then_rises_to_its_value():
    _, recipe = prepared(1, lambda1=1.0, gate_delay=2, gate_warmup=3)

    assert [recipe.lambdas_in(epoch).gates for epoch in range(7)] == [0, 0, 0.25, 0.5, 0.75, 1, 1]
    assert prepared(1, lambda1=1.0)[1].lambdas_in(0).gates == 1


@pytest.mark.parametrize(("chosen_by", "sign"), [("objective", 1), ("loss", 1), ("auc", -1)])
def test_the_best_epoch_is_best_by_what_it_is_chosen_by(chosen_by, sign):
    course = trained(5, chosen_by=chosen_by)

    values = [sign * value for value in course.history[f"validation_{chosen_by}"]]
    assert course.best_epoch == values.index(min(values)) + 1


def test_no_epoch_is_the_best_before_lambda1_has_its_value():
    material, recipe = prepared(30, gate_delay=2, gate_warmup=3, learning_rate=1e-9)
    recipe = replace(recipe, schedule=replace(recipe.schedule, patience=2))

    course = train_network(TrainingTask(data=planted(), seed=1), material, recipe)

    assert course.best_epoch > 5
    assert course.epoch >= 7
    assert prepared(4, gate_delay=9)[1].schedule.unjudged == 3  # the last epoch is judged in any case
    assert prepared(4, gate_delay=9, gates=False)[1].schedule.unjudged == 0


def test_patience_stops_a_training_without_progress():
    material, recipe = prepared(30, learning_rate=1e-9)
    recipe = replace(recipe, schedule=replace(recipe.schedule, patience=2))

    assert train_network(TrainingTask(data=planted(), seed=1), material, recipe).epoch < 30


def test_the_best_state_is_a_network_that_measures_as_it_did():
    material, recipe = prepared(2)
    course = train_network(TrainingTask(data=planted(), seed=1), material, recipe)

    network = network_of(recipe, course.best)

    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_auc_counts_pairs_of_rows_in_order_and_ties_half():
    margins, labels = torch.tensor([0.1, 0.4, 0.4, -1.0]), torch.tensor([0, 1, 0, 0])

    assert auc(margins, labels) == pytest.approx((1 + 0.5 + 1) / 3)
    assert math.isnan(auc(margins, torch.ones(4)))
    assert accuracy(margins, labels) == 0.5
