"""The pictures of interactions of orders: which there are, that they say what is so, and that nothing breaks them."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from jobs.order_profiles import Similarity
from jobs.schemas import Interaction
from tests.explanations import of_features, picture
from tests.logical_explanations import (
    checkpoints,
    disturbed,
    interactions,
    of_cells,
    of_players,
    profile,
    signed,
    similarities,
)
from worker import render
from worker.render import colours
from worker.render.dynamics import MOST_PANELS, lowest_step, shown_steps
from worker.render.order_bars import DECAY, SPINDLE

LOGIC = {"interactions.png", "orders.png", "sparsity.png"}
HOSTILE_NAMES = [
    "a" * 4096, "", " ", "\n\t\r", "猫" * 500, "\U0001f469\u200d\U0001f467\U0001f3f3\ufe0f", "שלום עולם", "مرحبا",
    "\u202eevil\u202c", "\x00\x07", "\ud7ff\uffff",
    "é" * 300, "${x}<b>&'\"</b>", "e\u0301" * 200,
]  # fmt: skip


def shown(explanation, name, pixels=None):
    return np.asarray(Image.open(BytesIO(render.pictures(explanation, pixels)[name])))


def holds(image, colour):
    return bool((image == colour).all(axis=-1).sum() > 10)


@pytest.mark.parametrize(
    ("explanation", "pixels", "names"),
    [
        (of_cells(), picture(), LOGIC),
        (of_cells(), None, LOGIC),
        (of_players(5), None, LOGIC),
        (of_players(5, orders=None, arrays={}), None, {"interactions.png"}),
        (of_players(5, found=()), None, LOGIC),
        (of_players(5, sequence=checkpoints(3)), None, LOGIC | {"dynamics.png"}),
        (of_players(5, disturbed=disturbed(1)), None, LOGIC | {"disturbances.png"}),
        (of_players(5, similarities=similarities(1)), None, LOGIC | {"similarities.png"}),
        (of_features([0.5, -1.5]), None, {"saliency.png", "sets.png"}),
    ],
)
def test_what_an_explanation_holds_is_drawn(explanation, pixels, names):
    assert set(render.pictures(explanation, pixels)) == names


@pytest.mark.parametrize("kind", ["feature", "token", "patch", "region"])
@pytest.mark.parametrize("n", [1, 2, 7, 20])
def test_any_number_of_players_can_be_drawn(kind, n):
    assert render.pictures(of_players(n, kind=kind), None)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_any_name_can_be_drawn_and_reported(name):
    for kind in ("feature", "token"):
        explanation = of_players(3, kind=kind, names=(name, name, "c"))
        drawn = render.pictures(explanation, None)

        assert render.report(explanation.model_dump(mode="json"), drawn)


def test_long_names_leave_a_picture_as_wide_as_short_ones():
    long, short = (shown(of_players(20, names=(name,) * 20), "interactions.png") for name in ("a" * 4096, "a"))

    assert long.shape[1] == short.shape[1]
    assert long.shape[0] < 3 * short.shape[0]


@pytest.mark.parametrize("strength", [0.0, -1.0, 1e-300, 1e300])
def test_equal_strengths_of_any_size_can_be_drawn(strength):
    found = [item.model_copy(update={"strength": strength}) for item in interactions(6)]
    same = np.full(100, abs(strength))

    assert render.pictures(of_players(6, found=found, arrays={"strengths": same}), None)


def test_a_profile_of_zeros_can_be_drawn():
    nothing = profile(4, scale=0.0)

    assert render.pictures(of_players(4, orders=nothing, arrays={"strengths": np.zeros(26)}, found=()), None)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(wrong):
    broken = Interaction(kind="and", members=(0, 1), order=2, strength=wrong)
    bad = signed(np.array([[1.0, wrong], [0.0, 0.0]]))
    profiles = profile(2).model_copy(update={"all": bad})
    steps = checkpoints(3, n=2)
    for explanation in (
        of_players(2, found=[broken]),
        of_players(2, arrays={"strengths": np.array([1.0, wrong])}),
        of_players(2, orders=profiles),
        of_players(2, sequence=(*steps[:2], steps[2].model_copy(update={"emerged": bad}))),
        of_players(2, sequence=(*steps[:2], steps[2].model_copy(update={"orders": profiles}))),
    ):
        with pytest.raises(ValueError, match="finite"):
            render.pictures(explanation, None)


def test_a_thousand_interactions_take_no_more_room_than_twelve():
    many = interactions(12, most=14) * 100

    assert shown(of_players(12, found=many), "interactions.png").shape[0] < 900


def test_more_strengths_change_the_number_of_points_little():
    few, many = (
        shown(of_players(8, arrays={"strengths": 1 / np.arange(1.0, total)}), "sparsity.png")
        for total in (2**12, 2**21)
    )

    assert few.shape == many.shape


def test_strengths_need_not_be_sorted():
    strengths = np.random.default_rng(0).permutation(1 / np.arange(1.0, 500.0))
    falling = -np.sort(-strengths)

    one, other = (render.pictures(of_players(8, arrays={"strengths": some}), None) for some in (strengths, falling))

    assert one == other


def test_the_sign_is_in_the_number_and_in_the_colour():
    plus, minus = (
        shown(
            of_players(3, found=[Interaction(kind="and", members=(0, 2), order=2, strength=sign)]), "interactions.png"
        )
        for sign in (1.0, -1.0)
    )

    for image, own, other in ((plus, 1, -1), (minus, -1, 1)):
        assert holds(image, colours.of_sign(own))
        assert not holds(image, colours.of_sign(other))


def test_decay_and_spindle_are_drawn_where_there_are_any():
    split, whole = (shown(of_players(5, orders=profile(5, split=one)), "orders.png") for one in (True, False))

    assert holds(split, DECAY)
    assert holds(split, SPINDLE)
    assert not holds(whole, DECAY)
    assert not holds(whole, SPINDLE)


def test_and_or_and_main_look_different():
    pictures = []
    for kind in ("and", "or", "main"):
        found = [Interaction(kind=kind, members=(0, 1), order=2, strength=1.0)]
        pictures.append(shown(of_cells(interactions=tuple(found)), "interactions.png", picture()))

    assert not np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[1], pictures[2])


@pytest.mark.parametrize("count", [1, 2, 7, 33])
@pytest.mark.parametrize("split", [True, False])
def test_any_number_of_checkpoints_can_be_drawn(count, split):
    assert render.pictures(of_players(4, sequence=checkpoints(count, n=4, split=split)), None)


@pytest.mark.parametrize("count", [1, 2, 7, 20])
def test_any_number_of_disturbances_and_comparisons_can_be_drawn(count):
    explanation = of_players(4, disturbed=disturbed(count, n=4), similarities=similarities(count, n=4))
    drawn = render.pictures(explanation, None)

    assert render.report(explanation.model_dump(mode="json"), drawn)


def test_where_nothing_can_be_compared_there_is_a_gap():
    none, some = (
        Similarity(between="samples", one="a", other="b", by_order=shares) for shares in ((None, None), (None, 0.5))
    )

    images = [shown(of_players(2, similarities=(one,)), "similarities.png") for one in (none, some)]

    assert not holds(images[0], colours.PALETTE[6])
    assert holds(images[1], colours.PALETTE[6])


@pytest.mark.parametrize("shape", [(4, 200), (200, 3), (1, 1), (224, 224), (700, 500)])
def test_pictures_of_any_proportion_can_be_drawn(shape):
    labels = np.zeros(shape, int)
    labels[shape[0] // 2 :] = 1 if shape[0] > 1 else 0
    found = (Interaction(kind="or", members=(0, 1), order=2, strength=1.0),)
    explanation = of_players(2, kind="region", found=found)
    explanation = explanation.model_copy(update={"arrays": {**explanation.arrays, "player_labels": labels}})

    assert render.pictures(explanation, np.zeros((*shape, 3)))


def test_a_player_without_a_pixel_can_be_drawn():
    labels = np.zeros((8, 8), int)
    explanation = of_players(3, kind="region")
    explanation = explanation.model_copy(update={"arrays": {"player_labels": labels}})

    assert render.pictures(explanation, picture(8))


def test_members_stay_bright_and_the_rest_loses_its_colour():
    explanation = of_cells(interactions=(Interaction(kind="and", members=(3, 4), order=2, strength=1.0),))
    red = np.broadcast_to([1.0, 0.0, 0.0], (32, 32, 3))

    image = shown(explanation, "interactions.png", red)
    panel = image[80:318, 282:520]  # beside the panel of the players

    assert 0.8 * 2 / 16 < (panel == (255, 0, 0)).all(axis=-1).mean() < 2 / 16
    assert (panel[:40] == panel[:40, :, :1]).all()


def test_a_report_names_members_kinds_and_checkpoints():
    names = ("age", "<b>", "größe", "d", "e")
    explanation = of_players(5, names=names, sequence=checkpoints(4, n=5))
    html = render.report(explanation.model_dump(mode="json"), render.pictures(explanation, None)).decode()

    for text in (
        "age and e",
        "&lt;b&gt;",
        "11 interactions",
        "<td>AND</td>",
        "Strength by order",
        "spindle +",
        "epoch 30",
    ):
        assert text in html
    assert "<b>" not in html
    assert 'alt="The strongest interactions: age +4;' in html
    assert 'alt="4 checkpoints in the order of training.' in html


def test_a_report_shows_indices_as_a_table_and_not_as_details():
    values = {"SV": {"order": 1, "strongest": [{"players": ["<i>"], "members": [0], "value": -2.5}]}}
    explanation = of_players(3, details={"indices": values, "states": 8})
    html = render.report(explanation.model_dump(mode="json"), {}).decode()

    assert "<td>SV</td><td>1</td><td>−2.5</td><td>&lt;i&gt;</td>" in html
    assert "<td>indices</td>" not in html
    assert "<td>states</td>" in html


def test_a_report_of_thousands_of_interactions_stays_small():
    explanation = of_players(12, found=interactions(12) * 300)
    html = render.report(explanation.model_dump(mode="json"), {}).decode()

    assert "4,000 weaker interactions in result.json" in html
    assert len(html) < 100_000


def test_the_turn_of_a_training_is_where_the_mean_order_is_lowest():
    assert lowest_step(checkpoints(5)) == 2


def test_averages_over_several_inputs_are_called_averages():
    one, several = of_players(5), of_players(5, details={"series": {"inputs": 2}})

    for name in ("orders.png", "interactions.png"):
        assert shown(several, name).shape != shown(one, name).shape or (shown(several, name) != shown(one, name)).any()


def test_a_checkpoint_without_a_salient_interaction_has_no_lowest_order():
    first, *others = checkpoints(5)
    nothing = first.orders.model_copy(update={"salient_count": 0, "mean_order": 0.0})

    assert lowest_step((first.model_copy(update={"orders": nothing}), *others)) == 2


def test_many_checkpoints_are_thinned_evenly_from_first_to_last():
    assert shown_steps(5) == [0, 1, 2, 3, 4]
    assert len(shown_steps(33)) == MOST_PANELS
    assert shown_steps(33)[0] == 0
    assert shown_steps(33)[-1] == 32
