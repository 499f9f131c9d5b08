"""training.png and the report of a training."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from jobs.schemas import Interaction, Players
from jobs.trainings import Curve, TrainingResult
from worker.render import training_pictures, training_report
from worker.render.training import _CAPTIONS
from worker.render.training_alternatives import training_alternative

CURVES = (
    Curve(name="loss", part="train", at=(1, 2, 3), values=(1.0, 0.5, 0.25)),
    Curve(name="loss", part="validation", at=(1, 2, 3), values=(1.1, None, 0.6)),
    Curve(name="accuracy", part="validation", at=(1, 2, 3), values=(0.5, 0.7, 0.8)),
)


def a_result(**changes: object) -> TrainingResult:
    return TrainingResult(method="classifier", task="binary", metrics={"loss": 0.6}, curves=CURVES).model_copy(
        update=changes
    )


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(data)))


def test_every_name_of_a_curve_has_a_chart():
    both, one = (pixels(training_pictures(a_result(curves=curves))["training.png"]) for curves in (CURVES, CURVES[:2]))

    assert both.shape[0] > one.shape[0]
    assert both.shape[1] == one.shape[1]


def test_equal_results_are_equal_bytes_and_other_curves_other_ones():
    assert training_pictures(a_result()) == training_pictures(a_result())
    assert training_pictures(a_result()) != training_pictures(a_result(curves=CURVES[:1]))


def test_a_training_without_curves_has_no_picture():
    assert training_pictures(a_result(curves=())) == {}


def test_a_single_epoch_and_a_missing_number_can_be_drawn():
    curves = (Curve(name="loss", at=(1,), values=(0.5,)), Curve(name="odd", at=(1,), values=(None,)))

    assert "training.png" in training_pictures(a_result(curves=curves))


def test_the_report_names_the_model_and_escapes_what_came_from_outside():
    result = {
        **a_result(notes=("<b>note</b>",)).model_dump(mode="json"),
        "model": "model_1", "models": [{"id": "model_1", "name": "<script>", "epoch": None}],
    }  # fmt: skip
    page = training_report(result, training_pictures(a_result())).decode()

    assert "model_1" in page
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "<b>note" not in page
    assert "data:image/png;base64," in page


def test_pictures_are_told_in_words_to_those_who_do_not_see_them():
    kept = Curve(name="edges_kept", part="validation", at=(1, 2), values=(1.0, 0.25))
    pair = Interaction(kind="pair", members=(0, 1), order=2, strength=-1.5)
    alone = Interaction(kind="main", members=(0,), order=1, strength=9.0)
    result = a_result(
        curves=(*CURVES, kept), metrics={"best_epoch": 2.0}, interactions=(alone, pair),
        players=Players(kind="feature", shape=(2,), names=("mail", "home")),
    ).model_dump(mode="json")  # fmt: skip

    assert "validation loss from 1.1 to 0.6" in training_alternative("training.png", result)
    assert "from 100% to 25%" in training_alternative("edges.png", result)
    assert "epoch 2 was kept" in training_alternative("edges.png", result)
    assert "mail × home −1.5" in training_alternative("fields.png", result)
    assert "9" not in training_alternative("heatmap.png", result)
    assert "No interaction" in training_alternative("ranking.png", {**result, "interactions": []})
    assert 'alt="Curves by epoch' in training_report(result, {"training.png": b""}).decode()


@pytest.mark.parametrize("name", _CAPTIONS)
def test_every_picture_with_a_caption_has_words_of_its_own(name):
    assert training_alternative(name, a_result().model_dump(mode="json")) != name
