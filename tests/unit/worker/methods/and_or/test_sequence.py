"""Several inputs over the checkpoints of a training: a network learns a rule, then wrong labels by heart."""

import copy
import gc
import weakref
from dataclasses import replace

import pytest
import torch
from torch import nn

from jobs.errors import InvalidInput, InvalidParameters, NumericalError
from jobs.schemas import Target
from tests.networks import frozen, small_cnn, subject
from tests.reference import series as reference
from worker.methods._play import play
from worker.methods._registry import Checkpoint, Subject
from worker.methods.and_or import AndOrParams, explain
from worker.methods.and_or.findings import solve_tables

FEATURES = 7
ROWS, WRONG = 60, 15
EPOCHS = (0, 20, 600)
TOLERANCE = 1e-3  # of the solver; checkpoints differ by tenths
EXACT = 1e-9
SOLVED = 1e-6  # tables solved together and one by one stop after the same steps, but for rounding
QUICK = AndOrParams(tolerance=TOLERANCE, indices=())


@pytest.fixture(scope="module")
def training():
    """Networks before training, when the rule is learned, and when the wrong labels are; and rows they never saw."""
    torch.manual_seed(3)
    rows = torch.randn(ROWS, FEATURES)
    labels = (rows[:, 0] + rows[:, 1] > 0).long()
    labels[torch.randperm(ROWS)[:WRONG]] ^= 1
    net = nn.Sequential(
        nn.Linear(FEATURES, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2),
    )  # fmt: skip
    optimizer, networks = torch.optim.Adam(net.parameters(), lr=3e-3), []
    for epoch in range(EPOCHS[-1] + 1):
        if epoch in EPOCHS:
            networks.append(frozen(copy.deepcopy(net), torch.float64))
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(rows), labels).backward()
        optimizer.step()
    return networks, torch.randn(4, FEATURES, dtype=torch.float64)


def of(networks, rows, **changes):
    """A subject of all rows at all networks, the last network explained."""
    earlier = tuple(
        Checkpoint(id=f"model_{place}", name=f"epoch {epoch}", load=lambda network=network: network)
        for place, (network, epoch) in enumerate(zip(networks[:-1], EPOCHS, strict=False))
    )
    one = Subject(model=networks[-1], input=rows[0], model_id="model_last", model_name="overtrained", **changes)
    return replace(one, samples=tuple(replace(one, input=row) for row in rows[1:]), checkpoints=earlier)


@pytest.fixture(scope="module")
def story(training):
    reports = []
    given = of(*training, report=lambda *step: reports.append(step))
    params = QUICK.model_copy(update={"weight_noise": (0.1, 0.3), "fgsm": (0.05, 0.2)})
    return explain(given, params), reports


def mean_orders(explanation):
    return [one.orders.mean_order for one in explanation.sequence]


# ---------------------------------------------------------------- what a series says


def test_high_orders_go_while_a_rule_is_learned_and_come_back_with_overfitting(story):
    explanation, _ = story

    before, learned, overfitted = explanation.sequence
    assert before.orders.mean_order > learned.orders.mean_order + 1
    assert overfitted.orders.mean_order > learned.orders.mean_order + 0.5
    assert before.orders.salient_count > 2 * learned.orders.salient_count
    assert overfitted.orders.salient_count > 2 * learned.orders.salient_count
    assert (
        max(range(FEATURES), key=lambda m: before.orders.salient.positive[m] + before.orders.salient.negative[m]) >= 1
    )


def test_checkpoints_are_named_in_the_order_of_training(story):
    explanation, _ = story

    assert [(one.model, one.name) for one in explanation.sequence] == [
        ("model_0", "epoch 0"), ("model_1", "epoch 20"), ("model_last", "overtrained"),
    ]  # fmt: skip
    assert explanation.sequence[-1].orders == explanation.orders


def test_what_emerged_is_counted_from_the_checkpoint_of_the_smallest_mean_order(story):
    explanation, _ = story
    _, learned, overfitted = explanation.sequence

    assert learned.emerged is None
    assert explanation.details["series"]["reference"] == 1
    assert explanation.details["series"]["reference_chosen_by"] == "smallest mean order"
    for sign in ("positive", "negative"):
        now, then = (getattr(one.orders.salient, sign) for one in (overfitted, learned))
        assert getattr(overfitted.emerged, sign) == pytest.approx([a - b for a, b in zip(now, then, strict=True)])
        now, then = (getattr(one.orders.normalised, sign) for one in (overfitted, learned))
        assert getattr(overfitted.emerged_normalised, sign) == pytest.approx(
            [a - b for a, b in zip(now, then, strict=True)]
        )


def test_the_gauge_says_how_far_the_mean_order_rose_and_that_it_proves_nothing(story):
    explanation, _ = story

    gauge = next(check for check in explanation.checks if check.name == "overfitting-gauge")

    _, learned, overfitted = mean_orders(explanation)
    assert gauge.value == pytest.approx(overfitted - learned)
    assert gauge.passed is None
    assert "not a proof" in gauge.meaning


def test_profiles_are_averages_over_inputs_with_one_band_and_one_threshold(training):
    networks, rows = training
    given = of(networks[1:2], rows)

    explanation = explain(given, QUICK)

    tables = torch.stack([play(one, QUICK, most=20).table(one)[0] for one in (given, *given.samples)])
    band, salience = (reference.threshold(tables.tolist(), share) for share in (QUICK.noise, QUICK.salience))
    models = [solve_tables(table[None], QUICK, band=torch.tensor(band), report=given.report)[1] for table in tables]
    positive, negative = reference.profile([model.atoms[0].tolist() for model in models])
    assert explanation.details["noise_band"] == pytest.approx(band)
    assert explanation.orders.threshold == pytest.approx(salience)
    assert explanation.orders.all.positive == pytest.approx(positive, abs=SOLVED)
    assert explanation.orders.all.negative == pytest.approx(negative, abs=SOLVED)


def test_one_input_in_a_series_gets_its_own_answer(training):
    """Of equal inputs the average is that of one."""
    networks, rows = training
    alone = explain(Subject(model=networks[1], input=rows[0]), QUICK)

    together = explain(of(networks[1:2], rows[[0, 0, 0]]), QUICK)

    assert together.orders.all.positive == pytest.approx(alone.orders.all.positive, abs=EXACT)
    assert together.orders.mean_order == pytest.approx(alone.orders.mean_order)
    assert [(one.kind, one.members) for one in together.interactions] == [
        (one.kind, one.members) for one in alone.interactions
    ]
    assert together.kept["table"].tolist() == alone.kept["table"].tolist()


def test_an_answer_about_one_input_says_nothing_of_series(training):
    networks, rows = training

    alone = explain(Subject(model=networks[1], input=rows[0]), QUICK)

    assert (alone.sequence, alone.disturbed, alone.similarities) == ((), (), ())
    assert "series" not in alone.details
    assert alone.cost.backwards == 0


def test_every_input_is_explained_for_the_class_that_the_last_network_predicts(training):
    networks, rows = training
    predicted = [int(networks[-1](row[None]).argmax()) for row in rows]
    assert [int(networks[0](row[None]).argmax()) for row in rows] != predicted

    targets = explain(of(networks, rows), QUICK).details["series"]["targets"]
    given = explain(of(networks, rows, target=Target(index=1)), QUICK).details["series"]["targets"]

    assert [target["index"] for target in targets] == predicted
    assert [target["index"] for target in given] == [1] * len(rows)


def test_the_earlier_network_is_explained_for_the_class_of_the_last(training):
    networks, rows = training
    row = next(row[None] for row in rows if networks[0](row[None]).argmax() != networks[-1](row[None]).argmax())
    target = Target(index=int(networks[-1](row).argmax()))

    explanation = explain(of([networks[0], networks[-1]], row), QUICK)

    alone = explain(Subject(model=networks[0], input=row[0], target=target), QUICK)
    assert explanation.sequence[0].orders.all.positive == pytest.approx(alone.orders.all.positive, abs=EXACT)


# ---------------------------------------------------------------- disturbances and similarities


def test_what_emerges_grows_with_the_disturbance(story):
    explanation, _ = story

    sums = {(one.kind, one.size): sum(one.change.positive) + sum(one.change.negative) for one in explanation.disturbed}
    assert list(sums) == [("weight-noise", 0.1), ("weight-noise", 0.3), ("fgsm", 0.05), ("fgsm", 0.2)]
    assert sums["weight-noise", 0.3] > sums["weight-noise", 0.1] > 0
    assert sums["fgsm", 0.2] > sums["fgsm", 0.05] > 0


def test_a_change_is_normalised_by_the_undisturbed_network(story):
    explanation, _ = story

    for one in explanation.disturbed:
        assert one.change_normalised is not None
        scaled = [strength / explanation.orders.normaliser for strength in one.change.positive]
        assert one.change_normalised.positive == pytest.approx(scaled)
        assert one.orders != explanation.orders


def test_a_disturbance_leaves_the_undisturbed_answer_as_it_is(training, story):
    explanation, _ = story

    plain = explain(of(*training), QUICK)

    assert plain.orders == explanation.orders
    assert plain.interactions == explanation.interactions


def test_halves_of_the_inputs_are_compared_and_checkpoints_with_the_last(story):
    explanation, _ = story

    assert [(one.between, one.one, one.other) for one in explanation.similarities] == [
        ("samples", "inputs 1 to 2", "inputs 3 to 4"),
        ("checkpoints", "epoch 0", "overtrained"),
        ("checkpoints", "epoch 20", "overtrained"),
    ]
    for one in explanation.similarities:
        assert len(one.by_order) == FEATURES
        assert all(share is None or 0 <= share <= 1 for share in one.by_order)


def test_the_request_says_where_the_inputs_are_parted(training):
    explanation = explain(of(training[0][1:2], training[1]), QUICK.model_copy(update={"compare_first": 3}))

    (one,) = explanation.similarities
    assert (one.one, one.other) == ("inputs 1 to 3", "input 4")


def test_regions_of_different_pictures_are_not_compared():
    quarters = torch.zeros(16, 16, 3)
    for colour, (down, across) in enumerate(((0, 0), (0, 8), (8, 0))):
        quarters[down : down + 8, across : across + 8, colour] = 1
    one = subject(size=16, pixels=quarters)
    params = QUICK.model_copy(update={"players": "regions", "count": 3, "slic_segments": 4})

    explanation = explain(replace(one, samples=(replace(one, input=one.input.flip(-1)),)), params)

    assert explanation.similarities == ()
    assert explanation.details["series"]["inputs"] == 2


def test_regions_that_the_request_draws_are_the_same_in_every_picture_and_compared():
    one, corners = subject(), [[0, 0, 4, 4], [4, 0, 8, 4], [0, 4, 4, 8], [4, 4, 8, 8]]
    params = AndOrParams(tolerance=TOLERANCE, indices=(), prior="given", regions={"boxes": corners})

    explanation = explain(replace(one, samples=(replace(one, input=one.input.flip(-1)),)), params)

    assert [similarity.between for similarity in explanation.similarities] == ["samples"]


# ---------------------------------------------------------------- parameters


def test_the_request_names_the_reference(training):
    explanation = explain(of(*training), QUICK.model_copy(update={"reference": 0}))

    assert [one.emerged is None for one in explanation.sequence] == [True, False, False]
    assert explanation.details["series"]["reference_chosen_by"] == "request"


def test_the_decay_can_start_from_the_last_network(training):
    explanation = explain(of(*training), QUICK.model_copy(update={"decay_from": "later"}))

    modes = [one.orders.disentangled.mode for one in explanation.sequence]
    assert modes == ["later", "later", "self"], "the last has no later network"
    assert explanation.sequence[0].orders.disentangled.error > explanation.sequence[2].orders.disentangled.error


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"reference": 3}, "reference"),
        ({"compare_first": 4}, "compare_first"),
    ],
)
def test_what_there_is_not_is_refused_before_any_network_runs(training, changes, parameter):
    _, rows = training
    given = of([_never, _never, _never], rows)

    with pytest.raises(InvalidParameters) as refused:
        explain(given, QUICK.model_copy(update=changes))

    assert refused.value.errors[0].pointer == f"/params/{parameter}"


@pytest.mark.parametrize("changes", [{"reference": 0}, {"decay_from": "later"}, {"compare_first": 1}])
def test_an_option_of_series_is_refused_where_there_is_none(training, changes):
    with pytest.raises(InvalidParameters):
        explain(Subject(model=_never, input=training[1][0]), QUICK.model_copy(update=changes))


def _never(batch):
    raise AssertionError("this network must not run")


def test_inputs_of_different_numbers_of_players_are_refused():
    vocabulary = frozen(nn.Sequential(nn.EmbeddingBag(10, 3)), torch.float64)
    ids = torch.arange(1, 6)
    one = Subject(model=vocabulary, input=ids, words=(0, 1, 2, 3, 4), mask_id=0)

    def report(stage, done, total):
        raise AssertionError("no masked state is evaluated")

    given = replace(one, samples=(replace(one, words=(0, 1, 2, 3, None)),), report=report)
    with pytest.raises(InvalidInput, match=r"input 2: .* 5, got 4"):
        explain(given, QUICK)


def test_a_step_between_tokens_is_refused():
    one = Subject(model=_never, input=torch.arange(1, 4), words=(0, 1, 2), mask_id=0)

    with pytest.raises(InvalidParameters, match="tokens"):
        explain(one, QUICK.model_copy(update={"fgsm": (0.1,)}))


def test_more_inputs_than_the_memory_holds_tables_of_are_refused(training):
    given = of(*training)

    with pytest.raises(InvalidParameters, match="at most 2 inputs"):
        explain(replace(given, memory_bytes=2 * 48 * 2**FEATURES), QUICK)


def test_an_error_says_at_which_network_and_input_it_happened(training):
    networks, rows = training
    constant = frozen(nn.Sequential(nn.Linear(FEATURES, 2)), torch.float64)
    constant[0].weight.zero_()

    with pytest.raises(NumericalError, match="checkpoint model_0, input 1: the output is"):
        explain(of([constant, networks[-1]], rows), QUICK)


# ---------------------------------------------------------------- cost, progress, cancel, memory


def test_every_table_is_counted_in_cost_and_progress(story):
    explanation, reports = story

    tables = 4 * (3 + 2 + 2)
    assert {total for stage, _, total in reports if stage == "tables"} == {tables}
    done = [done for stage, done, _ in reports if stage == "tables"]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, tables)
    assert explanation.cost.forwards == tables * (2**FEATURES + 2) + 4
    assert explanation.cost.backwards == 4


def test_a_cancel_in_mid_sequence_stops_it(training):
    class Canceled(Exception):
        pass

    loaded = []

    def report(stage, done, total):
        if done == 8:
            raise Canceled

    given = of(*training, report=report)
    watched = tuple(replace(one, load=lambda one=one: loaded.append(one.id) or one.load()) for one in given.checkpoints)

    with pytest.raises(Canceled):
        explain(replace(given, checkpoints=watched), QUICK)

    assert loaded == ["model_0"]


def test_networks_are_let_go_of_one_by_one(training):
    networks, rows = training
    references, alive = [], []

    def load(network):
        gc.collect()
        alive.append(sum(reference() is not None for reference in references))
        loaded = copy.deepcopy(network)
        references.append(weakref.ref(loaded))
        return loaded

    given = of(networks, rows[:2])
    copies = tuple(replace(one, load=lambda: load(networks[0])) for one in (*given.checkpoints, *given.checkpoints))
    explain(replace(given, checkpoints=copies), QUICK)

    assert alive == [0, 0, 0, 0]


def test_the_same_cells_of_a_feature_map_play_at_every_checkpoint():
    earlier = small_cnn()
    for weight in earlier.parameters():
        weight.mul_(1.5)
    params = QUICK.model_copy(update={"layer": "2", "players": "cells", "count": 4, "cell_grid": 4, "cell_border": 0})
    one = subject(checkpoints=(Checkpoint(id="m", name="earlier", load=lambda: earlier),))

    explanation = explain(one, params)

    alone = explain(subject(model=earlier, target=Target(index=explanation.explained.index)), params)
    assert explanation.sequence[0].orders.all == alone.orders.all
    assert explanation.players == alone.players
