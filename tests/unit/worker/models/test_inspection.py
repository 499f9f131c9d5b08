"""What inspection finds, and what it says about what is missing."""

import pytest
import torch
import torchvision
from torch import nn

from jobs.errors import UnsupportedModel
from jobs.schemas import Capability, Manifest
from worker.models import inspection
from worker.models.inspection import activation_bytes, inspect
from worker.models.surgery import Operated

CPU = torch.device("cpu")


def features(count, classes=None):
    return Manifest.model_validate(
        {
            "architecture": {"family": "sequential", "layers": [{"type": "linear", "outputs": 2}]},
            "input": {"kind": "features", "shape": [count]},
            "classes": classes,
        }
    )


def image(size):
    return Manifest.model_validate({"architecture": "mobilenet_v2", "input": {"shape": [3, size, size]}})


def frozen(model):
    return model.eval().requires_grad_(False)


class NoDoubleBackward(nn.Module):
    """Fused attention, whose derivative has none, called where `attention_on_math` does not reach."""

    def forward(self, x):
        q = x.reshape(len(x), 1, 2, -1)
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, q, q)[0].flatten(1)


class NoGradient(nn.Module):
    def forward(self, x):
        return x.detach()


def test_a_whole_network_offers_everything_and_is_measured():
    torch.manual_seed(0)
    model = frozen(torchvision.models.mobilenet_v3_small(num_classes=5))

    found = inspect(model, image(32))

    assert found.capabilities == (Capability.FORWARD, Capability.GRADIENT, Capability.SECOND_DERIVATIVE)
    assert list(found.obstacles) == [Capability.MIXING_LAYER]
    assert found.outputs == 5
    assert found.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert found.surgery == {"relu": 14, "hardsigmoid": 9}
    assert found.seconds_forward > 0
    assert found.seconds_backward > 0
    assert found.seconds_hessian_row > 0


def test_the_operator_without_a_second_derivative_is_named():
    found = inspect(frozen(NoDoubleBackward()), features(8))

    assert found.capabilities == (Capability.FORWARD, Capability.GRADIENT)
    assert "aten::_scaled_dot_product_flash_attention_for_cpu" in found.obstacles[Capability.SECOND_DERIVATIVE]
    assert found.seconds_hessian_row is None


def test_hardsigmoid_unoperated_has_no_second_derivative(monkeypatch):
    """The operator for which the surgery exists; found by switching the surgery off."""
    monkeypatch.setattr(inspection, "operate", lambda model: Operated(model, {}, traced=True))

    found = inspect(frozen(nn.Sequential(nn.Linear(4, 4), nn.Hardsigmoid())), features(4))

    assert found.obstacles[Capability.SECOND_DERIVATIVE].endswith("operator aten::hardsigmoid")


def test_a_model_without_gradients_can_still_be_run_forward():
    found = inspect(frozen(NoGradient()), features(4))

    assert found.capabilities == (Capability.FORWARD,)
    assert found.obstacles.keys() >= {Capability.GRADIENT, Capability.SECOND_DERIVATIVE}


class Greedy(torch.autograd.Function):
    """Its backward asks for more memory than there is."""

    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    def backward(ctx, gradient):
        return gradient * torch.empty(2**60, dtype=torch.uint8)


class GreedyModel(nn.Module):
    def forward(self, x):
        return Greedy.apply(x)


def test_a_model_too_large_for_a_derivative_can_still_be_run_forward():
    found = inspect(frozen(GreedyModel()), features(4))

    assert Capability.FORWARD in found.capabilities
    assert Capability.GRADIENT not in found.capabilities
    assert "does not fit into the worker's memory" in found.obstacles[Capability.GRADIENT]


def test_a_linear_model_differentiates_twice_to_zero():
    found = inspect(frozen(nn.Linear(4, 2)), features(4))

    assert Capability.SECOND_DERIVATIVE in found.capabilities


@pytest.mark.parametrize(
    ("model", "manifest", "message"),
    [
        (nn.Linear(5, 2), features(4), r"does not take inputs of shape \[4\].*Set the manifest's input.shape"),
        (nn.Unflatten(1, (2, 2)), features(4), r"expected outputs of shape \(1, classes\) .* got \(1, 2, 2\)"),
        (nn.Linear(4, 2), features(4, classes=["a", "b", "c"]), "class names as the model has outputs, 2, got 3"),
        (nn.Sequential(nn.Linear(4, 2), nn.Threshold(1e9, torch.inf)), features(4), "NaN or infinite"),
    ],
)
def test_models_that_do_not_fit_their_manifest_are_refused(model, manifest, message):
    with pytest.raises(UnsupportedModel, match=message):
        inspect(frozen(model), manifest)


def test_a_vision_transformer_at_the_wrong_size_is_told_the_right_one():
    model = torchvision.models.VisionTransformer(64, 32, 1, 1, 8, 8, num_classes=2)

    with pytest.raises(UnsupportedModel, match=r"Expected 64 but got 32.*image_size for a Vision Transformer"):
        inspect(frozen(model), image(32))


def test_activation_memory_counts_what_autograd_keeps():
    """Two rectifiers keep their outputs, 1 KiB each; the biggest is counted twice more."""
    model = frozen(nn.Sequential(nn.ReLU(), nn.Identity(), nn.ReLU()))

    assert activation_bytes(model, torch.randn(1, 256)) == (2 + 2) * 1024


def test_activation_memory_leaves_the_weights_out():
    model = frozen(nn.Sequential(nn.Linear(1000, 10), nn.Tanh()))

    assert activation_bytes(model, torch.randn(1, 1000)) < 20_000


def test_activation_memory_grows_with_the_picture():
    torch.manual_seed(0)
    model = frozen(torchvision.models.resnet18())
    small, large = (activation_bytes(model, torch.randn(1, 3, size, size)) for size in (64, 128))

    assert 3 < large / small < 5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_activation_memory_on_a_gpu_is_the_allocators_peak():
    model = frozen(torchvision.models.resnet18()).cuda()

    assert activation_bytes(model, torch.randn(1, 3, 224, 224, device="cuda")) > 10 * 2**20
