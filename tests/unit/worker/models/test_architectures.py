"""From a manifest to a module: torchvision's builders, and the project's own list of layers."""

import pytest
import torch
import torchvision
from torch import nn

from jobs.errors import UnsupportedModel
from jobs.schemas import Manifest
from worker.models.architectures import adapted, build, torchvision_names


def manifest(name, shape=(3, 32, 32), **arguments):
    architecture = {"family": "torchvision", "name": name, "arguments": arguments}
    return Manifest.model_validate({"architecture": architecture, "input": {"shape": shape}})


def sequential(*layers, shape=(3, 8, 8)):
    kind = "features" if len(shape) == 1 else "image"
    mean = [0.5] * (shape[0] if kind == "image" else 3)
    return Manifest.model_validate(
        {
            "architecture": {"family": "sequential", "layers": layers},
            "input": {"kind": kind, "shape": shape},
            "preprocessing": {"mean": mean, "std": mean},
        }
    )


# Builders of one of torchvision's modules differ in sizes only: one of each is enough.
FAMILIES = {torchvision.models.get_model_builder(name).__module__: name for name in sorted(torchvision_names())}


@pytest.mark.parametrize("name", FAMILIES.values())
def test_every_family_is_built_without_allocating_weights(name):
    """Its last parameter must be the head's, from which the number of classes is inferred."""
    module = build(manifest(name), {})

    assert all(tensor.is_meta for tensor in [*module.parameters(), *statistics(module)])
    assert len(list(module.state_dict().values())[-1]) == 1000
    assert not module.training


def statistics(module):
    return [tensor for key, tensor in module.named_buffers() if ".running_" in key]


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "squeezenet1_1", "densenet121", "maxvit_t"])
def test_the_number_of_classes_is_that_of_the_file(name):
    head = list(build(manifest(name), {}).state_dict())[-1]

    module = build(manifest(name), {head: torch.zeros(7, 512)})

    assert len(module.state_dict()[head]) == 7


def test_a_stated_number_of_classes_is_kept():
    module = build(manifest("resnet18", num_classes=5), {"fc.bias": torch.zeros(7)})

    assert module.fc.out_features == 5


def test_buffers_that_a_builder_computes_are_real():
    module = build(manifest("swin_t"), {})

    index = module.features[1][0].attn.relative_position_index
    torch.testing.assert_close(index, torchvision.models.swin_t().features[1][0].attn.relative_position_index)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("resnet9000", {}, "got 'resnet9000'"),
        ("fcn_resnet50", {}, "got 'fcn_resnet50'"),
        ("resnet18", {"weights": "DEFAULT"}, "got 'weights'"),
        ("resnet18", {"norm_layer": "torch.nn.Identity"}, "got 'norm_layer'"),
        ("resnet18", {"num_classes": 0}, "num_classes: expected int in 1"),
        ("resnet18", {"num_classes": "10"}, "num_classes: expected int"),
        ("resnet18", {"num_classes": True}, "num_classes: expected int"),
        ("mobilenet_v2", {"width_mult": 1e9}, "width_mult: expected float"),
        ("googlenet", {"transform_input": 1}, "transform_input: expected bool"),
        ("vgg11", {"width_mult": 0.5}, "vgg11 cannot be built"),
        ("vit_b_32", {"image_size": 100}, "vit_b_32 cannot be built"),
    ],
)
def test_other_names_and_arguments_are_refused(name, arguments, message):
    with pytest.raises(UnsupportedModel, match=message):
        build(manifest(name, **arguments), {})


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_auxiliary_heads_for_training_are_left_out(name):
    published = torchvision.models.get_model(name, init_weights=False).state_dict()

    assert build(manifest(name), published).state_dict().keys() == adapted(manifest(name), published).keys()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (
            "densenet121",
            "features.denseblock1.denselayer1.norm.1.weight",
            "features.denseblock1.denselayer1.norm1.weight",
        ),
        (
            "densenet121",
            "features.denseblock1.denselayer1.conv.2.weight",
            "features.denseblock1.denselayer1.conv2.weight",
        ),
        ("vit_b_32", "encoder.layers.encoder_layer_0.mlp.linear_1.bias", "encoder.layers.encoder_layer_0.mlp.0.bias"),
        ("vit_b_32", "encoder.layers.encoder_layer_0.mlp.linear_2.bias", "encoder.layers.encoder_layer_0.mlp.3.bias"),
    ],
)
def test_keys_of_torchvisions_old_files_are_understood(name, old, new):
    assert list(adapted(manifest(name), {old: torch.zeros(1)})) == [new]
    assert new in build(manifest(name), {}).state_dict()


def test_a_stored_list_of_layers_is_still_one():
    """Stored and read again, every field of a layer is set, most of them to their defaults."""
    original = sequential({"type": "flatten"}, {"type": "relu"}, {"type": "linear", "outputs": 2})

    stored = Manifest.model_validate_json(original.model_dump_json())

    assert str(build(stored, {})) == str(build(original, {}))


def test_a_list_of_layers_is_nn_sequential():
    layers = [
        {"type": "conv2d", "inputs": 3, "outputs": 4, "kernel": 3, "padding": 1, "bias": False},
        {"type": "batch-norm"},
        {"type": "relu"},
        {"type": "max-pool", "kernel": 2},
        {"type": "conv2d", "outputs": 5, "kernel": 3, "stride": 2},
        {"type": "relu6"},
        {"type": "global-average-pool"},
        {"type": "flatten"},
        {"type": "dropout"},
        {"type": "linear", "inputs": 5, "outputs": 2},
    ]
    expected = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 5, 3, stride=2), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(5, 2),
    ).eval()  # fmt: skip

    module = build(sequential(*layers), {})

    assert str(module) == str(expected)
    assert shapes(module) == shapes(expected)


def shapes(module):
    return {key: tensor.shape for key, tensor in module.state_dict().items()}


def test_a_huge_list_of_layers_is_built_without_allocating_weights():
    norms = [{"type": "batch-norm"}] * 400
    module = build(sequential({"type": "flatten"}, *norms, shape=(3, 4096, 4096)), {})

    assert len(statistics(module)) == 800
    assert all(tensor.is_meta for tensor in [*module.parameters(), *statistics(module)])


def test_a_layer_of_more_weights_than_can_be_counted_is_refused():
    wide = [
        {"type": "conv2d", "outputs": 10**6, "kernel": 1},
        {"type": "flatten"},
        {"type": "linear", "outputs": 10**6},
    ]

    with pytest.raises(UnsupportedModel, match=r"layer 2 \(linear\)"):
        build(sequential(*wide, shape=(3, 4096, 4096)), {})


@pytest.mark.parametrize(
    "name",
    [
        "relu",
        "relu6",
        "gelu",
        "silu",
        "tanh",
        "sigmoid",
        "softplus",
        "hardswish",
        "hardsigmoid",
        "dropout",
        "batch-norm",
    ],
)
def test_a_layer_between_vectors_keeps_their_length(name):
    module = build(sequential({"type": name}, {"type": "linear", "inputs": 4, "outputs": 2}, shape=(4,)), {})

    assert module[1].in_features == 4


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(1, None, 0), (2, None, 1), (3, 1, 1), (3, 2, 0), (3, 2, 1), (5, 3, 2), (8, 1, 0)]
)
@pytest.mark.parametrize("kind", ["conv2d", "max-pool", "average-pool"])
def test_the_followed_shape_is_what_the_layers_give(kind, kernel, stride, padding):
    window = {"type": kind, "kernel": kernel, "stride": stride, "padding": padding}
    outputs = {"outputs": 3} if kind == "conv2d" else {}

    module = build(sequential(window | outputs, {"type": "flatten"}, {"type": "linear", "outputs": 2}), {})

    assert module.to_empty(device="cpu")(torch.zeros(1, 3, 8, 8)).shape == (1, 2)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([{"type": "linear", "outputs": 2}], r"layer 0 \(linear\): expected a vector coming in, got \(3, 8, 8\)"),
        ([{"type": "flatten"}, {"type": "linear", "inputs": 5, "outputs": 2}], r"layer 1 .* inputs=192.* got 5"),
        ([{"type": "flatten"}, {"type": "conv2d", "outputs": 2, "kernel": 3}], r"layer 1 \(conv2d\): .* got \(192,\)"),
        ([{"type": "flatten"}, {"type": "linear"}], r"layer 1 \(linear\): expected outputs, got none"),
        ([{"type": "max-pool"}], r"layer 0 \(max-pool\): expected kernel, got none"),
        ([{"type": "relu", "kernel": 3}], r"layer 0 \(relu\): expected no kernel, got 3"),
        ([{"type": "max-pool", "kernel": 9}], r"layer 0 .*at least the kernel's 9 px, got \(8, 8\)"),
        ([{"type": "max-pool", "kernel": 3, "padding": 2}], r"at most half the kernel 3, got 2"),
        ([{"type": "batch-norm", "inputs": 4}], r"layer 0 .*inputs=3.* got 4"),
        ([{"type": "relu"}], r"layer 0 \(relu\): expected \(outputs,\) after the last layer, got \(3, 8, 8\)"),
    ],
)
def test_a_layer_that_does_not_fit_is_named(layers, message):
    with pytest.raises(UnsupportedModel, match=message):
        build(sequential(*layers), {})
