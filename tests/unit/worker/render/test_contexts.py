"""bottleneck.png, pairs.png and their tables."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from jobs.context_orders import (
    Band,
    ContextOrders,
    Efficiency,
    RelativeStrength,
    StrongestPairs,
    StrongPair,
    TheoryCurve,
)
from jobs.schemas import Explained, Explanation, Players
from worker.render import bottleneck as charts
from worker.render.alternatives import alternative
from worker.render.colours import of_sign
from worker.render.pairs import pairs
from worker.render.pictures import pictures
from worker.render.report_contexts import context_table

ORDERS = (0, 2, 4)
U_SHAPE = (1.5, 0.4, 1.1)


def measured(values=U_SHAPE, *, spread=0.1):
    band = Band(low=tuple(v - spread for v in values), high=tuple(v + spread for v in values))
    return RelativeStrength(values=values, interval=band)


def contexts(**changes) -> ContextOrders:
    strongest = tuple(
        StrongestPairs(place=place, order=order, pairs=(
            StrongPair(members=(0, 1), strength=2.0, standard_error=0.1),
            StrongPair(members=(2, 5), strength=-1.0, standard_error=None),
        ))
        for place, order in zip(("low", "middle", "high"), ORDERS, strict=True)
    )  # fmt: skip
    given = {
        "orders": ORDERS, "players": 6, "pairs": 15, "samples": 3, "strength": (0.3, 0.1, 0.2), "relative": measured(),
        "corrected": measured(), "resampled": "samples", "level": 0.9, "log_contexts": (0.0, 1.8, 0.0),
        "theory": (TheoryCurve(with_weight=False, n_prime=4.2, values=(1.0, 0.5, 1.0), error=0.2),),
        "strongest": strongest,
        "efficiency": Efficiency(output=3.0, own_effects=1.0, by_order=(1.0, 0.5, 0.5, 0.0, 0.0), residual=1e-15),
    }  # fmt: skip
    return ContextOrders(**{**given, **changes})


def explanation(found: ContextOrders | None = None, *, names=None, **changes) -> Explanation:
    labels = np.arange(6).reshape(2, 3).repeat(8, axis=0).repeat(8, axis=1)
    given = {
        "method": "multi-order", "explained": Explained(index=1, value=2.0), "unit": "log-odds: mean over orders",
        "players": Players(kind="patch", shape=(6,), names=names), "contexts": found or contexts(),
        "arrays": {"player_labels": labels},
    }  # fmt: skip
    return Explanation(**{**given, **changes})


def opened(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)))


def count_of(picture: np.ndarray, colour) -> int:
    return int((picture == np.array(colour)).all(axis=-1).sum())


def test_both_pictures_are_drawn_and_no_other():
    assert set(pictures(explanation(), np.zeros((16, 24, 3)))) == {"bottleneck.png", "pairs.png"}


def test_the_chart_has_both_strengths_the_band_and_the_theory():
    picture = opened(charts.bottleneck(explanation(), contexts()))
    bare = opened(charts.bottleneck(explanation(), contexts(theory=(), corrected=None)))

    assert count_of(picture, charts.CORRECTED) > 300
    assert count_of(bare, charts.CORRECTED) == 0
    assert count_of(picture, charts.PLAIN) > 200
    assert count_of(bare, charts.PLAIN) > 200


def test_the_chart_is_drawn_to_scale():
    """The highest of the blue discs belongs to order 0, the lowest to order 2, between them in place."""
    picture = opened(charts.bottleneck(explanation(), contexts(relative=measured(spread=0.0), theory=())))

    blue = np.argwhere((picture == np.array(charts.CORRECTED)).all(axis=-1))
    chart = blue[blue[:, 0] < 420]
    left, right = chart[:, 1].min(), chart[:, 1].max()
    middle = chart[np.abs(chart[:, 1] - (left + right) // 2) < 4]
    first = chart[chart[:, 1] < left + 4]
    last = chart[chart[:, 1] > right - 4]
    assert first[:, 0].mean() < last[:, 0].mean() < middle[:, 0].mean()


@pytest.mark.parametrize(
    ("values", "spread", "said"),
    [
        (U_SHAPE, 0.1, "a bottleneck, the middle is below both ends, beyond the intervals"),
        (U_SHAPE, 0.5, "but not beyond the intervals"),
        ((0.5, 1.5, 1.0), 0.1, "no bottleneck"),
    ],
)
def test_the_note_says_no_more_than_the_intervals_do(values, spread, said):
    assert said in charts._reading(contexts(corrected=measured(values, spread=spread)))


@pytest.mark.parametrize("values", [(0.0, 1.5, 1.5), (1.5, 0.0, 1.5), (1.5, 1.5, 0.0)])
def test_of_an_order_that_noise_hides_nothing_is_said(values):
    hidden = contexts(corrected=measured(values))
    absent = contexts(strength=(0.3, 0.0, 0.3), corrected=measured((1.5, 0.0, 1.5)))

    assert "nothing can be said of a bottleneck" in charts._reading(hidden)
    assert "beyond the intervals" in charts._reading(absent)


def test_without_interactions_the_pictures_say_so():
    silent = contexts(relative=None, corrected=None, theory=(), strongest=(), strength=(0.0, 0.0, 0.0))

    drawn = pictures(explanation(silent), None)

    assert all(len(np.unique(opened(png).reshape(-1, 3), axis=0)) > 1 for png in drawn.values())
    assert alternative("bottleneck.png", explanation(silent).model_dump(mode="json")) == "No pair interacts."


def test_pairs_have_the_colours_of_their_signs():
    png = opened(pairs(explanation(), contexts(), np.full((16, 24, 3), 0.5)))
    positive = contexts(strongest=tuple(
        place.model_copy(update={"pairs": place.pairs[:1]}) for place in contexts().strongest
    ))  # fmt: skip
    brown_only = opened(pairs(explanation(), positive, np.full((16, 24, 3), 0.5)))

    assert count_of(png, of_sign(2.0)) > 500
    assert count_of(png, of_sign(-1.0)) > 500
    assert count_of(brown_only, of_sign(-1.0)) == 0


def test_players_of_a_table_are_named():
    names = ("a very long name of a column that fills the line",) * 6
    of_table = explanation(names=names, arrays={}, players=Players(kind="feature", shape=(6,), names=names))

    long = opened(pairs(of_table, contexts(), None))

    short = opened(pairs(explanation(arrays={}), contexts(), None))
    assert long.shape[0] > short.shape[0]  # two lines a pair
    assert long.shape[1] == short.shape[1]


def test_a_strange_name_does_no_harm():
    names = ("<script>alert(1)</script>", "\x00\n", "名前", "𝔄" * 300, "", "é")

    page = context_table(explanation(names=names).model_dump(mode="json"))

    assert "<script>" not in page
    assert opened(pairs(explanation(names=names), contexts(), None)).size


def test_the_tables_hold_what_the_chart_draws():
    page = context_table(explanation().model_dump(mode="json"))

    for text in ("1.5 (1.4 to 1.6)", "n′ = 4.2 without", "pairs, context order 4", "2.00 ± 0.10"):
        assert text in page


def test_an_explanation_without_contexts_has_no_such_table():
    assert context_table({"contexts": None}) == ""


def test_the_alternative_text_tells_the_strengths():
    text = alternative("bottleneck.png", explanation().model_dump(mode="json"))

    assert text == "Relative strength of interactions by context order: 1.5 at m = 0, 0.4 at m = 2, 1.1 at m = 4."
    assert "m = 0, m = 2, m = 4" in alternative("pairs.png", explanation().model_dump(mode="json"))
