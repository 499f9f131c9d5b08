"""The whole training: what comes out, that every parameter counts, and that a kill changes nothing."""

from __future__ import annotations

import math

import pytest
import torch

from jobs.catalog import training_spec
from jobs.errors import InvalidParameters, NumericalError
from jobs.quantities import training_quantities
from jobs.rules import broken, rules
from tests.unit.worker.trainings.test_classifier import Kept, layers, mlp, pictures, table, task
from worker import render
from worker.models import inspect_state, load
from worker.render.modulation import _words_of_strength
from worker.trainings.order_modulation import OrderModulationParams, train

CPU = torch.device("cpu")
SUPPRESS = {"kind": "suppress", "r1": 0.0, "r2": 0.5}
SMALL = {
    "epochs": 2, "batch_size": 20, "grid_rows": 2, "grid_columns": 2, "measured_inputs": 2, "measured_rows": 8,
    "attack_steps": 2, "epsilons": (0.1,), "patience": None,
}  # fmt: skip
FLAT = layers({"type": "flatten"}, {"type": "linear", "outputs": 4}, {"type": "tanh"}, {"type": "linear", "outputs": 2})


def modulated(data=None, preset="high-order", *, checkpoints=None, seed=0, architecture=FLAT, **changes):
    kept = {} if checkpoints is None else {"checkpoints": checkpoints}
    given = task(data or pictures(40), architecture=architecture, seed=seed, **kept)
    return train(given, OrderModulationParams.model_validate({**SMALL, "preset": preset, **changes}))


def fingerprint(trained) -> str:
    weights = [float(tensor.double().sum()) for model in trained.models for tensor in model.state.values()]
    return f"{trained.result.model_dump_json()} {weights}"


def test_pictures_are_learned_and_everything_is_measured_before_and_after():
    trained = modulated(pictures(120), epochs=15, learning_rate=0.02)
    result, (model,) = trained.result, trained.models
    found = result.modulation

    weights, _ = inspect_state(model.manifest, dict(model.state), device=CPU)
    assert load(model.manifest, weights, device=CPU)(torch.zeros(1, 1, 6, 6)).shape == (1, 2)
    assert result.metrics["accuracy"] == found.after.accuracy.value > 0.9
    assert found.before.accuracy.value < 0.9
    assert found.after.loss_gap == pytest.approx(found.after.loss - found.after.train_loss)
    assert {(curve.name, curve.part) for curve in result.curves} == {
        ("loss", "train"), ("loss", "validation"), ("accuracy", "train"), ("accuracy", "validation"),
        ("objective", "train"), ("objective", "validation"), ("modulation", "validation"),
    }  # fmt: skip
    assert found.after.contexts.orders == (0, 1, 2)
    assert sum(found.after.contexts.relative.values) == pytest.approx(3)
    assert [attack.epsilon for attack in found.after.attacks] == [0, 0.1]
    assert [point.share for point in found.after.masked] == [0, 0.25, 0.5, 0.75, 1]
    assert found.after.structure is not None
    assert result.details["interactions"] == "exact"
    pictured = render.training_pictures(result)
    assert list(pictured) == ["training.png", "bottleneck.png", "robustness.png"]
    page = render.training_report(result.model_dump(mode="json"), pictured).decode()
    for words in ("Before and after", "suppress 0 to 0.5, weight 1", "accuracy under attack, ε = 0.1"):
        assert words in page


def test_the_terms_move_what_they_are_to_move():
    """Suppressed, half of a picture tells little of the class; encouraged, the middle range tells it by itself."""
    normal, high, mid = (
        modulated(pictures(120), preset, epochs=15, learning_rate=0.02).result.modulation.after
        for preset in ("normal", "high-order", "mid-order")
    )

    assert normal.terms == ()
    (suppressed,), (encouraged,) = high.terms, mid.terms
    assert suppressed.value < -0.8 * math.log(2)  # 0 where a network is sure, -log 2 where it knows nothing
    assert encouraged.value < 0.6  # log 2 where it knows nothing
    assert (suppressed.smaller, suppressed.larger) == (0, 2)
    assert high.contexts.relative.values[0] < normal.contexts.relative.values[0]


def test_a_tables_columns_play_with_all_their_categories():
    trained = modulated(table(80), architecture=mlp(2), preset="custom", terms=[{**SUPPRESS, "r1": 0.4, "r2": 1}])
    result = trained.result

    assert (result.players.kind, result.players.names) == ("feature", ("a", "b", "c"))
    assert result.modulation.after.structure is None
    assert result.modulation.after.masked[-1].surrounding is None
    assert result.modulation.epsilon_unit.startswith("standard deviations")
    assert "structure" not in result.metrics
    assert set(render.training_pictures(result)) == {"training.png", "bottleneck.png", "robustness.png"}


def test_a_model_is_fine_tuned():
    first = modulated(preset="normal", epochs=5, learning_rate=0.02).models[-1]
    weights, _ = inspect_state(first.manifest, dict(first.state), device=CPU)
    start = load(first.manifest, weights, device=CPU)
    given = task(pictures(40), architecture=None, start=start, manifest=first.manifest)
    trained = train(given, OrderModulationParams.model_validate({**SMALL, "preset": "low-order"}))

    assert trained.result.modulation.start == "model"
    assert trained.result.modulation.before.accuracy.value > 0.7
    changed = trained.models[-1].state
    assert any(not torch.equal(changed[key], first.state[key]) for key in changed)
    assert all(not weight.requires_grad for weight in start.parameters())


def test_a_resumed_modulation_ends_with_the_numbers_of_an_undisturbed_one():
    whole = Kept()
    undisturbed = modulated(checkpoints=whole, epochs=5, keep_checkpoints=(2,))
    for point in (whole.points[0], whole.points[3]):
        resumed = modulated(checkpoints=Kept(point), epochs=5, keep_checkpoints=(2,))

        assert resumed.result == undisturbed.result
        assert fingerprint(resumed) == fingerprint(undisturbed)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 3}, {"batch_size": 7}, {"optimizer": "sgd"}, {"learning_rate": 0.01}, {"weight_decay": 0.5},
        {"validation": 0.4}, {"balanced": True}, {"keep_checkpoints": (1,)}, {"preset": "mid-order"},
        {"terms": [{**SUPPRESS, "weight": 3.0}]}, {"terms": [{**SUPPRESS, "kind": "encourage"}]},
        {"terms": [{**SUPPRESS, "r1": 0.25}]}, {"terms": [{**SUPPRESS, "r2": 0.75}]}, {"terms": [SUPPRESS, SUPPRESS]},
        {"draws": 2}, {"grid_rows": 3}, {"grid_columns": 3}, {"baseline": "black"}, {"baseline": "training-mean"},
        {"measured_inputs": 3}, {"measured_rows": 5}, {"epsilons": (0.2,)}, {"epsilons": None},
    ],
    ids=str,
)  # fmt: skip
def test_every_parameter_has_an_effect(plain, change):
    assert fingerprint(modulated(**change)) != plain


@pytest.fixture(scope="module")
def plain() -> str:
    return fingerprint(modulated())


def test_an_attacks_step_momentum_and_patience_have_an_effect():
    near = {"epsilons": (1.0,), "measured_rows": 20}
    short, long = (modulated(attack_step=step, **near).result.modulation.before.attacks for step in (1e-9, 1.0))
    assert short != long
    slow = {**near, "attack_step": 0.02}
    few, many = (modulated(attack_steps=steps, **slow).result.modulation.before.attacks for steps in (1, 40))
    assert few != many
    assert len({fingerprint(modulated(optimizer="sgd", momentum=momentum)) for momentum in (0.0, 0.9)}) == 2
    stuck = {"optimizer": "sgd", "learning_rate": 1e-12, "momentum": 0.0, "epochs": 6}
    assert modulated(patience=2, **stuck).result.metrics["epochs"] < 6


def test_the_best_or_the_last_epochs_network_is_the_result():
    steep = {"learning_rate": 1.0, "epochs": 4, "keep_checkpoints": (1, 2, 3, 4)}
    best, last = (modulated(returned=returned, **steep) for returned in ("best", "last"))
    at = int(best.result.metrics["best_epoch"])

    assert at < 4
    for trained, epoch in ((best, at), (last, 4)):
        assert all(torch.equal(trained.models[-1].state[key], trained.models[epoch - 1].state[key])
                   for key in trained.models[-1].state)  # fmt: skip


def test_a_small_budget_makes_a_sample():
    """Twelve players have 4096 coalitions."""
    size = {"grid_rows": 4, "grid_columns": 3, "epochs": 1}
    exact, sampled = (modulated(budget=budget, **size).result for budget in (4096, 1024))

    assert (exact.details["interactions"], sampled.details["interactions"]) == ("exact", "sampled")
    assert exact.checks[0].passed
    assert sampled.checks[0].passed is None
    assert any("sampled" in note for note in sampled.notes)
    assert sampled.modulation.after.contexts.orders[-1] == 10
    assert not any("hides" in words for words in _words_of_strength(exact.modulation))
    assert any("hides" in words for words in _words_of_strength(with_order_0_hidden(exact.modulation)))


def with_order_0_hidden(found):
    """As if noise explained all that was measured at order 0."""
    corrected = found.after.contexts.corrected
    zero = corrected.model_copy(update={"values": (0.0, *corrected.values[1:])})
    contexts = found.after.contexts.model_copy(update={"corrected": zero})
    return found.model_copy(update={"after": found.after.model_copy(update={"contexts": contexts})})


def test_one_seed_gives_one_result_and_another_another():
    assert fingerprint(modulated()) == fingerprint(modulated()) != fingerprint(modulated(seed=1))


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"preset": "custom", "terms": []}, "/params/terms"),
        ({"preset": "normal", "terms": [{**SUPPRESS, "weight": 1.0}]}, "/params/terms"),
        ({"terms": [{**SUPPRESS, "r1": 0.5}]}, "/params/terms/0/r1"),
        ({"terms": [SUPPRESS, {**SUPPRESS, "r1": 0.9}]}, "/params/terms/1/r1"),
        ({"terms": [{**SUPPRESS, "r2": 0.01}]}, "/params/terms/0/r2"),
        ({"terms": [SUPPRESS], "grid_rows": 9}, "/params/grid_rows"),
        ({"terms": [SUPPRESS], "grid_rows": 1, "grid_columns": 1}, "/params/grid_rows"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused_by_gateway_and_worker(given, pointer):
    names = {"preset": "custom", "grid_rows": 4, "grid_columns": 4, "baseline": "zeros", **given}
    sizes = training_quantities(names, kind="images", task="binary", shape=(1, 6, 6), columns=0)

    assert pointer in [fault.pointer for fault in broken(rules(training_spec("order-modulation").parameters), sizes)]
    with pytest.raises((ValueError, InvalidParameters)):
        modulated(**names)


def test_black_of_a_table_and_too_many_columns_are_refused():
    names = {"preset": "normal", "terms": [], "grid_rows": 4, "grid_columns": 4, "baseline": "black"}
    for changed, columns, expected in (({}, 5, "training-mean"), ({"baseline": "zeros"}, 300, "2 to 256 players")):
        sizes = training_quantities({**names, **changed}, kind="table", task="binary", shape=(), columns=columns)
        (fault,) = broken(rules(training_spec("order-modulation").parameters), sizes)
        assert expected in fault.detail


@pytest.mark.parametrize("r", [-0.1, 1.1, math.nan])
def test_shares_outside_of_0_to_1_are_refused(r):
    with pytest.raises(ValueError, match=r"less than or equal|greater than or equal"):
        OrderModulationParams.model_validate({"terms": [{**SUPPRESS, "r1": r}]})


def test_a_network_whose_outputs_are_not_finite_is_refused_before_an_epoch():
    first = modulated(preset="normal", epochs=1).models[-1]
    weights, _ = inspect_state(first.manifest, dict(first.state), device=CPU)
    start = load(first.manifest, weights, device=CPU)
    with torch.no_grad():
        next(start.parameters())[0, 0] = torch.nan
    given = task(pictures(40), architecture=None, start=start, manifest=first.manifest)

    with pytest.raises(NumericalError, match="before any training"):
        train(given, OrderModulationParams.model_validate({**SMALL, "preset": "normal"}))
