"""A whole training job: search, further networks, rivals, the answer, the model; killed anywhere, the same."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from jobs.errors import NumericalError
from jobs.predictors import predictor_of
from jobs.rules import broken
from tests.unit.worker.trainings.l0_sign.planted import (
    FEATURES,
    FIRST_ID,
    LEVELS,
    Kept,
    Killed,
    number,
    planted,
    sets,
    table,
    text,
)
from worker.methods.l0_sign.explain import contributions
from worker.methods.l0_sign.losses import Lambdas
from worker.methods.l0_sign.model import L0Sign
from worker.methods.l0_sign.pairs import features_of, pair_keys
from worker.save_points import read_point, write_point
from worker.trainings._data import Data
from worker.trainings._registry import Trained, TrainingTask
from worker.trainings.l0_sign import L0SignParams, train
from worker.trainings.l0_sign.fitting import network_of, recipe_of
from worker.trainings.l0_sign.material import material_of
from worker.trainings.l0_sign.measures import auc
from worker.trainings.l0_sign.params import RULES
from worker.trainings.l0_sign.search import candidates_of, plan_of, planned_epochs

RECOVERY, EDGES = 0.95, 0.3
"""What the method is held to on planted logs: the AUC of useful pairs above others, and the share of edges kept."""
ROUNDING = 1e-5
"""Sums of ten float32 contributions of size 1."""
QUICK = {
    "batch_size": 60, "learning_rate": 0.03, "epochs": 4, "patience": None, "gate_delay": 0, "gate_warmup": 0
}  # fmt: skip
SPARSE = {**QUICK, "gate_delay": 5, "gate_warmup": 5, "epochs": 16, "lambda1": 0.02}
ROWS, TRAIN = 1000, 700
SEARCHED = {
    **QUICK, "lambda1": "search", "lambda1_grid": (1e-4, 1e-1), "lambda2": "search", "lambda2_grid": (1e-6, 1e-5),
    "rungs": 2, "halving": 2, "seeds": 2, "compare": ("sign", "fm"),
}  # fmt: skip


def job(data: Data | None = None, *, checkpoints: Kept | None = None, report=None, **params: object) -> Trained:
    task = TrainingTask(
        data=planted(300) if data is None else data, seed=3, name="log", checkpoints=checkpoints or Kept(),
        **({} if report is None else {"report": report}),
    )  # fmt: skip
    return train(task, L0SignParams(**params))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole() -> tuple[Trained, Kept]:
    checkpoints = Kept()
    return job(checkpoints=checkpoints, **SEARCHED), checkpoints


@pytest.fixture(scope="module")
def learned() -> Trained:
    return job(planted(ROWS), **SPARSE, seeds=2, compare=("sign",))


def without_times(trained: Trained) -> object:
    result = json.loads(trained.result.model_dump_json())
    for rival in result["details"]["compare"]:
        del rival["seconds"]
    return result


def test_a_job_killed_anywhere_ends_with_the_same_numbers(whole, tmp_path):
    """In each attempt it dies at a later save: in both rounds, the second network, either rival."""
    trained, checkpoints = whole
    point, attempts, path = None, 0, tmp_path / "point"
    while True:
        attempt = Kept(point, dies_at=7)
        try:
            again = job(checkpoints=attempt, **SEARCHED)
            break
        except Killed:
            # As it would come back from the store.
            path.write_bytes(write_point(attempt.points[-1]))
            point, attempts = read_point(path), attempts + 1

    assert attempts == (len(checkpoints.points) - 1) // 7
    assert without_times(again) == without_times(trained)
    for name, tensor in trained.models[0].state.items():
        assert torch.equal(tensor, again.models[0].state[name])


def test_candidates_train_on_from_round_to_round(whole):
    trained, checkpoints = whole
    rounds = trained.result.details["search"]

    assert [(one["epochs"], len(one["candidates"])) for one in rounds] == [(2, 4), (4, 2)]
    for one in rounds:
        scores = [candidate["score"] for candidate in one["candidates"]]
        assert scores == sorted(scores, reverse=True)
    assert {one["lambda1"] for one in rounds[0]["candidates"]} == {1e-4, 1e-1}
    best = rounds[-1]["candidates"][0]
    assert (trained.result.details["lambda1"], trained.result.details["lambda2"]) == (best["lambda1"], best["lambda2"])
    # Two more epochs for two of the four; a second network and two rivals.
    assert checkpoints.points[-1].epoch == 4 * 2 + 2 * 2 + 3 * 4 == planned_epochs(L0SignParams(**SEARCHED)) + 12


def test_progress_goes_through_every_stage_and_names_the_scores_so_far():
    seen: list[tuple[str, int, int, dict[str, float]]] = []

    job(planted(120), report=lambda stage, done, total, metrics=None: seen.append(
        (stage, done, total, dict(metrics or {}))), **SEARCHED)  # fmt: skip

    stages = list(dict.fromkeys(stage for stage, *_ in seen))
    assert stages == ["search, round 1", "search, round 2", "train, network 2 of 2", "compare, sign", "compare, fm"]
    done = [one[1] for one in seen]
    assert done == sorted(done)
    assert {one[2] for one in seen} == {24}
    assert done[-1] == 24
    second = next(metrics for stage, *_, metrics in seen if stage == "search, round 2")
    assert (second["round"], second["candidates"]) == (2, 2)
    assert 0 <= second["best_score"] <= 1


def test_a_grid_is_halved_by_plan():
    params = L0SignParams(
        lambda1="search", lambda2="search", lambda1_grid=(1, 2, 3, 3), lambda2_grid=(4, 5, 6), epochs=40, halving=3,
        rungs=3,
    )  # fmt: skip

    assert len(candidates_of(params)) == 9
    at_once = params.model_copy(update={"gate_delay": 0, "gate_warmup": 0})
    assert plan_of(at_once) == [(9, 5), (3, 14), (1, 40)]
    assert planned_epochs(at_once) == 9 * 5 + 3 * 9 + 26
    assert plan_of(params) == [(9, 13), (3, 14), (1, 40)]  # candidates differ in λ1, which takes 12 epochs to rise
    assert plan_of(L0SignParams(epochs=7)) == [(1, 7)]


def test_a_candidate_that_diverges_comes_last_and_none_is_an_error():
    wild = {**QUICK, "lambda2": "search", "lambda2_grid": (1e-6, 10.0), "rungs": 1, "learning_rate": 10.0}
    with pytest.raises(NumericalError, match="lower learning_rate"):
        job(sets_with_huge_values(), **{**wild, "epochs": 2})


def sets_with_huge_values() -> Data:
    data = planted(60)
    return sets(
        data.labels.values, offsets=data.offsets, features=data.features, values=torch.full((240,), 3e38)
    )  # fmt: skip


def test_the_planted_pair_comes_first_and_every_number_says_what_it_is(learned):
    result = learned.result

    assert result.metrics["test_auc"] > 0.95
    first = result.interactions[0]
    names = [int(result.players.names[one]) for one in first.members]
    assert first.kind == "pair"
    assert {(name - FIRST_ID) // 3 for name in names} == {0, 1}
    assert first.strength == pytest.approx(first.details["contribution"] * first.details["support"] / TRAIN)
    assert abs(result.interactions[0].strength) >= abs(result.interactions[-1].strength) > 0
    assert first.details["networks"] == 2
    assert 0 <= first.details["kept_in"] <= 2
    assert first.standard_error is not None
    assert result.unit == "mean contribution over all training rows, in logits"
    assert all(check.passed for check in result.checks)
    strengths = result.arrays["field_strengths"]
    assert np.unravel_index(strengths.argmax(), strengths.shape) == (0, 1)
    assert np.array_equal(strengths, strengths.T)
    assert result.arrays["field_support"][0, 1] == TRAIN
    assert {curve.name for curve in result.curves} == {"objective", "loss", "auc", "accuracy", "edges_kept"}


def test_planted_pairs_are_recovered_from_few_edges_without_loss_of_accuracy(learned):
    """Those of the first two fields; among all pairs of two fields."""
    state = learned.models[0].state
    low, high = features_of(state["table.keys"], features=FEATURES)
    apart = low // LEVELS != high // LEVELS
    useful = (low // LEVELS == 0) & (high // LEVELS == 1)
    strengths = state["table.gates"] * state["table.scores"].abs()

    assert auc(strengths[apart], useful[apart].long()) >= RECOVERY
    assert learned.result.metrics["test_edges_kept"] <= EDGES
    assert learned.result.metrics["test_accuracy"] >= learned.result.details["compare"][0]["accuracy"]


def test_tables_are_means_over_the_training_rows(learned):
    """Against sums pair by pair, over the model's own contributions."""
    state = learned.models[0].state
    params = L0SignParams(**SPARSE)
    material = material_of(planted(ROWS), params, seed=3)
    recipe = recipe_of(params, material, Lambdas(gates=0, messages=0), gates=True)
    own = L0Sign(recipe.design, torch.Generator()).state_dict()
    network = network_of(recipe, {name: state[name] for name in own})
    rows = material.log.rows.take(material.parts.train)
    found = contributions(network, rows)
    sums: dict[int, list[float]] = {}
    for key, value in zip(pair_keys(rows, found.pairs, features=FEATURES).tolist(), found.values.tolist(), strict=True):
        sums.setdefault(key, []).append(value)

    assert state["table.keys"].tolist() == sorted(sums)
    assert state["table.support"].tolist() == [len(sums[key]) for key in sorted(sums)]
    means = [float(np.mean(sums[key])) for key in sorted(sums)]
    assert state["table.contribution"].tolist() == pytest.approx(means, abs=ROUNDING)
    assert int(state["table.kept"].max()) <= 2
    assert bool((state["table.spread"] >= 0).all())


def test_the_model_predicts_what_the_examples_say(learned):
    model = learned.models[0]
    predictor = predictor_of(model.manifest, {name: tensor.numpy() for name, tensor in model.state.items()})

    for row in learned.result.documents["rows"]:
        margin = predictor.predict([[int(name) for name in row["features"]]]).margins[0, 0]
        assert margin == pytest.approx(row["margin"], abs=ROUNDING)
        assert row["bias"] + sum(edge["contribution"] for edge in row["edges"]) == pytest.approx(row["margin"])
        assert all(edge["names"] == [row["features"][edge["a"]], row["features"][edge["b"]]] for edge in row["edges"])


def test_the_busiest_feature_lists_its_strongest_partners_first(learned):
    feature = learned.result.documents["feature"]
    weights = [abs(one["contribution"]) * one["support"] for one in feature["partners"]]

    assert (int(feature["name"]) - FIRST_ID) // 3 in (0, 1)
    assert weights == sorted(weights, reverse=True)
    assert feature["name"] not in [one["name"] for one in feature["partners"]]


def mixed(rows: int = 300, *, numbers: bool) -> Data:
    """The target is a number, with a category's sign."""
    draw = torch.Generator().manual_seed(0)
    x, side = torch.randn(rows, generator=draw).double(), torch.randint(2, (rows,), generator=draw)
    target = x * (2 * side - 1)
    labels = 1000 + 70 * target if numbers else (target > 0).long()
    return table(labels, number("x", (10 * x + 50).tolist()), text("side", side.tolist(), ("left", "right")))


@pytest.mark.parametrize("numbers", [False, True])
def test_a_table_with_numbers_is_learned_and_its_model_takes_raw_rows(numbers):
    trained = job(mixed(numbers=numbers), **{**QUICK, "epochs": 12, "batch_size": 30, "gates": False})
    model, result = trained.models[0], trained.result
    predictor = predictor_of(model.manifest, {name: tensor.numpy() for name, tensor in model.state.items()})

    assert result.metrics["test_r2" if numbers else "test_auc"] > 0.5
    assert model.manifest.features.names == ("x", "side=left", "side=right")
    raised, lowered = predictor.predict([{"x": 60.0, "side": "right"}, {"x": 60.0, "side": "left"}]).margins[:, 0]
    if numbers:
        assert raised > 1030 > 970 > lowered  # the network's own unit would be about 1 and -1
        assert any("squared error" in note for note in result.notes)
        assert result.unit.endswith("in the target's unit")
    else:
        assert raised > 0 > lowered


@pytest.mark.parametrize("published", [False, True])
def test_closed_gates_and_open_ones_are_told(published):
    compat = "published" if published else "paper"
    closed = job(**{**QUICK, "epochs": 6, "learning_rate": 0.3}, lambda1=10.0, compat=compat, optimizer="adam")
    opened = job(**{**QUICK, "epochs": 1}, lambda1=0.0, compat=compat, initial_gate=10.0)

    assert any("Nearly all gates are closed" in note for note in closed.result.notes)
    assert any("Nearly all gates are open" in note for note in opened.result.notes)
    assert any("noisy at evaluation" in note for note in opened.result.notes) is published


def test_a_network_below_sign_with_all_edges_is_called_so():
    result = job(**{**QUICK, "epochs": 8}, lambda1=10.0, compare=("sign",)).result

    assert any("below SIGN with all edges" in note for note in result.notes)
    assert result.details["compare"][0]["auc"] > result.metrics["test_auc"]


def test_the_table_holds_the_pairs_in_most_rows():
    model = job(**{**QUICK, "epochs": 1}, table_pairs=5).models[0]
    whole = job(**{**QUICK, "epochs": 1}).models[0]

    assert len(model.state["table.keys"]) == 5
    assert int(model.state["table.support"].min()) >= int(whole.state["table.support"].sort().values[-5])


def test_as_many_pairs_are_answered_as_asked_for(whole):
    assert len(job(**{**QUICK, "epochs": 1}, most=3, lambda1=0.0).result.interactions) == 3


@pytest.mark.parametrize(
    ("params", "parameter"),
    [
        ({"compat": "published", "mean": "nodes"}, "mean"),
        ({"compat": "published", "task": "regression"}, "compat"),
        ({"chosen_by": "auc", "task": "regression"}, "chosen_by"),
        ({"gates": False, "lambda1": "search"}, "lambda1"),
        ({"validation": 0.45, "test": 0.45}, "test"),
        ({"epochs": 20, "gate_delay": 15, "gate_warmup": 5}, "gate_delay"),
        ({"epochs": 20, "gate_delay": 17}, "gate_delay"),
        ({"epochs": 20, "gate_delay": 16}, None),
        ({"epochs": 20, "gate_delay": 20, "gates": False}, None),
        ({"epochs": 1}, None),
        ({"compat": "published"}, None),
        ({"chosen_by": "auc"}, None),
    ],
)  # fmt: skip
def test_parameters_that_do_not_go_together_break_a_rule(params, parameter):
    names = {**L0SignParams().model_dump(), "task": "binary", **params}

    assert [fault.pointer for fault in broken(RULES, names)] == ([f"/params/{parameter}"] if parameter else [])


def test_lambda1_waits_and_rises_for_a_sixth_of_the_epochs_each_unless_told():
    assert (L0SignParams(epochs=60).delay, L0SignParams(epochs=60).warmup) == (10, 10)
    assert L0SignParams(epochs=12).rising == 4
    assert L0SignParams(epochs=12, gate_delay=0).rising == 2
    assert L0SignParams(epochs=12, gates=False).rising == 0


def test_rivals_are_named_once():
    assert L0SignParams.model_json_schema()["properties"]["compare"]["uniqueItems"]  # by which the gateway refuses
    with pytest.raises(ValueError, match="different networks"):
        L0SignParams(compare=("fm", "fm"))
