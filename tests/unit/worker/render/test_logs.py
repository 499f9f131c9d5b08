"""prediction.png, feature.png, edges.png, fields.png, and the tables of a training of L0-SIGN."""

from __future__ import annotations

import math
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from jobs.schemas import Interaction, Players
from jobs.trainings import Curve
from tests.logs import FIELDS, a_log_result, a_long_row, a_row
from worker.render import training_pictures, training_report
from worker.render.colours import of_sign
from worker.render.fields import frequent_features
from worker.render.kept_share import kept_share
from worker.render.partners import partners
from worker.render.prediction import _WORDS, kept_edges, prediction, sum_of, verdict
from worker.render.row_graph import MOST_NODES, Edge, strongest_part
from worker.render.sheet import TEXT_SIZE
from worker.render.text import fit, number

BROWN, BLUE = of_sign(1.0), of_sign(-1.0)


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)))


def area(png: bytes, colour: tuple[int, int, int]) -> int:
    return int((pixels(png) == colour).all(axis=-1).sum())


def test_a_training_is_drawn_by_what_it_found():
    assert set(training_pictures(a_log_result(curves=()))) == {"prediction.png", "feature.png", "fields.png"}
    assert set(training_pictures(a_log_result(documents={}, arrays={}))) == {"training.png", "edges.png"}


def test_the_sum_is_written_as_in_the_paper():
    """Fig. 6b, with a bias, which the paper leaves out."""
    terms = (0.636, 0.3626, 0.3161, -0.1013, -0.1159)
    row = a_row(dict(zip([(0, 0), (0, 1), (0, 2), (1, 2), (1, 1)], terms, strict=True)))

    assert sum_of(row) == "0.636 + 0.363 + 0.316 − 0.101 − 0.116 + 0.25 (bias) = 1.35"
    assert verdict(row) == "1.35 > 0 → predicted yes. The row's label is yes."


def test_edges_beyond_the_strongest_are_one_term():
    row = a_long_row(9)
    edges = kept_edges(row)
    rest = sum(edge.contribution for edge in edges[8:])

    assert len(edges) == 15
    assert f"{abs(rest):.3g} (7 other edges)" in sum_of(row)


def test_edges_that_are_not_listed_count_in_the_sum():
    row = a_row({(0, 1): 0.5}, rest={"edges": 2000, "kept": 300, "contribution": -0.125})

    assert sum_of(row).startswith("0.5 − 0.125 (300 other edges) + 0.25 (bias)")


def test_of_a_very_long_row_the_features_with_the_strongest_edges_are_drawn():
    names = [str(at) for at in range(200)]
    edges = [Edge(150, 199, -2.0), Edge(3, 150, 0.5), *(Edge(at, at, 0.1) for at in range(100))]

    shown, among = strongest_part(names, edges)

    assert (len(shown), shown[-2:]) == (MOST_NODES, ["150", "199"])
    assert Edge(MOST_NODES - 2, MOST_NODES - 1, -2.0) in among
    assert pixels(prediction([a_long_row(200)], "logits")).shape[0] < 2000


def test_a_margin_of_numbers_is_the_prediction():
    row = a_row({(0, 1): 0.5}, predicted=None, probability=None, label=0.5)

    assert verdict(row) == "The row's number is 0.5."
    assert prediction([row], "the target's unit") != prediction([a_row({(0, 1): 0.5})], "the target's unit")


def test_a_closed_edge_is_not_drawn():
    closed, open = (prediction([a_row({(0, 1): value, (2, 2): 0.5})], "logits") for value in (0.0, -0.5))

    assert area(closed, BLUE) == 0 < area(open, BLUE)


def test_a_row_without_features_is_its_bias():
    assert sum_of(a_row({}, ())) == "0.25 (bias) = 0.25"
    assert prediction([a_row({}, ())], "logits")


@pytest.mark.parametrize("features", [1, 2, 3, 10, 40])
def test_a_row_of_any_length_can_be_drawn(features):
    assert pixels(prediction([a_long_row(features)], "logits")).shape[1] == 800


def test_values_other_than_1_are_written():
    plain, valued = (prediction([a_row({(0, 1): 0.5}, values=values)], "logits") for values in (None, [2.0, 1, 1, 1]))

    assert plain != valued


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_contributions_that_are_no_numbers_are_refused(wrong):
    with pytest.raises(ValueError, match="expected finite numbers"):
        prediction([a_row({(0, 1): wrong})], "logits")


def test_a_feature_raises_with_some_and_lowers_with_others():
    feature = a_log_result().documents["feature"]
    raising = {**feature, "partners": feature["partners"][:1]}

    assert area(partners(feature, "logits"), BLUE) > 0
    assert area(partners(raising, "logits"), BLUE) == 0 < area(partners(raising, "logits"), BROWN)


def test_a_score_is_found_by_what_there_is():
    edges = Curve(name="edges_kept", part="validation", at=(1,), values=(0.9,))
    loss = Curve(name="loss", part="validation", at=(1,), values=(0.0,))

    assert kept_share((edges, loss), None) is not None
    assert kept_share((edges,), 1.0) is None
    assert kept_share((loss,), 1.0) is None


def test_without_fields_the_most_frequent_features_are_drawn():
    found = {
        "names": ["3", "5"], "contribution": [[0.5, -1], [-1, 0]], "support": [[9, 2], [2, 4]],
        "gate": [[1, 0.5], [0.5, 0]],
    }  # fmt: skip
    arrays: dict = {}
    result = a_log_result(arrays=arrays, documents={"features": found})

    assert training_pictures(result)["fields.png"] == frequent_features(found, "logits")
    assert frequent_features(found, "logits") != frequent_features({**found, "gate": [[1, 0], [0, 0]]}, "logits")


def test_the_report_sets_the_models_side_by_side_and_names_the_strongest_pairs():
    about = {"contribution": 0.5, "support": 12, "gate": 1.0, "score": 2.0}
    sure = {"kept_in": 2, "networks": 2, "mean_contribution": 0.4, "spread": 0.1}
    result = a_log_result(
        players=Players(kind="feature", shape=(4,), names=FIELDS),
        interactions=(
            Interaction(kind="pair", members=(0, 3), order=2, strength=0.25, details={**about, **sure}),
            Interaction(kind="main", members=(2,), order=1, strength=0.1, details={**about, **sure}),
        ),
    )

    page = training_report(result.model_dump(mode="json"), {}).decode()

    assert "Beside other models" in page
    assert "0.850 ± 0.071" in page  # the mean of 0.9 and 0.8
    assert "<td>fm</td><td>0.7</td>" in page
    assert "user × &lt;b&gt;" in page
    assert "Größe alone" in page
    assert "2 of 2" in page


@pytest.mark.parametrize("value", [-0.003642, -0.0001234, -123456.0, 1.234e-12])
def test_no_number_beside_a_bar_is_cut(value):
    assert fit(number(value), TEXT_SIZE, _WORDS - 8) == number(value)
