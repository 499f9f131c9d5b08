import math

import pytest
import torch

from jobs.errors import InvalidInput
from worker.methods.l0_sign.losses import Lambdas
from worker.methods.l0_sign.model import Design
from worker.trainings._data import Labels, Sets
from worker.trainings._fitting import Schedule
from worker.trainings._registry import SavePoint, TrainingTask
from worker.trainings.l0_sign.fitting import check_labels, class_weights, rows_of, train_network
from worker.trainings.l0_sign.measures import accuracy, auc

FIELDS, LEVELS, ROWS = 4, 3, 600
FEATURES = FIELDS * LEVELS


def planted() -> Sets:
    """One feature a field; the label is 1 just if the first two fields agree in parity: no feature tells alone."""
    levels = torch.randint(LEVELS, (ROWS, FIELDS), generator=torch.Generator().manual_seed(0))
    labels = ((levels[:, 0] + levels[:, 1]) % 2).long()
    features = (levels + LEVELS * torch.arange(FIELDS)).int().flatten()
    return sets(labels, features=features, offsets=torch.arange(ROWS + 1) * FIELDS)


def sets(labels: torch.Tensor, classes: tuple[str, ...] = ("no", "yes"), **changes: object) -> Sets:
    rows = len(labels)
    defaults = {"offsets": torch.arange(rows + 1), "features": torch.zeros(rows, dtype=torch.int32), "values": None}
    held = Labels(task="binary" if classes else "regression", values=labels, classes=classes)
    return Sets(**{**defaults, **changes}, vocabulary=torch.arange(FEATURES), labels=held)  # type: ignore[arg-type]


def schedule(epochs: int) -> Schedule:
    return Schedule(
        epochs=epochs, batch_size=60, optimizer="adam", learning_rate=0.03, momentum=0, weight_decay=0, patience=None
    )


def fitted(
    epochs: int = 12, *, gates: float = 0.002, task: TrainingTask | None = None, balanced: bool = False,
    **design: object,
):  # fmt: skip
    data = planted()
    made = Design(features=FEATURES, **design)  # type: ignore[arg-type]
    return train_network(
        task or TrainingTask(data=data, seed=1), data, made, Lambdas(gates=gates, messages=1e-5), schedule(epochs),
        train=torch.arange(400), validation=torch.arange(400, 600), balanced=balanced,
    )  # fmt: skip


class Kept:
    """Save points in memory, one an epoch."""

    def __init__(self, point: SavePoint | None = None) -> None:
        self.point = point

    def latest(self) -> SavePoint | None:
        return self.point

    def due(self) -> bool:
        return self.point is None

    def save(self, point: SavePoint) -> None:
        self.point = point


@pytest.mark.parametrize("gated", [False, True])
def test_a_planted_pair_is_learned(gated):
    _, course = fitted(gated=gated)

    assert max(course.history["validation_auc"]) > 0.95


def test_a_higher_penalty_keeps_fewer_edges():
    kept = [fitted(4, gates=weight)[1].history["validation_edges_kept"][-1] for weight in (0.0, 0.1)]

    assert kept[1] < kept[0]


def test_a_resumed_training_ends_with_the_same_numbers():
    checkpoints, data = Kept(), planted()
    whole, _ = fitted(3, task=TrainingTask(data=data, seed=1, checkpoints=checkpoints))

    resumed, course = fitted(3, task=TrainingTask(data=data, seed=1, checkpoints=Kept(checkpoints.point)))

    assert checkpoints.point.epoch == 1
    assert len(course.history["train_loss"]) == 3
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name])


def test_the_published_network_trains():
    _, course = fitted(2, compat="published", gates=1e-3)

    assert all(math.isfinite(value) for values in course.history.values() for value in values)


def test_numbers_are_learned_without_measures_of_classes():
    data = sets(torch.randn(20, dtype=torch.float64), classes=())

    _, course = train_network(
        TrainingTask(data=data), data, Design(features=FEATURES), Lambdas(gates=0, messages=0), schedule(1),
        train=torch.arange(10), validation=torch.arange(10, 20),
    )  # fmt: skip

    assert set(course.history) == {"train_loss", "validation_loss", "validation_edges_kept"}


def test_labels_that_cannot_be_learned_are_refused():
    paper, published = Design(features=FEATURES), Design(features=FEATURES, compat="published")

    with pytest.raises(InvalidInput, match="two classes, got 3"):
        check_labels(sets(torch.tensor([0, 1, 2]), ("a", "b", "c")), paper)
    with pytest.raises(InvalidInput, match="got only 'yes'"):
        check_labels(sets(torch.tensor([1, 1])), paper)
    with pytest.raises(InvalidInput, match="an output for each; got numbers"):
        check_labels(sets(torch.tensor([1.5, 1.0]), ()), published)
    check_labels(sets(torch.tensor([1.5, 1.0]), ()), paper)


def test_rows_are_sets_unless_taken_as_given():
    data = sets(torch.tensor([0]), offsets=torch.tensor([0, 3]), features=torch.tensor([5, 2, 5], dtype=torch.int32))

    assert rows_of(data, as_given=False).features.tolist() == [2, 5]
    assert rows_of(data, as_given=True).features.tolist() == [5, 2, 5]


def test_infinite_values_are_refused():
    with pytest.raises(InvalidInput, match="expected finite values, got inf"):
        rows_of(sets(torch.tensor([0]), values=torch.tensor([float("inf")])), as_given=False)


def test_balanced_classes_count_the_same():
    weights = class_weights(torch.tensor([0, 0, 0, 1]))

    assert weights.tolist() == pytest.approx([2 / 3, 2.0])
    plain, balanced = (fitted(1, balanced=balanced)[1].history["train_loss"] for balanced in (False, True))
    assert plain != balanced


def test_auc_counts_pairs_of_rows_in_order_and_ties_half():
    margins, labels = torch.tensor([0.1, 0.4, 0.4, -1.0]), torch.tensor([0, 1, 0, 0])

    assert auc(margins, labels) == pytest.approx((1 + 0.5 + 1) / 3)
    assert math.isnan(auc(margins, torch.ones(4)))
    assert accuracy(margins, labels) == 0.5
