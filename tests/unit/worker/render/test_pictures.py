"""Which pictures there are, that they are equal for equal input, and quick."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.explanations import of_features, picture, scattered_sets, signed_map
from worker import render

# CPU seconds for all pictures of a 224-pixel input; 0.1 is usual, the rest is for slow and busy machines.
QUICK_SECONDS = 0.6


@pytest.mark.parametrize(
    ("explanation", "pixels", "names"),
    [
        (scattered_sets(), picture(), {"saliency.png", "overlay.png", "sets.png"}),
        (scattered_sets(), None, {"saliency.png", "sets.png"}),
        (signed_map(), picture(), {"saliency.png", "overlay.png"}),
        (signed_map(channels=1), picture(), {"saliency.png", "overlay.png"}),
        (of_features([0.5, -1.5]), None, {"saliency.png", "sets.png"}),
        (of_features([0.5, -1.5]).model_copy(update={"arrays": {}}), None, {"sets.png"}),
    ],
)
def test_what_an_explanation_holds_is_drawn(explanation, pixels, names):
    assert set(render.pictures(explanation, pixels)) == names


@pytest.mark.parametrize("label", ["", "a" * 900, "猫", "Ünïcödé", "\u202eevil\n", "<b>&'\""])
def test_any_class_name_can_be_drawn(label):
    assert render.pictures(scattered_sets(label=label), picture())


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_scores_of_any_size_can_be_drawn(scale):
    assert render.pictures(scattered_sets(scale=scale), picture())


@pytest.mark.parametrize("shape", [(1, 4, 200), (3, 200, 3), (3, 2, 2)])
def test_pictures_of_any_proportion_can_be_drawn(shape):
    explanation = signed_map().model_copy(update={"arrays": {"attribution": np.ones(shape)}})

    assert render.pictures(explanation, np.zeros((*shape[1:], 3)))


def test_features_that_are_all_zero_can_be_drawn():
    assert render.pictures(of_features([0.0, 0.0], ("age", "income")), None)


def test_equal_input_gives_equal_bytes_in_another_process():
    files = {
        **render.pictures(scattered_sets(), picture()),
        "values.npz": render.values(scattered_sets()),
        "report.html": render.report(scattered_sets().model_dump(mode="json"), {}),
    }
    here = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    program = """
import hashlib, json
from tests.explanations import picture, scattered_sets
from worker import render
files = {**render.pictures(scattered_sets(), picture()), "values.npz": render.values(scattered_sets()),
         "report.html": render.report(scattered_sets().model_dump(mode="json"), {})}
print(json.dumps({name: hashlib.sha256(data).hexdigest() for name, data in files.items()}))
"""

    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert json.loads(there) == here


def test_all_pictures_of_a_photograph_are_drawn_quickly():
    explanation, pixels = scattered_sets(224, size=2000), picture(224)
    render.pictures(explanation, pixels)

    began = time.process_time()
    render.pictures(explanation, pixels)

    assert time.process_time() - began < QUICK_SECONDS
