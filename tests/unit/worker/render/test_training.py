"""training.png and the report of a training."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from jobs.trainings import Curve, TrainingResult
from worker.render import training_pictures, training_report

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
