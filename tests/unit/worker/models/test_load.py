"""From a file to a module that computes: whatever fits the architecture, and nothing else."""

import json

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from jobs.errors import UnsupportedModel
from jobs.schemas import Manifest
from worker.images import as_seen_by_model, decode, normalise
from worker.models import inspect_upload, load
from worker.models.formats import write_state

CPU = torch.device("cpu")

# Half precision keeps 11 bits of a weight; a few layers add up a few of such roundings.
HALF_PRECISION = {"rtol": 2e-2, "atol": 2e-2}


def manifest(name="mobilenet_v2", shape=(3, 32, 32), classes=None, **arguments):
    architecture = {"family": "torchvision", "name": name, "arguments": arguments}
    return Manifest.model_validate({"architecture": architecture, "input": {"shape": shape}, "classes": classes})


MLP = Manifest.model_validate(
    {
        "architecture": {
            "family": "sequential",
            "layers": [{"type": "linear", "outputs": 4}, {"type": "relu"}, {"type": "linear", "outputs": 2}],
        },
        "input": {"kind": "features", "shape": [3]},
    }
)


@pytest.fixture
def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


@pytest.fixture(scope="module")
def ten_classes():
    torch.manual_seed(0)
    return torchvision.models.mobilenet_v2(num_classes=10).eval()


@pytest.fixture
def saved(tmp_path):
    def save(state):
        torch.save(state, tmp_path / "upload")
        return tmp_path / "upload"

    return save


def test_a_loaded_model_computes_what_the_uploaded_one_did(ten_classes, saved):
    weights, inspection, _ = inspect_upload(manifest(), saved(ten_classes.state_dict()), device=CPU)
    loaded = load(manifest(), weights, device=CPU)
    x = torch.randn(2, 3, 32, 32)

    torch.testing.assert_close(loaded(x), ten_classes(x), rtol=0, atol=0)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert inspection.outputs == 10


@pytest.mark.parametrize(
    "name",
    [
        "convnext_tiny", "densenet121", "efficientnet_b0", "mnasnet0_5", "mobilenet_v3_small", "regnet_y_400mf",
        "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "swin_v2_t",
    ],
)  # fmt: skip
def test_every_family_takes_the_state_dict_that_it_gives(name):
    state = torchvision.models.get_model(name, num_classes=2).state_dict()

    loaded = load(manifest(name), write_state(state), device=CPU).state_dict()

    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[key], state[key]) for key in state)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_models_with_auxiliary_heads_give_a_plain_tensor(name, saved):
    original = torchvision.models.get_model(name, init_weights=False, num_classes=3).eval()
    loaded = load(manifest(name, (3, 96, 96)), saved(original.state_dict()), device=CPU)
    x = torch.randn(1, 3, 96, 96)

    torch.testing.assert_close(loaded(x), original(x), rtol=0, atol=0)


def test_a_described_mlp_is_loaded(mlp, saved):
    weights, inspection, _ = inspect_upload(MLP, saved(mlp.state_dict()), device=CPU)
    x = torch.randn(5, 3)

    torch.testing.assert_close(load(MLP, weights, device=CPU)(x), mlp(x), rtol=0, atol=0)
    assert inspection.parameters == 26


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_precision_become_float32(mlp, saved, dtype):
    weights, *_ = inspect_upload(MLP, saved({k: v.to(dtype) for k, v in mlp.state_dict().items()}), device=CPU)
    loaded = load(MLP, weights, device=CPU)
    x = torch.randn(5, 3)

    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    torch.testing.assert_close(loaded(x), mlp(x), **HALF_PRECISION)


def test_counters_of_batch_norm_may_be_missing(ten_classes, saved):
    old = {key: tensor for key, tensor in ten_classes.state_dict().items() if not key.endswith("num_batches_tracked")}
    x = torch.randn(1, 3, 32, 32)

    weights, *_ = inspect_upload(manifest(), saved(old), device=CPU)

    torch.testing.assert_close(load(manifest(), weights, device=CPU)(x), ten_classes(x), rtol=0, atol=0)


def without(state, *keys):
    return {key: tensor for key, tensor in state.items() if key not in keys}


def test_keys_and_shapes_that_do_not_fit_are_named(mlp, saved):
    state = mlp.state_dict()
    cases = {
        "missing: 2.bias": without(state, "2.bias"),
        "unexpected: extra": state | {"extra": torch.zeros(1)},
        r"of another shape: 0.weight \(expected \[4, 3\], got \[4, 5\]\)": state | {"0.weight": torch.zeros(4, 5)},
        r"of another kind: 0.bias \(expected torch.float32, got torch.int64\)": state | {"0.bias": torch.arange(4)},
    }

    for message, changed in cases.items():
        with pytest.raises(UnsupportedModel, match=message):
            load(MLP, saved(changed), device=CPU)


@pytest.mark.parametrize("key", ["\ud800", "x" * 900_000])
def test_a_strangers_name_for_a_tensor_is_given_short_and_in_plain_characters(mlp, saved, key):
    with pytest.raises(UnsupportedModel, match="unexpected: ") as caught:
        load(MLP, saved(mlp.state_dict() | {key: torch.zeros(1)}), device=CPU)

    assert len(caught.value.problem().model_dump_json()) < 300


def test_a_small_file_for_huge_layers_is_refused_by_its_first_misfit(saved):
    layers = [{"type": "flatten"}, *[{"type": "batch-norm"}] * 400]
    huge = Manifest.model_validate(
        {"architecture": {"family": "sequential", "layers": layers}, "input": {"shape": [3, 4096, 4096]}}
    )

    with pytest.raises(UnsupportedModel, match=r"missing: 1.weight"):
        load(huge, saved({"x": torch.zeros(1)}), device=CPU)


def test_only_the_first_of_many_misfits_are_named(saved):
    with pytest.raises(UnsupportedModel, match=r"missing: conv1.weight, bn1.weight, bn1.bias and \d+ more"):
        load(manifest("resnet18"), saved({"x": torch.zeros(1)}), device=CPU)


def test_a_wrong_number_of_classes_is_told_with_the_right_one(ten_classes, saved):
    with pytest.raises(UnsupportedModel, match="head has 10 classes: set num_classes"):
        load(manifest(num_classes=1000), saved(ten_classes.state_dict()), device=CPU)


def test_a_head_without_an_axis_of_classes_is_of_another_shape(mlp, saved):
    with pytest.raises(UnsupportedModel, match=r"2.bias \(expected \[2\], got \[\]\)$"):
        load(MLP, saved(mlp.state_dict() | {"2.bias": torch.tensor(0.0)}), device=CPU)


def test_a_tensor_of_many_axes_is_described_by_their_number(mlp, saved):
    with pytest.raises(UnsupportedModel, match=r"got 60 axes"):
        load(MLP, saved(mlp.state_dict() | {"2.bias": torch.zeros([1] * 60)}), device=CPU)


def test_tensors_for_layers_without_any_are_unexpected(saved):
    architecture = {"family": "sequential", "layers": [{"type": "relu"}]}
    bare = Manifest.model_validate({"architecture": architecture, "input": {"kind": "features", "shape": [3]}})

    with pytest.raises(UnsupportedModel, match=r"unexpected: x$"):
        load(bare, saved({"x": torch.zeros(1)}), device=CPU)


def test_another_misfit_is_not_blamed_on_the_number_of_classes(ten_classes, saved):
    with pytest.raises(UnsupportedModel, match=r"(?s)^(?!.*set num_classes).*$"):
        load(manifest(num_classes=1000, width_mult=0.5), saved(ten_classes.state_dict()), device=CPU)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(mlp, saved, value):
    state = mlp.state_dict()
    state["2.weight"][1, 2] = value

    with pytest.raises(UnsupportedModel, match=r"'2.weight' hold 1 value\(s\) that are NaN or infinite"):
        inspect_upload(MLP, saved(state), device=CPU)


def test_weights_that_overflow_float32_are_refused(mlp, saved):
    state = {key: tensor.double() for key, tensor in mlp.state_dict().items()}
    state["0.bias"][0] = 1e300

    with pytest.raises(UnsupportedModel, match=r"'0.bias' hold 1 value"):
        inspect_upload(MLP, saved(state), device=CPU)


def test_the_real_mobilenet_is_right_on_the_real_photographs(assets):
    """The photographs were chosen because the model is right on them: an end-to-end check of keys and preprocessing."""
    labels = json.loads((assets / "images/imagenet/labels.json").read_text())
    real = Manifest.model_validate(
        {"architecture": "mobilenet_v2", "preprocessing": {"resize": 256, "mean": [0.5] * 3, "std": [0.5] * 3}}
    )
    model = load(real, assets / "weights/imagenet_mobilenet_v2.safetensors", device=CPU)

    predicted = {}
    for name in labels:
        picture = decode((assets / "images/imagenet" / name).read_bytes(), max_pixels=25_000_000)
        seen = as_seen_by_model(picture, real.input.shape, real.preprocessing, max_pixels=25_000_000)
        predicted[name] = model(normalise(seen, real.preprocessing)[None]).argmax().item()

    assert predicted == {name: label["index"] for name, label in labels.items()}
