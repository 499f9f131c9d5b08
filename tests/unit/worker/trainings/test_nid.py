"""NID from a table: what it finds, how tables become inputs, and what every number of the answer means."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from jobs.errors import InputTooLarge, InvalidInput, InvalidParameters
from worker.methods.nid.networks import additive
from worker.methods.nid.training import evaluate, predict
from worker.methods.nid.training import train as train_ensemble
from worker.trainings._data import Feature, Labels, Table
from worker.trainings._registry import TrainingTask
from worker.trainings.nid import train
from worker.trainings.nid.anova import anova
from worker.trainings.nid.cutoff import STARTS, added, additive_models, best_starts, choice
from worker.trainings.nid.encoding import MISSING, OTHER, fitted_fields
from worker.trainings.nid.gate import judged_fit
from worker.trainings.nid.params import NidParams
from worker.trainings.nid.parts import parts_of, target_of
from worker.trainings.nid.sample import sample_of
from worker.trainings.nid.search import Material, Network, field_weights, material_of, recipe_of
from worker.trainings.nid.shapes import shapes_of
from worker.trainings.nid.stages import Stages
from worker.trainings.nid.verdict import auc, geometric, judged_pairs, judged_sets, stability

EXACT = 1e-12
"""float64 sums of a few numbers in another order."""
CLOSE = 1e-4
"""float32 networks evaluated in other batches, times the target's unit."""
QUICK = {
    "hidden": (16, 8),
    "trials": 2,
    "l1": (1e-4, 1e-3),
    "epochs": 6,
    "batch_size": 50,
    "cutoff": 1,
    "compare": ("anova",),
}


def number(name: str, values: np.ndarray) -> Feature:
    return Feature(name=name, values=torch.from_numpy(values.astype(np.float64)))


def text(name: str, codes: list[int] | np.ndarray, categories: tuple[str, ...]) -> Feature:
    return Feature(name=name, values=torch.as_tensor(np.asarray(codes)).int(), categories=categories)


def regression(*features: Feature, y: np.ndarray) -> Table:
    return Table(features=features, labels=Labels(task="regression", values=torch.from_numpy(y)), rows=len(y))


def product(rows: int = 600, *, seed: int = 0) -> Table:
    """y = 3 a b + c, d is noise: {a, b} is the only interaction."""
    x = np.random.default_rng(seed).uniform(-1, 1, (rows, 4))
    return regression(*(number(name, x[:, k]) for k, name in enumerate("abcd")), y=50 + 3 * x[:, 0] * x[:, 1] + x[:, 2])


def run(table: Table, seed: int = 0, **params: object):
    return train(TrainingTask(data=table, seed=seed), NidParams(**{**QUICK, **params})).result  # type: ignore[arg-type]


def told(table: Table, seed: int = 0, **params: object) -> dict[str, object]:
    """What a request answers, but for the seconds that it took."""
    answer = run(table, seed, **params).model_dump()
    for one in answer["details"]["comparison"]:
        del one["seconds"]
    return answer


@pytest.fixture(scope="module")
def found():
    everything = ("anova", "fast", "h-statistic")
    return run(product(), epochs=25, batch_size=40, known=(("b", "a"),), compare=everything)


def first(result, kind):
    return next(one for one in result.interactions if one.kind == kind)


def test_the_columns_that_are_multiplied_are_found_and_trusted(found):
    pair, members = first(found, "pair"), first(found, "set")

    assert found.players.names == ("a", "b", "c", "d")
    assert pair.members == members.members == (0, 1)
    assert pair.details["selected_in"] == pair.details["trials"] == 2
    assert found.details["trusted"]
    assert all(check.passed for check in found.checks)
    assert found.metrics["known_auc"] == found.metrics["known_auc_anova"] == 1.0
    assert [other["rank"] for other in pair.details["others"].values()] == [1, 1, 1]
    assert found.metrics["test_score"] > 0.9 > 0.5 > found.metrics["linear_score"]


def test_one_interaction_closes_the_gap_and_its_surface_is_a_saddle(found):
    cutoff, shapes = found.details["cutoff"], found.documents["shapes"]

    assert (cutoff["interactions"], cutoff["reached"], cutoff["added"][1]) == (1, True, [["a", "b"]])
    assert cutoff["relative_improvement"] > 0.9
    surface = np.array(shapes["pairs"][0]["values"][0])
    a, b = (np.array(main["at"]) for main in shapes["mains"][:2])
    assert np.corrcoef(surface.ravel(), np.outer(a, b).ravel())[0, 1] > 0.95
    (curve,) = shapes["mains"][2]["values"]
    assert np.corrcoef(curve, shapes["mains"][2]["at"])[0, 1] > 0.95


def test_spread_and_strength_of_a_pair_are_those_of_its_networks(found):
    strengths = found.arrays["pair_strengths_by_trial"]
    for one in (one for one in found.interactions if one.kind == "pair"):
        trials = strengths[:, one.members[0], one.members[1]]
        assert one.details["over_trials"] == [trials.min(), trials.max()]
        assert one.standard_error == pytest.approx(trials.std(ddof=1) / 2**0.5, abs=EXACT)
    assert [one.details["rank"] for one in found.interactions if one.kind == "pair"] == [1, 2, 3, 4, 5, 6]


def test_the_same_request_gives_the_same_answer_and_another_seed_another():
    table = product(120)

    assert told(table) == told(table)
    assert told(table, seed=1) != told(table)


@pytest.mark.parametrize(
    "change",
    [
        {"main_effects": False}, {"hidden": (8,)}, {"trials": 3}, {"l1": (1e-4,)}, {"lasso": "inputs"}, {"l2": 1e-3},
        {"average": "arithmetic"}, {"aggregate": "validation"}, {"most_rows": 60}, {"validation": 0.3}, {"test": 0.3},
        {"epochs": 3}, {"batch_size": 20}, {"learning_rate": 0.001}, {"decay": 0.5}, {"patience": 1, "epochs": 30},
        {"most_categories": 2}, {"largest": 2}, {"most": 1}, {"top": 1}, {"cutoff": 0}, {"cutoff_from": "pairs"},
        {"known": (("a", "b"),)}, {"compare": ()},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_every_parameter_changes_the_answer(change):
    x = np.random.default_rng(3).uniform(-1, 1, (150, 3))
    kinds = np.arange(150) % 4
    table = regression(
        *(number(name, x[:, k]) for k, name in enumerate("abc")), text("d", kinds, ("p", "q", "r", "s")),
        y=x[:, 0] * x[:, 1] * x[:, 2] + kinds,
    )  # fmt: skip

    # Of most_categories, sets and the others, whatever the rest is.
    base = {"epochs": 30, "patience": 2} if "patience" in change else {"cutoff": 3}

    assert told(table, **base) != told(table, **{**base, **change})


@pytest.mark.parametrize("classes", [2, 3])
def test_classes_are_learned_and_a_column_of_texts_is_one_player(classes):
    draw = np.random.default_rng(0)
    a, side = draw.normal(size=500), draw.integers(0, 2, 500)
    labels = np.where(a > 0, side, 1 - side) if classes == 2 else np.where(a > 0.7, 2, np.where(a > 0, side, 1 - side))
    table = Table(
        features=(number("a", a), number("noise", draw.normal(size=500)), text("side", side, ("left", "right"))),
        labels=Labels(task="binary" if classes == 2 else "multiclass", values=torch.from_numpy(labels),
                      classes=("p", "q", "r")[:classes]),
        rows=500,
    )  # fmt: skip
    result = run(table, epochs=20)

    assert first(result, "pair").members == (0, 2)
    assert result.details["trusted"]
    assert result.details["inputs"] == 4
    assert result.documents["shapes"]["outputs"] == (["q"] if classes == 2 else ["p", "q", "r"])


@pytest.mark.parametrize("signal", ["linear", "none"])
def test_a_ranking_without_a_fit_is_not_to_be_trusted(signal):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(300, 3))
    y = draw.normal(size=300) + (x[:, 0] if signal == "linear" else 0)
    result = run(regression(*(number(name, x[:, k]) for k, name in enumerate("abc")), y=y), epochs=15)

    assert not result.details["trusted"]
    assert any(note.startswith("Not to be trusted") for note in result.notes)
    failed = {check.name for check in result.checks if check.passed is False}
    assert ("better-than-linear" if signal == "linear" else "better-than-constant") in failed


def test_what_is_left_out_is_said():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(200, 2))
    holed = x[:, 0].copy()
    holed[::5] = np.nan
    rare = np.minimum(draw.geometric(0.4, 200) - 1, 5)
    table = regression(
        number("holed", holed), number("b", x[:, 1]), number("same", np.full(200, 0.1)),
        number("empty", np.full(200, np.nan)), text("kind", rare, tuple("uvwxyz")), y=x[:, 0] * x[:, 1],
    )  # fmt: skip
    result = run(table, most_categories=2, most_rows=150, known=(("b", "same"), ("b", "holed")))

    assert result.players.names == ("holed", "b", "kind")
    assert result.details["constant_columns"] == ["same", "empty"]
    assert result.details["joined_categories"] == ["kind"]
    assert result.details["known"] == [[0, 1]]
    notes = " ".join(result.notes)
    assert "same, empty" in notes
    assert "Rare categories are joined into one in: kind" in notes
    assert "150 of 200 rows were used" in notes
    json.dumps([result.model_dump(mode="json"), result.documents], allow_nan=False)


def test_numbers_are_standardised_and_missing_ones_have_an_input_of_their_own():
    values = np.array([1.0, 3.0, np.nan, 5.0])
    fields = fitted_fields(regression(number("a", values), number("b", np.arange(4.0)), y=values), torch.arange(4),
                           most_categories=5)  # fmt: skip
    x = fields.encode(torch.arange(4))

    deviation = math.sqrt(8 / 3)
    torch.testing.assert_close(x[:, 0], torch.tensor([-2 / deviation, 0, 0, 2 / deviation]))
    assert x[:, 1].tolist() == [0, 0, 1, 0]
    assert fields.columns_of([1]) == [2]


def test_rare_and_missing_texts_have_inputs_and_new_ones_none():
    table = regression(
        text("t", [0, 0, 1, 1, 2, 3, -1, 4], ("a", "b", "c", "d", "new")), number("n", np.arange(8.0)), y=np.arange(8.0)
    )
    (field, _) = fitted_fields(table, torch.arange(7), most_categories=2).fields

    assert field.levels == ("a", "b", OTHER, MISSING)
    assert field.encode(torch.arange(8)).argmax(1).tolist() == [0, 0, 1, 1, 2, 2, 3, 2]
    (seen, _) = fitted_fields(table, torch.arange(4), most_categories=5).fields
    assert seen.levels == ("a", "b")
    assert seen.encode(torch.tensor([4, 6])).sum() == 0


def test_a_text_that_is_named_like_the_joined_ones_stays_itself():
    table = regression(text("t", [0, 0, 1, 1], (OTHER, "b")), number("n", np.arange(4.0)), y=np.arange(4.0))
    (field, _) = fitted_fields(table, torch.arange(4), most_categories=5).fields

    assert field.encode(torch.arange(4)).argmax(1).tolist() == [0, 0, 1, 1]


def test_huge_numbers_are_standardised():
    table = regression(number("a", np.array([1e200, -1e200, 3e200])), number("b", np.arange(3.0)), y=np.arange(3.0))

    x = fitted_fields(table, torch.arange(3), most_categories=5).encode(torch.arange(3))

    assert x.isfinite().all()
    assert x[:, 0].std(correction=0) == pytest.approx(1.0, abs=CLOSE)


@pytest.mark.parametrize(
    ("features", "error", "words"),
    [
        ([number("a", np.arange(40.0)), number("b", np.zeros(40))], InvalidInput, "two columns or more"),
        ([text(f"t{k}", np.arange(40), tuple(map(str, range(40)))) for k in range(60)], InputTooLarge, "most_categ"),
    ],
)
def test_tables_that_cannot_be_learned_are_refused(features, error, words):
    with pytest.raises(error, match=words):
        run(regression(*features, y=np.arange(40.0)))


def test_a_target_that_varies_in_no_row_that_is_learned_from_is_refused():
    labels = Labels(task="regression", values=torch.tensor([0.0] * 9 + [1.0]))

    with pytest.raises(InvalidInput, match="same in all rows"):
        target_of(labels, torch.arange(9))


def test_too_few_rows_and_unknown_columns_are_refused():
    with pytest.raises(InvalidInput, match="at least 3 of each"):
        parts_of(Labels(task="regression", values=torch.arange(5.0)), NidParams(), seed=0)
    with pytest.raises(InvalidParameters, match="'z', which is no column"):
        run(product(40), known=(("a", "z"),))


def test_parts_are_drawn_class_by_class_and_share_no_row():
    values = torch.tensor([0] * 80 + [1] * 20)
    labels = Labels(task="binary", values=values, classes=("a", "b"))
    parts = parts_of(labels, NidParams(validation=0.2, test=0.1, most_rows=50), seed=1)

    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [35, 10, 5]
    assert [int(values[part].sum()) for part in (parts.train, parts.validation, parts.test)] == [7, 2, 1]
    assert len(torch.cat([parts.train, parts.validation, parts.test]).unique()) == 50


def material(table: Table, **params: object) -> Material:
    given = NidParams(**{**QUICK, **params})  # type: ignore[arg-type]
    parts = parts_of(table.labels, given, seed=0)
    fields = fitted_fields(table, parts.train, most_categories=given.most_categories)
    return material_of(fields, target_of(table.labels, parts.train), parts)


def test_the_weight_of_a_column_is_how_much_its_part_of_a_unit_varies():
    draw = np.random.default_rng(0)
    kinds = draw.integers(0, 3, 60)
    given = material(regression(text("t", kinds, ("a", "b", "c")), number("n", draw.normal(size=60)), y=kinds + 0.5))
    first = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    weights = field_weights(first, given)

    for member, unit in itertools.product(range(2), range(5)):
        for field, place in enumerate([slice(0, 3), slice(3, 4)]):
            parts = [float(first[member, unit, place] @ row[place].double()) for row in given.train.x]
            assert float(weights[member, unit, field]) == pytest.approx(float(np.std(parts)), abs=EXACT)


def networks(*firsts: list[list[float]]) -> list[Network]:
    return [
        Network(trial=k // 2, l1=k % 2, loss=float(k), influences=torch.ones(len(first), dtype=torch.float64),
                first=torch.tensor(first, dtype=torch.float64))
        for k, first in enumerate(firsts)
    ]  # fmt: skip


UNITS = ([[3, 2, 1], [0, 1, 1]], [[1, 1, 0], [2, 0, 1]], [[1, 4, 2], [1, 1, 1]], [[0, 2, 5], [1, 3, 0]])


def by_hand(first: list[list[float]]) -> dict[tuple[int, int], float]:
    """Every pair's sum of minima, over the largest."""
    sums = {pair: sum(min(row[pair[0]], row[pair[1]]) for row in first) for pair in itertools.combinations(range(3), 2)}
    return {pair: value / max(sums.values()) for pair, value in sums.items()}


def test_pairs_are_averaged_geometrically_over_trials_and_l1():
    judged = judged_pairs(networks(*UNITS), NidParams(aggregate="geometric", trials=2, l1=(0.1, 0.2)))

    for place, pair in enumerate(judged.members.tolist()):
        each = [by_hand(first)[tuple(pair)] for first in UNITS]
        assert judged.strength[place] == pytest.approx(_geometric(each), abs=EXACT)
        assert judged.trials[:, place].tolist() == pytest.approx(
            [_geometric(each[:2]), _geometric(each[2:])], abs=EXACT
        )
        assert judged.l1[:, place].tolist() == pytest.approx([_geometric(each[::2]), _geometric(each[1::2])], abs=EXACT)


def _geometric(values: list[float]) -> float:
    return max(0.0, math.prod(value + 1e-6 for value in values) ** (1 / len(values)) - 1e-6)


def test_each_trial_s_sparsest_network_of_the_good_ones_counts_three_times():
    first, second, third, fourth = networks(*UNITS)
    losses = (0.1, 0.1 + 0.0029, 0.1 + 0.0031, 0.1)  # the second is good and has the larger L1 weight; the fourth both
    given = [replace(one, loss=loss) for one, loss in zip((first, second, third, fourth), losses, strict=True)]

    judged = judged_pairs(given, NidParams(trials=2, l1=(0.1, 0.2)))

    for place, pair in enumerate(judged.members.tolist()):
        one, two, three, four = (by_hand(units)[tuple(pair)] for units in UNITS)
        assert judged.strength[place] == pytest.approx(_geometric([one, *[two] * 3, three, *[four] * 3]), abs=EXACT)
        assert judged.trials[0, place] == pytest.approx(_geometric([one, *[two] * 3]), abs=EXACT)
        assert judged.l1[:, place].tolist() == pytest.approx([_geometric([one, three]), _geometric([two, four])])
    swapped = judged_pairs(given, NidParams(trials=2, l1=(0.2, 0.1)))
    one, two = (by_hand(units)[0, 1] for units in UNITS[:2])
    assert swapped.trials[0, 0] == pytest.approx(_geometric([*[one] * 3, two]), abs=EXACT)


def test_next_to_a_small_loss_a_fifth_more_is_no_longer_as_good():
    given = [replace(one, loss=loss) for one, loss in zip(networks(*UNITS[:2]), (0.001, 0.00121), strict=True)]
    closer = [given[0], replace(given[1], loss=0.00119)]
    one, two = (by_hand(units)[0, 1] for units in UNITS[:2])
    params = NidParams(trials=1, l1=(0.1, 0.2))

    assert judged_pairs(given, params).strength[0] == pytest.approx(_geometric([*[one] * 3, two]), abs=EXACT)
    assert judged_pairs(closer, params).strength[0] == pytest.approx(_geometric([one, *[two] * 3]), abs=EXACT)


def test_the_alternative_takes_each_trials_best_network():
    judged = judged_pairs(networks(*UNITS), NidParams(aggregate="validation", trials=2, l1=(0.1, 0.2)))

    for place, pair in enumerate(judged.members.tolist()):
        each = [by_hand(UNITS[k])[tuple(pair)] for k in (0, 2)]  # losses rise from network to network
        assert judged.strength[place] == pytest.approx(_geometric(each), abs=EXACT)


def test_sets_are_averaged_over_the_networks_that_propose_them_and_the_others():
    sets = judged_sets(networks([[3, 2, 1]], [[3, 2, 0]]), NidParams(top=1, l1=(0.1, 0.2)))
    strengths = {one.members: one.strength for one in sets}

    assert strengths == {(0, 1): pytest.approx(1.0), (0, 1, 2): pytest.approx(0.25)}
    assert {one.members: one.selected for one in sets} == {(0, 1): 1, (0, 1, 2): 0}


def test_a_network_that_diverged_does_not_count():
    judged = judged_pairs(networks(*UNITS)[:3], NidParams())

    assert judged.trials.shape == (2, 3)
    np.testing.assert_allclose(judged.trials[1], geometric(judged.networks[2:]), atol=EXACT)


def test_agreement_of_trials_and_recovery_of_known_pairs_have_their_textbook_values():
    assert stability(np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])) == pytest.approx(1.0)
    assert stability(np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])) == pytest.approx(-1.0)
    assert stability(np.array([[1.0, 2.0, 3.0]])) is None
    assert stability(np.array([[1.0, 2.0], [0.0, 0.0]])) is None
    assert auc(np.array([3.0, 1.0, 2.0, 2.0]), np.array([True, False, True, False])) == pytest.approx(0.875)
    assert auc(np.array([1.0]), np.array([True])) is None


def test_interactions_are_added_one_by_one_and_larger_ones_take_in_smaller_ones():
    ranking = [(0, 1), (2, 3), (0, 1), (0, 1, 2), (1, 2), (3, 4)]

    assert added(ranking, most=4) == (
        (), ((0, 1),), ((0, 1), (2, 3)), ((2, 3), (0, 1, 2)), ((2, 3), (0, 1, 2), (3, 4)),
    )  # fmt: skip
    assert added(ranking, most=1) == ((), ((0, 1),))


def test_interactions_are_added_until_the_whole_networks_are_reached_and_nearly_is_not_enough():
    assert choice([1.0, 0.5, 0.21, 0.2, 0.1], 0.2) == (3, True)
    assert choice([1.0, 0.5, 0.2, 0.3], 0.19) == (2, False)
    assert choice([0.1, 0.2], 0.1) == (0, True)


@pytest.mark.parametrize("unit", [1e-300, 1e300], ids=["tiny", "huge"])
def test_numbers_of_any_size_are_standardised(unit: float):
    """Their squares would vanish, or be infinite."""
    values = torch.tensor([1.0, 2, 3, 6]).double() * unit
    labels, rows = Labels(task="regression", values=values), torch.arange(4)

    target = target_of(labels, rows)

    assert (target.mean, target.unit) == pytest.approx((3 * unit, 3.5**0.5 * unit))
    assert target.y[:, 0].tolist() == pytest.approx([-2 / 3.5**0.5, -1 / 3.5**0.5, 0, 3 / 3.5**0.5], abs=CLOSE)


def test_of_several_starts_the_best_network_stays():
    given = material(product(60))
    recipe = recipe_of(NidParams(**QUICK), given.target, torch.zeros(2 * STARTS))
    design = additive(given.fields.inputs, 1, [[], [], [], [[0, 1]], [[0, 1]], [[0, 1]]], hidden=(4,))
    fitted = train_ensemble(design, given.train, given.validation, recipe, seeds=range(2 * STARTS))

    best = best_starts(fitted)

    assert best.loss.tolist() == fitted.loss.view(2, STARTS).amin(1).tolist()
    assert best.history == [fitted.history[one] for one in (fitted.loss[:3].argmin(), 3 + fitted.loss[3:].argmin())]
    found = evaluate(best.design, best.parameters, given.validation, "regression")
    torch.testing.assert_close(found, best.loss)


def test_the_way_to_the_whole_networks_is_measured_by_the_rmse_of_a_number(found):
    cutoff = found.details["cutoff"]
    start, chosen = (cutoff["test_loss"][at] ** 0.5 for at in (0, cutoff["interactions"]))

    share = (start - chosen) / (start - cutoff["whole_test_loss"] ** 0.5)

    assert cutoff["relative_improvement"] == pytest.approx(share)


def test_shapes_add_up_to_the_additive_model():
    given = material(product(150))
    params = NidParams(**QUICK)
    cutoff = additive_models([(0, 1)], given, params, Stages(TrainingTask(data=product(150))), goal=(0.0, 0.0))
    cutoff = type(cutoff)(**{**vars(cutoff), "chosen": 1})
    shapes = shapes_of(cutoff, given)

    def shown(points: tuple[int, ...]) -> float:
        mains = sum(float(main[point, 0]) for main, point in zip(shapes.mains, points, strict=True))
        return mains + float(shapes.pairs[0, 1][points[0], points[1], 0])

    def predicted(points: tuple[int, ...]) -> float:
        row = torch.cat([grid.inputs[point] for grid, point in zip(shapes.grids, points, strict=True)])
        answers = predict(cutoff.fitted.design, cutoff.fitted.parameters, row[None])
        return float(answers[1, 0, 0]) * given.target.unit

    places = [(0, 0, 0, 0), (3, 20, 5, 30), (31, 1, 16, 8)]
    constants = [predicted(points) - shown(points) for points in places]
    assert constants == pytest.approx([constants[0]] * 3, abs=CLOSE)
    surface = shapes.pairs[0, 1][..., 0]
    assert float((shapes.grids[0].weights.double() @ surface).abs().max()) < EXACT
    assert float((surface @ shapes.grids[1].weights.double()).abs().max()) < EXACT


def test_the_linear_baseline_is_least_squares():
    given = material(product(150))
    fit = judged_fit(given, given.test.y[None].double())

    design, test = (
        np.c_[np.ones(len(rows.x)), rows.x.double().numpy()] for rows in (given.train, given.test)
    )  # fmt: skip
    weights = np.linalg.lstsq(design, given.train.y.double().numpy(), rcond=None)[0]
    expected = float(((test @ weights - given.test.y.double().numpy()) ** 2).mean())
    assert fit.linear == pytest.approx(expected, rel=1e-2)  # it is shrunk a little
    assert (fit.networks, fit.trusted) == (0.0, True)


def test_the_analysis_of_variance_is_that_of_two_nested_models():
    draw = np.random.default_rng(0)
    x, kinds = draw.normal(size=(200, 2)), draw.integers(0, 2, 200)
    y = x[:, 0] * x[:, 1] + kinds + draw.normal(size=200)
    given = material(regression(number("a", x[:, 0]), number("b", x[:, 1]), text("k", kinds, ("u", "v")), y=y))
    found = anova(sample_of(given))

    a, b, k, _ = given.train.x.double().numpy().T
    rest = [np.ones_like(a), a, b, k, a * k, b * k]
    small, whole = (_squares(np.stack(terms, 1), given.train.y) for terms in (rest, [*rest, a * b]))
    # Ten terms are counted: each of a category's inputs is one, though they sum to one.
    expected = (small - whole) / (whole / (len(a) - 10))
    assert found[0] == pytest.approx(expected, rel=CLOSE)
    assert found.argmax() == 0


def _squares(terms: np.ndarray, y: torch.Tensor) -> float:
    target = y[:, 0].double().numpy()
    return float(((terms @ np.linalg.lstsq(terms, target, rcond=None)[0] - target) ** 2).sum())


def test_too_many_products_for_an_analysis_of_variance_are_said():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(60, 8))
    result = run(regression(*(number(f"x{k}", x[:, k]) for k in range(8)), y=x[:, 0] * x[:, 1]), epochs=2)

    assert "pairs_by_anova" not in result.arrays
    assert any("comparison with anova is left out" in note for note in result.notes)


def test_progress_tells_epochs_and_networks_and_a_report_may_cancel():
    seen: list[tuple[str, int, dict[str, float]]] = []

    def report(stage, done, total, metrics=None):
        seen.append((stage, done, dict(metrics or {})))
        if stage == "cutoff" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(TrainingTask(data=product(100), report=report), NidParams(**QUICK))

    assert {done for stage, done, _ in seen if stage == "train"} == set(range(7))
    assert seen[-1][:2] == ("cutoff", 2)
    networks = {"train": 4, "cutoff": 2 * STARTS}
    assert all(0 <= metrics["networks_training"] <= networks[stage] for stage, done, metrics in seen if done)
