from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from jobs.errors import NumericalError
from jobs.schemas import Target
from tests.networks import frozen, linear_model, small_cnn, small_vit, subject
from tests.reference import h_sets as reference
from worker.methods.h_sets.frozen import FrozenWeights
from worker.methods.h_sets.rows import HessianRows, hessian_rows
from worker.models.surgery import twice_differentiable

WHOLE_HESSIAN = 1e-6
"""What a row must keep to, as a share of the largest entry; float64 gives far better."""
FLOAT32 = 1e-4
"""float32 sums in another order, as a share of the largest entry."""


def convolutions(**changes) -> nn.Module:
    torch.manual_seed(5)
    layers = [nn.Conv2d(3, 4, **{"kernel_size": 3, **changes}), nn.Softplus(), nn.Flatten(), nn.LazyLinear(3)]
    model = nn.Sequential(*layers).double()
    model(torch.zeros(1, 3, 9, 8, dtype=torch.float64))
    return frozen(model, torch.float64)


def check_rows(model: nn.Module, x: torch.Tensor, *, chunk: int = 1, tolerance: float = WHOLE_HESSIAN) -> None:
    indices = list(range(0, x.numel(), 7))
    expected = reference.hessian(model, x, target=1)[indices].numpy()
    scale = np.abs(expected).max()
    assert scale > 0

    with hessian_rows(model, x, Target(index=1), chunk=chunk) as rows:
        found = rows(indices)

    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("chunk", [1, 4])
def test_rows_are_those_of_the_whole_hessian(chunk):
    check_rows(twice_differentiable(small_cnn()), subject().input, chunk=chunk)


@pytest.mark.parametrize("rectifier", [nn.ReLU, nn.ReLU6])
@pytest.mark.parametrize(
    "changes", [{"t": 0.1}, {"smoothing": "algebraic"}, {"smoothing": "softplus"}, {"straight_through": False}]
)
def test_rows_hold_for_every_smooth_rectifier(rectifier, changes):
    torch.manual_seed(8)
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 9), rectifier(), nn.Linear(9, 9), rectifier(), nn.Linear(9, 2))
    smooth = twice_differentiable(frozen(model, torch.float64), **{"t": 0.01, **changes})

    check_rows(smooth, 6 * torch.randn(3, 4, 4, dtype=torch.float64), chunk=3)
    assert not any(module._forward_hooks for module in smooth.modules())


@pytest.mark.parametrize("chunk", [1, 4])
def test_rows_of_a_vision_transformer_are_those_of_its_hessian(chunk):
    check_rows(small_vit(dtype=torch.float64), subject(size=16).input, chunk=chunk)


@pytest.mark.parametrize(
    "changes",
    [
        {"stride": 2},
        {"stride": 3, "padding": 2},
        {"padding": "same"},
        {"dilation": 2},
        {"kernel_size": (1, 5), "stride": (2, 1)},
        {"groups": 1, "bias": False},
        {"padding": 1, "padding_mode": "reflect"},
    ],
)
def test_rows_hold_for_every_kind_of_convolution(changes):
    x = torch.randn(3, 9, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    check_rows(convolutions(**changes), x)


def test_rows_hold_for_depthwise_convolutions():
    torch.manual_seed(6)
    model = nn.Sequential(nn.Conv2d(3, 6, 3, groups=3, stride=2), nn.SiLU(), nn.Flatten(), nn.Linear(96, 3))

    check_rows(frozen(model, torch.float64), torch.randn(3, 9, 9, dtype=torch.float64))


@pytest.mark.parametrize("affine", [True, False])
def test_rows_hold_for_batch_norms_of_features(affine):
    torch.manual_seed(7)
    norm = nn.BatchNorm1d(5, affine=affine)
    nn.init.uniform_(norm.running_var, 0.5, 2.0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(27, 5), norm, nn.Tanh(), nn.Linear(5, 3))

    check_rows(frozen(model, torch.float64), torch.randn(3, 3, 3, dtype=torch.float64))


def test_trainable_layers_keep_their_weight_gradients():
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2)).eval()

    with FrozenWeights():
        model(torch.ones(1, 3, 4, 4)).sum().backward()

    assert all(weight.grad is not None for weight in model.parameters())


def test_a_batch_norm_in_training_keeps_its_statistics():
    x = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    model = nn.BatchNorm2d(3).requires_grad_(False)

    with FrozenWeights():
        found = model(x)

    torch.testing.assert_close(found.mean(dim=(0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)


def test_a_row_of_a_contrast_is_a_difference_of_rows():
    model, x = twice_differentiable(small_cnn()), subject().input
    found = []
    for target in (Target(index=0), Target(index=2), Target(index=0, against=2)):
        with hessian_rows(model, x, target) as rows:
            found.append(rows([17])[0])

    np.testing.assert_allclose(found[2], found[0] - found[1], rtol=0, atol=1e-12)


def test_batched_rows_are_the_rows_in_float32():
    model, x = twice_differentiable(small_cnn(dtype=torch.float32)), subject(dtype=torch.float32).input
    found = []
    for chunk in (1, 3):
        with hessian_rows(model, x, Target(index=0), chunk=chunk) as rows:
            found.append(rows([3, 50, 99, 120]))
            assert rows.count == 4

    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=FLOAT32 * np.abs(found[0]).max())


def test_a_linear_model_has_rows_of_zeros():
    with hessian_rows(linear_model(), subject().input, Target(index=0)) as rows:
        assert not rows([0, 5]).any()


def test_the_graph_is_freed():
    with hessian_rows(twice_differentiable(small_cnn()), subject().input, Target(index=0)) as rows:
        rows([0])

    assert not rows.gradient.requires_grad


def test_a_row_that_is_not_finite_is_an_error():
    # The second derivative of the square root at zero is infinite.
    class Rooted(nn.Module):
        def forward(self, x):
            return torch.sqrt(x.flatten(1)[:, :3].abs())

    graph = hessian_rows(Rooted(), torch.zeros(3, 4, 4), Target(index=0))
    with graph as rows, pytest.raises(NumericalError, match="second derivatives"):
        rows([0])


def test_a_chunk_that_did_not_fit_is_not_tried_again(monkeypatch):
    compute, halved = HessianRows._rows, []

    def short_of_memory(rows, indices):
        if len(indices) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return compute(rows, indices)

    monkeypatch.setattr(HessianRows, "_rows", short_of_memory)
    given = subject()
    with hessian_rows(
        twice_differentiable(small_cnn()), given.input, Target(index=0), chunk=4, on_halved=halved.append
    ) as rows:
        for _ in range(3):
            rows([0, 1, 2, 3])

    assert halved == [2, 1]
