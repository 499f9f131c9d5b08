"""heatmap.png, ranking.png, cutoff.png and shapes.png."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from jobs.schemas import Interaction, Players
from jobs.trainings import TrainingResult
from worker.render import training_pictures
from worker.render.seriation import clustered

NAMES = ("age", "a column with a name that is far too long for the room it has", "side", "<b>")


def interaction(kind, members, strength):
    details = {"rank": 1, "selected_in": 2, "trials": 3, "over_trials": [0.9 * strength, min(1, 1.1 * strength)]}
    return Interaction(kind=kind, members=members, order=len(members), strength=strength, details=details)


def shapes(names=NAMES, outputs=1, levels=4):
    draw = np.random.default_rng(0)
    mains = [
        {"name": name, "numeric": name != "side", "weights": [1 / levels] * levels,
         "at": [f"level {k}" for k in range(levels)] if name == "side" else list(range(levels)),
         "values": draw.normal(size=(outputs, levels)).tolist()}
        for name in names
    ]  # fmt: skip
    pair = {
        "names": list(names[1:3]),
        "members": [1, 2],
        "values": draw.normal(size=(outputs, levels, levels)).tolist(),
    }
    classes = [f"class {k}" for k in range(outputs)] if outputs > 1 else []
    return {"unit": "logits", "outputs": classes, "mains": mains, "pairs": [pair], "larger": [list(names[:3])]}


def cutoff(chosen=1, *, reached=True):
    return {
        "interactions": chosen, "reached": reached, "relative_improvement": 0.97, "validation_loss": [0.5, 0.1, None],
        "test_loss": [0.5, 0.12, 0.1], "whole_validation_loss": 0.09, "whole_test_loss": 0.1,
        "added": [[], [["age", "side"]], [["age", "side"], ["age", "<b>"]]],
    }  # fmt: skip


def a_result(names=NAMES, *, known=(), details=None, documents=None):
    draw = np.random.default_rng(1).random((len(names), len(names)))
    strengths = draw + draw.T
    np.fill_diagonal(strengths, 0)
    return TrainingResult(
        method="nid", task="regression", metrics={}, unit="share of the strongest",
        players=Players(kind="feature", shape=(len(names),), names=tuple(names)),
        interactions=(interaction("pair", (0, 2), 0.9), interaction("set", (0, 1, 2), 0.5)),
        arrays={"pair_strengths": strengths},
        details={"known": [list(one) for one in known], "cutoff": cutoff(), **(details or {})},
        documents={"shapes": shapes()} if documents is None else documents,
    )  # fmt: skip


def drawn(result):
    return {name: np.asarray(Image.open(BytesIO(png))) for name, png in training_pictures(result).items()}


def test_a_search_for_interactions_has_four_pictures_and_equal_results_are_equal_bytes():
    assert set(drawn(a_result())) == {"heatmap.png", "ranking.png", "cutoff.png", "shapes.png"}
    assert training_pictures(a_result()) == training_pictures(a_result())


def test_without_an_additive_model_its_pictures_are_left_out():
    result = a_result(documents={})
    result = result.model_copy(update={"details": {"known": []}})

    assert set(drawn(result)) == {"heatmap.png", "ranking.png"}


@pytest.mark.parametrize("name", ["heatmap.png", "ranking.png"])
def test_what_is_known_is_marked(name):
    plain, marked = drawn(a_result())[name], drawn(a_result(known=[(0, 2)]))[name]

    assert plain.shape != marked.shape or (plain != marked).any()


def test_many_columns_are_cut_to_the_strongest():
    few, many = drawn(a_result([f"x{k}" for k in range(40)])), drawn(a_result([f"x{k}" for k in range(90)]))

    assert many["heatmap.png"].shape[1] <= few["heatmap.png"].shape[1] + 20


@pytest.mark.parametrize("outputs", [2, 7])
def test_shapes_of_several_classes_can_be_drawn(outputs):
    one, several = (drawn(a_result(documents={"shapes": shapes(outputs=k)}))["shapes.png"] for k in (1, outputs))

    assert one.shape != several.shape


def test_a_cutoff_that_fell_short_says_so():
    enough, short = (drawn(a_result(details={"cutoff": cutoff(2, reached=r)}))["cutoff.png"] for r in (True, False))

    assert (enough != short).any()


def test_no_interaction_is_called_enough_only_where_it_is():
    """The last lines say why it was chosen; nothing there may claim that main effects alone do as well."""
    enough, short = (drawn(a_result(details={"cutoff": cutoff(0, reached=r)}))["cutoff.png"] for r in (True, False))

    assert (enough[-45:] != short[-45:]).any()


def test_things_that_belong_together_stand_together():
    strengths = np.zeros((6, 6))
    for group in ((0, 3, 5), (1, 2, 4)):
        strengths[np.ix_(group, group)] = 1.0
    order = clustered(strengths)

    assert sorted(order) == list(range(6))
    assert {frozenset(order[:3]), frozenset(order[3:])} == {frozenset((0, 3, 5)), frozenset((1, 2, 4))}


def test_one_thing_and_no_thing_have_an_order():
    assert clustered(np.zeros((1, 1))) == [0]
    assert clustered(np.zeros((0, 0))) == []


def others(names=NAMES, *, missing=False):
    """A result with two methods beside; where `missing`, one pair was not computed."""
    result = a_result(names)
    strengths = result.arrays["pair_strengths"]
    beside = strengths.max() - strengths
    if missing:
        beside[0, 1] = beside[1, 0] = np.nan
    pairs = [
        one.model_copy(update={"details": {**one.details, "others": {"anova": {"strength": 2.0, "rank": 3}}}})
        if one.kind == "pair" else one for one in result.interactions
    ]  # fmt: skip
    arrays = {**result.arrays, "pairs_by_anova": beside, "pairs_by_fast": strengths}
    return result.model_copy(update={"arrays": arrays, "interactions": tuple(pairs)})


def test_methods_beside_have_a_picture_and_their_ranks_stand_in_the_ranking():
    plain, compared, holed = (drawn(one) for one in (a_result(), others(), others(missing=True)))

    assert set(compared) - set(plain) == {"comparison.png"}
    assert (plain["ranking.png"].shape != compared["ranking.png"].shape) or (
        plain["ranking.png"] != compared["ranking.png"]
    ).any()
    assert (compared["comparison.png"] != holed["comparison.png"]).any()


@pytest.mark.parametrize("columns", [2, 13, 40, 90])
def test_methods_beside_can_be_drawn_for_few_and_many_columns(columns):
    names = [f"a column with the long name number {k}" for k in range(columns)]
    result = a_result(names, documents={})
    result = result.model_copy(
        update={"arrays": {**result.arrays, "pairs_by_fast": result.arrays["pair_strengths"]}, "interactions": ()}
    )

    assert drawn(result)["comparison.png"].shape[1] <= 900


@pytest.mark.parametrize("name", ["heatmap.png", "ranking.png"])
def test_a_ranking_that_is_not_to_be_trusted_says_so_in_its_pictures(name):
    doubted = a_result(details={"not_trusted_because": "Not to be trusted: no better than a constant."})

    assert drawn(doubted)[name].shape[0] > drawn(a_result())[name].shape[0]
