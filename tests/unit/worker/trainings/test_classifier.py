"""The classifier: it learns, it stops, and after a kill it ends with the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jobs.errors import InvalidInput, NumericalError, UnsupportedModel
from jobs.schemas import Architecture, SequentialArchitecture, TorchvisionArchitecture
from worker.models import inspect_state, load
from worker.trainings._data import Feature, Images, Labels, Table
from worker.trainings._inputs import inputs_of
from worker.trainings._registry import NoCheckpoints, SavePoint, TrainingTask
from worker.trainings.classifier import train
from worker.trainings.classifier.params import ClassifierParams
from worker.trainings.classifier.splits import split_of

CPU = torch.device("cpu")


def layers(*given: dict[str, object]) -> Architecture:
    return SequentialArchitecture.model_validate({"family": "sequential", "layers": given})


def mlp(outputs: int, hidden: int = 16) -> Architecture:
    return layers({"type": "linear", "outputs": hidden}, {"type": "relu"}, {"type": "dropout"},
                  {"type": "linear", "outputs": outputs})  # fmt: skip


def table(rows: int = 200, *, regression: bool = False) -> Table:
    random = np.random.default_rng(0)
    a, b = random.normal(50, 10, rows), random.normal(0, 0.1, rows)
    c = random.integers(0, 3, rows)
    number = 1000 + 3 * (a - 50) + 100 * b + 10 * c
    a[3] = np.nan
    features = (
        Feature(name="a", values=torch.from_numpy(a)),
        Feature(name="b", values=torch.from_numpy(b)),
        Feature(name="c", values=torch.from_numpy(c).int(), categories=("x", "y", "z")),
    )
    if regression:
        return Table(features=features, labels=Labels(task="regression", values=torch.from_numpy(number)), rows=rows)
    classes = torch.from_numpy((number > 1010).astype(np.int64))
    return Table(features=features, labels=Labels(task="binary", values=classes, classes=("low", "high")), rows=rows)


def pictures(rows: int = 80, channels: int = 1) -> Images:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, rows)
    pixels = random.integers(0, 100, (rows, channels, 6, 6), dtype=np.uint8)
    pixels[labels == 1, :, :3] += 100
    classes = Labels(task="binary", values=torch.from_numpy(labels), classes=("dark", "bright"))
    return Images(pixels=torch.from_numpy(pixels), labels=classes)


class Kept:
    """Checkpoints in memory, saved after every epoch."""

    def __init__(self, point: SavePoint | None = None) -> None:
        self.points = [point] if point else []

    def latest(self) -> SavePoint | None:
        return self.points[-1] if self.points else None

    def due(self) -> bool:
        return True

    def save(self, point: SavePoint) -> None:
        self.points.append(point)


def task(data: object = None, outputs: int = 2, **changes: object) -> TrainingTask:
    given = {"data": data or table(), "architecture": mlp(outputs), "name": "mine", **changes}
    return TrainingTask(**given)  # type: ignore[arg-type]


def predictions(model, data, rows=50):
    weights, _ = inspect_state(model.manifest, dict(model.state), device=CPU)
    return load(model.manifest, weights, device=CPU)(inputs_of(data, model.manifest).batch(torch.arange(rows)))


def test_a_table_is_learned_and_the_model_loads_like_an_upload():
    data = table()
    trained = train(task(data), ClassifierParams(epochs=40, learning_rate=0.01))

    (model,) = trained.models
    assert trained.result.metrics["validation_accuracy"] > 0.85
    assert trained.result.metrics["validation_accuracy"] > trained.result.details["baseline_validation"]
    assert (model.manifest.name, model.manifest.classes) == ("mine", ("low", "high"))
    assert model.manifest.input.names == ("a", "b", "c=x", "c=y", "c=z")
    right = predictions(model, data).argmax(1) == data.labels.values[:50]
    assert right.double().mean() > 0.85


def test_a_number_is_learned_in_its_own_unit():
    data = table(regression=True)
    trained = train(task(data, outputs=1), ClassifierParams(epochs=60, learning_rate=0.01, patience=None))

    error = (predictions(trained.models[-1], data)[:, 0] - data.labels.values[:50]).square().mean().sqrt()
    assert trained.result.metrics["validation_rmse"] < 0.6 * trained.result.details["baseline_validation"]
    assert error < 0.6 * trained.result.details["baseline_validation"]


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_learned_and_grey_or_coloured_as_the_network_takes_them(channels):
    network = layers({"type": "conv2d", "inputs": channels, "outputs": 4, "kernel": 3}, {"type": "batch-norm"},
                     {"type": "relu"}, {"type": "flatten"}, {"type": "linear", "outputs": 2})  # fmt: skip
    for given in (1, 3):
        trained = train(
            task(pictures(channels=given), architecture=network), ClassifierParams(epochs=10, learning_rate=0.02)
        )

        assert trained.models[-1].manifest.input.shape == (channels, 6, 6)
        assert trained.result.metrics["validation_accuracy"] > 0.9


def test_a_torchvision_architecture_is_trained_on_grey_pictures():
    architecture = TorchvisionArchitecture(name="shufflenet_v2_x0_5")
    data = pictures(12)
    larger = Images(pixels=data.pixels.repeat(1, 1, 6, 6), labels=data.labels)
    trained = train(task(larger, architecture=architecture), ClassifierParams(epochs=1, batch_size=5))

    (model,) = trained.models
    assert (model.manifest.input.shape, model.manifest.classes) == ((3, 36, 36), ("dark", "bright"))
    assert predictions(model, larger, rows=2).shape == (2, 2)


def test_a_resumed_training_ends_with_the_numbers_of_an_undisturbed_one():
    """Dropout, the order of rows and the optimizer's state all have to come back."""
    params = ClassifierParams(epochs=8, patience=None, keep_checkpoints=(2, 7))

    for optimizer in ("adam", "sgd"):
        chosen = params.model_copy(update={"optimizer": optimizer})
        whole = Kept()
        undisturbed = train(task(checkpoints=whole), chosen)
        for point in (whole.points[0], whole.points[4]):
            resumed = train(task(checkpoints=Kept(point)), chosen)

            assert resumed.result == undisturbed.result
            for one, other in zip(resumed.models, undisturbed.models, strict=True):
                assert one.manifest == other.manifest
                assert all(torch.equal(one.state[key], other.state[key]) for key in other.state)


def test_one_seed_gives_one_result_and_another_another():
    params = ClassifierParams(epochs=2)
    first, again, other = (train(task(seed=seed), params).result.metrics for seed in (0, 0, 1))

    assert first == again
    assert first != other


def test_global_randomness_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(task(), ClassifierParams(epochs=1))

    assert torch.equal(torch.rand(3), expected)


def test_checkpoints_that_are_kept_become_models_and_the_best_is_last():
    trained = train(task(), ClassifierParams(epochs=3, keep_checkpoints=(1, 3)))

    assert [(model.epoch, model.manifest.name) for model in trained.models] == [
        (1, "mine epoch 1"), (3, "mine epoch 3"), (None, "mine"),
    ]  # fmt: skip
    assert not all(torch.equal(trained.models[0].state[key], trained.models[1].state[key])
                   for key in trained.models[0].state)  # fmt: skip


def test_training_stops_when_validation_gets_no_better():
    trained = train(task(), ClassifierParams(epochs=400, learning_rate=0.03, patience=3, keep_checkpoints=(400,)))

    assert trained.result.details["stopped_early"]
    assert trained.result.metrics["epochs"] == trained.result.metrics["best_epoch"] + 3
    assert any("before the checkpoints 400" in note for note in trained.result.notes)


def test_a_model_is_trained_further_and_itself_left_as_it_was():
    first = train(task(), ClassifierParams(epochs=5)).models[-1]
    weights, _ = inspect_state(first.manifest, dict(first.state), device=CPU)
    start = load(first.manifest, weights, device=CPU)
    before = {key: tensor.clone() for key, tensor in start.state_dict().items()}
    further = train(task(architecture=None, start=start, manifest=first.manifest), ClassifierParams(epochs=5))

    assert further.models[-1].manifest.features == first.manifest.features
    assert all(torch.equal(before[key], tensor) for key, tensor in start.state_dict().items())
    assert not torch.equal(before["0.weight"], further.models[-1].state["0.weight"])


def test_a_regressor_that_is_trained_further_keeps_its_unit():
    data = table(regression=True)
    first = train(task(data, outputs=1), ClassifierParams(epochs=60, learning_rate=0.01)).models[-1]
    weights, _ = inspect_state(first.manifest, dict(first.state), device=CPU)
    start = load(first.manifest, weights, device=CPU)
    params = ClassifierParams(epochs=2, learning_rate=1e-4)
    further = train(task(data, architecture=None, start=start, manifest=first.manifest), params)

    assert further.result.metrics["validation_rmse"] < further.result.details["baseline_validation"]


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 16}, {"optimizer": "sgd"}, {"learning_rate": 0.1}, {"weight_decay": 0.5}, {"validation": 0.5},
        {"balanced": True}, {"epochs": 2}, {"optimizer": "sgd", "momentum": 0.0},
    ],
)  # fmt: skip
def test_every_parameter_has_an_effect(change):
    base = {"optimizer": "sgd"} if "momentum" in change else {}
    plain = train(task(), ClassifierParams(epochs=3, **base)).result.metrics
    changed = train(task(), ClassifierParams(**{"epochs": 3, **change})).result.metrics

    assert plain != changed


@pytest.mark.parametrize(
    ("data", "network", "reason"),
    [
        (table(), mlp(3), r"expected 2 output\(s\), one for each class, got \[3\]"),
        (table(regression=True), layers({"type": "linear", "outputs": 1}, {"type": "relu"}), "linear layer with bias"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_before_an_epoch(data, network, reason):
    with pytest.raises(UnsupportedModel, match=reason):
        train(task(data, architecture=network), ClassifierParams())


def test_rows_that_cannot_be_split_are_refused():
    with pytest.raises(InvalidInput, match="cannot be split"):
        train(task(table(4)), ClassifierParams(validation=0.05))


def test_a_loss_that_is_not_finite_ends_the_training_with_the_reason():
    data = table(regression=True)
    with pytest.raises(NumericalError, match="lower learning rate"):
        train(task(data, outputs=1), ClassifierParams(epochs=50, optimizer="sgd", learning_rate=100))


def test_progress_comes_with_loss_and_accuracy_by_epoch():
    seen = []
    train(task(report=lambda *call: seen.append(call)), ClassifierParams(epochs=2, batch_size=100))

    assert seen[-1][:3] == ("train", 2, 2)
    assert set(seen[-1][3]) == {"train_loss", "validation_loss", "validation_accuracy"}


def test_rows_are_held_out_class_by_class():
    labels = Labels(task="multiclass", values=torch.tensor([0] * 50 + [1] * 10 + [2]), classes=("a", "b", "c"))
    data = Table(features=(), labels=labels, rows=61)
    split = split_of(data, share=0.2, seed=1)

    assert torch.bincount(labels.values[split.validation], minlength=3).tolist() == [10, 2, 0]
    assert sorted([*split.train.tolist(), *split.validation.tolist()]) == list(range(61))


def test_nothing_is_kept_without_a_service():
    assert NoCheckpoints().latest() is None
    assert not NoCheckpoints().due()
