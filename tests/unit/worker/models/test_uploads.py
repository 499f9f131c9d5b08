"""Uploads that bring their architecture along: JSON and scikit-learn's arrays; graphs by state dict."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from sklearn.neural_network import MLPClassifier, MLPRegressor
from torch import nn

from jobs.errors import UnsupportedModel
from jobs.schemas import Capability, Manifest
from worker.models import inspect_upload, load

CPU = torch.device("cpu")
ROUNDING = 1e-5  # float32 of the module beside scikit-learn's float64


def manifest(**architecture):
    return Manifest.model_validate({"architecture": architecture})


def opened(tmp_path, data, described):
    path = tmp_path / "model"
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    upload = inspect_upload(described, path, device=CPU)
    return upload, load(upload.manifest, upload.weights, device=CPU)


def refusal(tmp_path, data, described):
    with pytest.raises(UnsupportedModel) as caught:
        opened(tmp_path, data, described)
    return caught.value.detail


# ---------------------------------------------------------------- JSON

LAYERS = {
    "layers": [
        {"type": "linear", "weight": [[1, 2, 3], [4, 5, 6]], "bias": [0.5, -0.5]},
        {"type": "relu"},
        {"type": "linear", "weight": [[1, -1]]},
    ]
}
NODES = {
    "nodes": [
        {"name": "first", "type": "linear", "weight": [[1, 2], [3, 4]]},
        {"name": "units", "type": "leaky-relu", "slope": 0.5},
        {"name": "both", "type": "concat", "takes": ["units", "input"]},
        {"name": "out", "type": "linear", "weight": [[1, 1, 10, 10]]},
    ]
}


def test_layers_of_json_compute_what_they_say(tmp_path):
    upload, module = opened(tmp_path, LAYERS, manifest(family="json"))

    assert module(torch.tensor([[1.0, 0.0, -1.0]])).tolist() == [[0.0]]  # relu(-1.5) - relu(-2.5)
    assert module(torch.tensor([[1.0, 1.0, 1.0]])).tolist() == [[6.5 - 14.5]]
    assert upload.manifest.input.shape == (3,)
    assert upload.manifest.architecture.family == "sequential"
    assert Capability.MIXING_LAYER in upload.inspection.capabilities


def test_nodes_of_json_compute_what_they_say(tmp_path):
    _, module = opened(tmp_path, NODES, manifest(family="json"))

    assert module(torch.tensor([[1.0, -1.0]])).tolist() == [[-0.5 - 0.5 + 10 - 10]]


def test_a_manifest_keeps_its_names_and_classes(tmp_path):
    described = Manifest.model_validate(
        {
            "architecture": {"family": "json"}, "name": "mine", "classes": ["yes"],
            "input": {"kind": "features", "shape": [3], "names": ["a", "b", "c"]},
        }
    )  # fmt: skip
    upload, _ = opened(tmp_path, LAYERS, described)

    assert (upload.manifest.name, upload.manifest.classes) == ("mine", ("yes",))
    assert upload.manifest.input.names == ("a", "b", "c")


def linear(**fields):
    return {"layers": [{"type": "linear", **fields}]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({}, "`layers`, or with `nodes`"),
        ({"layers": 3}, "list of objects"),
        ({"layers": [1]}, "list of objects"),
        (linear(weight=[[1, 2], [3]]), "rectangular array"),
        (linear(weight=[["1", "2"]]), "rectangular array"),
        (linear(weight=[[True, False]]), "rectangular array"),
        (linear(weight=[[None, 1]]), "rectangular array"),
        (linear(weight=[[]]), "rectangular array"),
        (linear(weight=[1, 2]), "of another shape"),
        (linear(weight=[[1, 2]], bias=[1, 2]), "of another shape"),
        (linear(outputs=10**9), "outputs"),
        (linear(weight=[[1]], outputs=1_000_000), "of another shape"),
        (linear(weight=[[1, 2]], extra=[1]), "unexpected: 0.extra"),
        ({"layers": [{"type": "frobnicate"}]}, "type"),
        ({"nodes": [{"name": "a", "type": "relu", "takes": ["b"]}, {"name": "b", "type": "relu"}]}, "cycle"),
        ({"nodes": [{"name": "forward", "type": "linear", "weight": [[1]]}]}, "another name"),
        ({"nodes": [{"name": "a", "type": "relu"}, {"name": "a", "type": "relu"}]}, "'a' again"),
        ({"nodes": [*NODES["nodes"], {"name": "x", "type": "relu", "takes": ["both"]}]}, "used by no other"),
        ({"nodes": [{"name": f"n{k}", "type": "relu"} for k in range(5000)]}, "2048"),
        (b"[1, 2]", "JSON object"),
        (b'{"layers": [{"type": "linear", "weight": [[NaN]]}]}', "NaN"),
        (b'{"layers": [{"type": "linear", "weight": [[1e999]]}]}', "infinite"),
        (b'{"layers": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"layers": [', "cannot be used"),
        (b"\xff\xfe\x00", "cannot be used"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_json_that_is_no_network_is_refused_with_a_reason(tmp_path, content, reason):
    assert reason in refusal(tmp_path, content, manifest(family="json"))


# ---------------------------------------------------------------- scikit-learn


def arrays(estimator):
    lists = (("coefs_", estimator.coefs_), ("intercepts_", estimator.intercepts_))
    return {f"{name}{place}": array for name, several in lists for place, array in enumerate(several)}


def npz(content):
    buffer = io.BytesIO()
    np.savez(buffer, **content)
    return buffer.getvalue()


def as_json(estimator):
    return {
        "coefs_": [one.tolist() for one in estimator.coefs_],
        "intercepts_": [one.tolist() for one in estimator.intercepts_],
        "activation": estimator.activation,
    }


@pytest.fixture(scope="module", params=["identity", "logistic", "tanh", "relu"])
def regressor(request):
    random = np.random.default_rng(0)
    estimator = MLPRegressor(
        hidden_layer_sizes=(5, 3), activation=request.param, max_iter=5, tol=1e9, n_iter_no_change=1, random_state=0
    )
    return estimator.fit(random.normal(size=(20, 4)), random.normal(size=20))


@pytest.mark.parametrize("form", ["npz", "safetensors", "json"])
def test_an_estimators_arrays_predict_what_it_does(tmp_path, regressor, form):
    data = {
        "npz": lambda: npz(arrays(regressor)),
        "json": lambda: json.dumps(as_json(regressor)).encode(),
        "safetensors": lambda: save({key: np.ascontiguousarray(value) for key, value in arrays(regressor).items()}),
    }
    said = {} if form == "json" else {"activation": regressor.activation}
    x = np.random.default_rng(1).normal(size=(7, 4))

    _, module = opened(tmp_path, data[form](), manifest(family="scikit-learn", **said))

    predicted = module(torch.from_numpy(x).float())[:, 0].numpy()
    np.testing.assert_allclose(predicted, regressor.predict(x), rtol=ROUNDING, atol=ROUNDING)


def test_a_classifier_gives_its_scores_before_the_softmax(tmp_path):
    random = np.random.default_rng(0)
    estimator = MLPClassifier((5,), max_iter=5, tol=1e9, n_iter_no_change=1, random_state=0)
    estimator.fit(random.normal(size=(30, 4)), np.arange(30) % 3)
    x = random.normal(size=(7, 4))

    _, module = opened(tmp_path, npz(arrays(estimator)), manifest(family="scikit-learn", activation="relu"))

    scores = module(torch.from_numpy(x).float())
    np.testing.assert_allclose(nn.functional.softmax(scores, 1).numpy(), estimator.predict_proba(x), atol=ROUNDING)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"coefs_0": np.ones((2, 3))}, "as many intercepts_"),
        ({"coefs_0": np.ones((2, 3)), "intercepts_0": np.ones(2)}, "coefs_[0] of shape (inputs, outputs)"),
        ({"coefs_0": np.ones((2, 3)), "intercepts_1": np.ones(3)}, "expected arrays coefs_0"),
        ({"weights": np.ones((2, 3))}, "got weights"),
        ({"coefs_0": np.ones((2, 3), int), "intercepts_0": np.ones(3)}, "expected float numbers, got int64"),
        ({"coefs_0": np.full((2, 3), np.nan), "intercepts_0": np.ones(3)}, "NaN"),
        ({"coefs_0": np.full((2, 3), None), "intercepts_0": np.ones(3)}, "cannot be used"),
        (
            {"coefs_0": np.ones((2, 3)), "coefs_1": np.ones((2, 1)), "intercepts_0": np.ones(3),
             "intercepts_1": np.ones(1)},
            "expected inputs=3",
        ),
    ],
    ids=["alone", "shape", "numbering", "names", "integers", "nan", "objects", "chain"],
)  # fmt: skip
def test_arrays_that_are_no_perceptron_are_refused_with_a_reason(tmp_path, content, reason):
    described = manifest(family="scikit-learn", activation="relu")

    assert reason in refusal(tmp_path, npz(content), described)


@pytest.mark.parametrize(("file", "asked"), [(None, None), ("relu", "tanh")])
def test_an_activation_is_said_once(tmp_path, file, asked):
    content = {"coefs_": [[[1.0]], [[1.0]]], "intercepts_": [[0.0], [0.0]]} | ({"activation": file} if file else {})
    described = manifest(family="scikit-learn", **({"activation": asked} if asked else {}))

    assert ("say it once" if file else "say the estimator's") in refusal(tmp_path, content, described)


def test_arrays_that_unpack_to_too_much_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("worker.models.uploads._MOST_UNPACKED_BYTES", 100)
    content = {"coefs_0": np.zeros((100, 100)), "intercepts_0": np.zeros(100)}

    assert "at most 100 bytes" in refusal(tmp_path, npz(content), manifest(family="scikit-learn", activation="relu"))


# ---------------------------------------------------------------- graphs


class Residual(nn.Module):
    """A module of one's own, whose attributes name the nodes."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(4, 6)
        self.blocks = nn.ModuleList([nn.Linear(6, 6), nn.Linear(6, 6)])
        self.head = nn.Linear(12, 2)

    def forward(self, x):
        x = first = torch.relu(self.stem(x))
        for block in self.blocks:
            x = x + torch.tanh(block(x))
        return self.head(torch.cat([x, first], 1))


def test_a_state_dict_of_a_residual_module_fits_nodes_of_its_names(tmp_path):
    torch.manual_seed(0)
    module = Residual().eval()
    nodes = [
        {"name": "stem", "type": "linear", "outputs": 6}, {"name": "first", "type": "relu"},
        {"name": "blocks.0", "type": "linear", "outputs": 6}, {"name": "a", "type": "tanh"},
        {"name": "x1", "type": "add", "takes": ["first", "a"]},
        {"name": "blocks.1", "type": "linear", "outputs": 6}, {"name": "b", "type": "tanh"},
        {"name": "x2", "type": "add", "takes": ["x1", "b"]},
        {"name": "both", "type": "concat", "takes": ["x2", "first"]}, {"name": "head", "type": "linear", "outputs": 2},
    ]  # fmt: skip
    described = Manifest.model_validate(
        {"architecture": {"family": "graph", "nodes": nodes}, "input": {"kind": "features", "shape": [4]}}
    )
    data = save({key: value.numpy() for key, value in module.state_dict().items()})
    x = torch.randn(3, 4)

    upload, loaded = opened(tmp_path, data, described)

    torch.testing.assert_close(loaded(x), module(x))
    assert set(upload.inspection.capabilities) == set(Capability)
    assert upload.inspection.surgery == {"relu": 1}
