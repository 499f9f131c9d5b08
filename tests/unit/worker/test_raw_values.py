"""A raw row of a table becomes the same inputs in an explanation as in the training that made the model."""

from __future__ import annotations

import json

import pytest
import torch

from jobs.errors import InvalidInput
from jobs.schemas import FeatureEncoding, Manifest
from jobs.settings import Settings
from worker.inputs import read_input
from worker.trainings._data import Feature, Labels, Table
from worker.trainings._encoding import encoded, fitted_encoding

TABLE = Table(
    features=(
        Feature(name="age", values=torch.tensor([30.0, torch.nan, 50.5]).double()),
        Feature(name="side", values=torch.tensor([1, -1, 0]).int(), categories=("north", "south")),
        Feature(name="flat", values=torch.tensor([4.0, 4, 4]).double()),
        Feature(name="void", values=torch.full((3,), torch.nan).double()),
    ),
    labels=Labels(task="regression", values=torch.zeros(3).double()),
    rows=3,
)
ROWS = ([30.0, "south", 4.0, None], [None, None, 4.0, None], [50.5, "north", 4.0, None])


def manifest(encoding: FeatureEncoding) -> Manifest:
    layers = [{"type": "linear", "outputs": 1}]
    return Manifest.model_validate({
        "architecture": {"family": "sequential", "layers": layers},
        "input": {"kind": "features", "shape": [len(encoding.names)]},
        "features": encoding.model_dump(),
    })  # fmt: skip


def test_an_explanation_s_row_is_encoded_as_in_training():
    encoding = fitted_encoding(TABLE, torch.arange(3))
    expected = encoded(TABLE, encoding, torch.arange(3))

    assert encoding.names == ("age", "side=north", "side=south", "flat", "void")
    assert expected.isfinite().all()
    for row, inputs in zip(ROWS, expected, strict=True):
        read = read_input(json.dumps(row).encode(), manifest(encoding), Settings())
        torch.testing.assert_close(read.input, inputs)


def test_means_are_those_of_the_rows_that_are_learned_from():
    (age, _, _, _) = fitted_encoding(TABLE, torch.tensor([0])).columns

    assert (age.mean, age.std) == (30.0, 1.0)


def test_categories_that_the_model_does_not_know_are_none_of_its_own():
    encoding = fitted_encoding(TABLE, torch.arange(3))
    side = Feature(name="side", values=torch.tensor([0, 1, 2]).int(), categories=("east", "north", "south"))
    other = Table(features=(TABLE.features[0], side, *TABLE.features[2:]), labels=TABLE.labels, rows=3)

    assert encoded(other, encoding, torch.arange(3))[:, 1:3].tolist() == [[0, 0], [1, 0], [0, 1]]


@pytest.mark.parametrize("data", [b"[1]", b'["x", "north", 1, 1]', b"{", b"[[1], null, 1, 1]"])
def test_rows_of_another_form_are_refused(data):
    with pytest.raises(InvalidInput, match="4 raw values"):
        read_input(data, manifest(fitted_encoding(TABLE, torch.arange(3))), Settings())


def test_an_encoding_must_give_as_many_inputs_as_the_manifest_says():
    encoding = fitted_encoding(TABLE, torch.arange(3))
    with pytest.raises(ValueError, match="5 features, as the columns give, got 3"):
        Manifest.model_validate({**manifest(encoding).model_dump(), "input": {"kind": "features", "shape": [3]}})
