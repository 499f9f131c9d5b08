"""Surgery against scalar formulas, by hand-made traps, and over every family of torchvision."""

import math

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional

from worker.models.surgery import (
    ComposedHardsigmoid,
    SmoothReLU,
    attention_on_math,
    operate,
    smooth_relu,
    twice_differentiable,
)

SMOOTHINGS = ["paper", "algebraic", "softplus"]
T = 1e-3

# float64 against the same formula in Python's floats: a few roundings apart.
FLOAT64 = {"rtol": 1e-9, "atol": 1e-12}
# Second differences of step 1e-4 in float64: 1e-8 from rounding, and 1e-8 times a fourth derivative of about 1e3.
DIFFERENCES = {"rtol": 1e-3, "atol": 1e-5}


def oracle(z, smoothing):
    """Value, slope and curvature of the smooth rectifier at one number, straight from the formulas."""
    root = math.sqrt(z * z + T)
    curvature = T / root**3
    match smoothing:
        case "paper":
            return (z + root, 1 + z / root, curvature) if z < 0 else (root, z / root, curvature)
        case "algebraic":
            return (z + root) / 2, (1 + z / root) / 2, curvature / 2
        case "softplus":
            width = math.sqrt(T)
            logistic = 1 / (1 + math.exp(-z / width))
            return width * math.log1p(math.exp(z / width)), logistic, logistic * (1 - logistic) / width


def derivatives(function, z):
    """Value, slope and curvature of an elementwise function."""
    z = z.detach().requires_grad_()
    value = function(z)
    (slope,) = torch.autograd.grad(value.sum(), z, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), z)
    return value.detach(), slope.detach(), curvature


POINTS = torch.tensor([-3.0, -0.5, -0.031, -1e-4, 0.0, 1e-4, 0.031, 0.2, 0.6], dtype=torch.float64)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_smooth_rectifiers_match_their_formulas(smoothing):
    expected = torch.tensor([oracle(z, smoothing) for z in POINTS.tolist()], dtype=torch.float64).T

    actual = derivatives(lambda z: smooth_relu(z, smoothing=smoothing, t=T), POINTS)

    torch.testing.assert_close(torch.stack(actual), expected, **FLOAT64)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_a_narrower_smoothing_is_closer_to_the_rectifier(smoothing):
    gaps = [(smooth_relu(POINTS, smoothing=smoothing, t=t) - POINTS.relu()).abs().max() for t in (1e-2, 1e-4, 1e-6)]

    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] <= 1e-3  # √t


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("cap", [None, 6.0])
def test_straight_through_has_the_exact_value_and_the_smooth_derivatives(smoothing, cap):
    z = torch.cat([POINTS, 6 + POINTS, torch.tensor([9.0], dtype=torch.float64)])

    exact = derivatives(SmoothReLU(smoothing, T, True, cap), z)
    smooth = derivatives(SmoothReLU(smoothing, T, False, cap), z)

    torch.testing.assert_close(exact[0], z.clamp(0, cap), rtol=0, atol=0)
    torch.testing.assert_close(exact[1:], smooth[1:], rtol=0, atol=0)


def test_relu6_keeps_its_cap():
    """s(z) − s(z − 6): flat on both sides, the curvature of s at 0 and its opposite at 6."""
    value, slope, curvature = derivatives(SmoothReLU("algebraic", T, False, 6.0), POINTS.new_tensor([-20, 0, 3, 6, 20]))

    torch.testing.assert_close(value, POINTS.new_tensor([0, 0, 3, 6, 6]), rtol=0, atol=math.sqrt(T))
    torch.testing.assert_close(slope, POINTS.new_tensor([0, 0.5, 1, 0.5, 0]), rtol=0, atol=1e-4)
    torch.testing.assert_close(curvature[1], -curvature[3])
    assert curvature[1] > 10


def test_the_composed_hardsigmoid_is_hardsigmoid():
    z = torch.linspace(-5, 5, 101, dtype=torch.float64)
    expected = z.clone().requires_grad_()
    functional.hardsigmoid(expected).sum().backward()

    value, slope, curvature = derivatives(lambda z: ComposedHardsigmoid()(z) ** 2, z)

    torch.testing.assert_close(value, functional.hardsigmoid(z) ** 2)
    torch.testing.assert_close(slope, 2 * functional.hardsigmoid(z) * expected.grad)
    torch.testing.assert_close(curvature, 2 * expected.grad**2)


@pytest.fixture
def net():
    """A small network in which every input meets every other behind a rectifier."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU6(), nn.Linear(8, 1))
    return layers.double().eval().requires_grad_(False)


def scalar_hessian(net, x):
    """Second central differences of the smooth network, one pair of inputs at a time."""
    step, n = 1e-4, len(x)

    def f(*shifts):
        moved = x.clone()
        for index, shift in shifts:
            moved[index] += shift
        return net(moved).item()

    hessian = torch.zeros(n, n, dtype=x.dtype)
    for i in range(n):
        for j in range(n):
            corners = [a * b * f((i, a * step), (j, b * step)) for a in (1, -1) for b in (1, -1)]
            hessian[i, j] = sum(corners) / (4 * step * step)
    return hessian


@pytest.mark.parametrize("smoothing", ["algebraic", "softplus"])
def test_the_hessian_is_that_of_the_smooth_network(net, smoothing):
    smooth = twice_differentiable(net, smoothing=smoothing, t=1e-2, straight_through=False)
    x = torch.tensor([0.3, -0.2, 0.5, 0.1], dtype=torch.float64)

    hessian = torch.autograd.functional.hessian(lambda x: smooth(x).sum(), x)

    torch.testing.assert_close(hessian, scalar_hessian(smooth, x), **DIFFERENCES)
    assert hessian.abs().max() > 1e-3


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")  # PyTorch's own, within jvp.
def test_all_ways_to_a_hessian_row_agree(net):
    model = twice_differentiable(net)
    x, direction = torch.randn(2, 4, dtype=torch.float64)
    gradient = torch.func.grad(lambda x: model(x).sum())
    hessian = torch.autograd.functional.hessian(lambda x: model(x).sum(), x)

    _, forward_over_reverse = torch.func.jvp(gradient, (x,), (direction,))
    rows = torch.vmap(lambda seed: torch.func.vjp(gradient, x)[1](seed)[0])(torch.eye(4, dtype=torch.float64))

    torch.testing.assert_close(forward_over_reverse, hessian @ direction)
    torch.testing.assert_close(rows, hessian)


def test_the_original_is_left_as_it_was(net):
    before, names = str(net), list(net.state_dict())
    x = torch.randn(3, 4, dtype=torch.float64)
    expected = net(x)

    changed = twice_differentiable(net, straight_through=False)

    assert (str(net), list(net.state_dict())) == (before, names)
    assert torch.equal(net(x), expected)
    assert not torch.equal(changed(x), expected)


def test_weights_are_shared_and_not_copied(net):
    original = {tensor.data_ptr() for tensor in net.parameters()}

    assert {tensor.data_ptr() for tensor in twice_differentiable(net).parameters()} == original


class Functional(nn.Module):
    """Every way to write a rectifier as a function."""

    def forward(self, x):
        x = functional.relu(x) + functional.relu(x, inplace=False) + functional.relu(input=x) + functional.relu_(x + 0)
        x = x + torch.relu(x) + torch.relu_(x + 0) + x.relu() + (x - 1).relu_()
        return x + functional.relu6(x) + functional.hardsigmoid(x)


class Reused(nn.Module):
    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(self.relu(x - 1) + x - 1)


def test_functional_rectifiers_are_replaced():
    operated = operate(Functional().eval())
    x = torch.linspace(-2, 8, 50)

    assert operated.replaced == {"relu": 8, "relu6": 1, "hardsigmoid": 1}
    torch.testing.assert_close(operated.model(x), Functional()(x))


def test_each_use_of_a_reused_module_gets_its_own():
    operated = operate(Reused().eval())
    x = torch.linspace(-2, 4, 50)

    own = [module for module in operated.model.modules() if isinstance(module, SmoothReLU)]
    assert operated.replaced == {"relu": 2}
    assert len(own) == 2
    torch.testing.assert_close(operated.model(x), Reused()(x))


class Untraceable(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.ReLU(), nn.Hardsigmoid())

    def forward(self, x):
        return self.inner(x) if x.sum() > 0 else self.inner(-x)


def test_a_model_that_cannot_be_traced_has_its_modules_replaced():
    model = Untraceable().eval()

    operated = operate(model)

    assert not operated.traced
    assert operated.replaced == {"relu": 1, "hardsigmoid": 1}
    assert isinstance(model.inner[0], nn.ReLU)
    _, _, curvature = derivatives(operated.model, torch.tensor([0.01, 0.02]))
    assert curvature.abs().min() > 0


def test_dropout_and_batch_norm_stay_in_eval_mode():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout()).eval()
    x = torch.randn(8, 4)

    changed = twice_differentiable(model)

    assert not any(module.training for module in changed.modules())
    torch.testing.assert_close(changed(x), changed(x), rtol=0, atol=0)


def test_a_smoothing_without_width_is_a_programming_mistake(net):
    with pytest.raises(ValueError, match="got 0"):
        twice_differentiable(net, t=0)


# The smallest member of every torchvision family, at a size at which it runs fast, and what is replaced in it. Families
# with GELU, SiLU or Hardswish are smooth enough as they are; Swin v2's rectifiers act on weights alone.
FAMILIES = {
    "alexnet": (64, {"relu": 7}),
    "convnext_tiny": (32, {}),
    "densenet121": (32, {"relu": 121}),
    "efficientnet_b0": (32, {}),
    "efficientnet_v2_s": (32, {}),
    "googlenet": (32, {"relu": 57}),
    "inception_v3": (75, {"relu": 94}),
    "maxvit_t": (64, {}),
    "mnasnet0_5": (32, {"relu": 35}),
    "mobilenet_v2": (32, {"relu6": 35}),
    "mobilenet_v3_small": (32, {"relu": 14, "hardsigmoid": 9}),
    "regnet_x_400mf": (32, {"relu": 67}),
    "regnet_y_400mf": (32, {"relu": 65}),
    "resnet18": (32, {"relu": 17}),
    "resnext50_32x4d": (32, {"relu": 49}),
    "shufflenet_v2_x0_5": (32, {"relu": 37}),
    "squeezenet1_1": (32, {"relu": 26}),
    "swin_t": (32, {}),
    "swin_v2_t": (32, {"relu": 12}),
    "vgg11": (32, {"relu": 10}),
    "vit_b_32": (64, {}),
}


def small(name, size):
    """A randomly initialised family member whose outputs depend on its input."""
    torch.manual_seed(0)
    options = {
        "googlenet": {"init_weights": False, "aux_logits": False},
        "inception_v3": {"init_weights": False, "aux_logits": False},
        "vit_b_32": {"image_size": size},
    }
    if name == "maxvit_t":  # Its builder fixes the width and a partition that needs 224 pixels: seconds of computing.
        model = torchvision.models.MaxVit((size, size), 8, 2, [8, 16], [1, 1], 4, 0.0, num_classes=3)
    else:
        model = torchvision.models.get_model(name, num_classes=3, **options.get(name, {}))
    model.eval().requires_grad_(False)
    for module in model.modules():
        # Fresh running statistics let activations vanish in deep networks; those of one batch keep them near one.
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            module.train()
        if isinstance(module, nn.Linear) and not module.weight.any():
            nn.init.normal_(module.weight, std=0.1)
    model(torch.randn(8 if any(m.training for m in model.modules()) else 1, 3, size, size))
    return model.eval()


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_keeps_its_outputs_and_differentiates_twice(name):
    size, replaced = FAMILIES[name]
    model = small(name, size)
    x = torch.randn(1, 3, size, size, requires_grad=True)

    operated = operate(model)
    with attention_on_math():
        logit = operated.model(x)[0, 0]
        (gradient,) = torch.autograd.grad(logit, x, create_graph=True)
        (row,) = torch.autograd.grad(gradient.flatten()[gradient.abs().argmax()], x)

    assert operated.traced
    assert operated.replaced == replaced
    torch.testing.assert_close(logit, model(x)[0, 0], rtol=1e-4, atol=1e-5)  # The math kernel rounds differently.
    assert row.isfinite().all()
    assert (row != 0).sum() > 100


@pytest.mark.parametrize(
    ("name", "operator"),
    [
        ("densenet121", "F.relu"),
        ("mobilenet_v2", "nn.ReLU6"),
        ("mobilenet_v3_small", "nn.Hardsigmoid"),
        ("resnet18", "reused nn.ReLU"),
    ],
)
def test_no_rectifier_is_left_in_the_known_traps(name, operator):
    model = operate(small(name, 32)).model

    left = [m for m in model.modules() if isinstance(m, nn.ReLU | nn.ReLU6 | nn.Hardsigmoid)]
    functions = [node.target for node in model.graph.nodes if node.op == "call_function"]
    assert left == []
    assert not {functional.relu, functional.relu6, functional.hardsigmoid, torch.relu} & set(functions), operator


def test_max_pooling_differentiates_twice():
    """f = Σ max(window)³: the Hessian is diagonal, 6 x at every window's largest pixel."""
    x = torch.randn(1, 1, 4, 4, dtype=torch.float64)

    hessian = torch.autograd.functional.hessian(lambda x: (functional.max_pool2d(x, 2) ** 3).sum(), x).reshape(16, 16)

    largest = functional.max_pool2d(x, 2).repeat_interleave(2, 2).repeat_interleave(2, 3) == x
    torch.testing.assert_close(hessian, torch.diag(torch.where(largest, 6 * x, 0.0).flatten()))


def test_attention_differentiates_twice_only_on_the_math_kernel():
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(8, 2, batch_first=True).eval().requires_grad_(False)
    x = torch.randn(1, 5, 8)

    def hessian():
        return torch.autograd.functional.hessian(lambda x: attention(x, x, x, need_weights=False)[0].pow(2).sum(), x)

    with pytest.raises(RuntimeError, match=r"derivative for aten::_scaled_dot_product"):
        hessian()
    with attention_on_math():
        assert hessian().abs().max() > 0


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")  # PyTorch's own, within jvp.
def test_attention_has_forward_derivatives_on_the_math_kernel():
    """Without gradients recorded, `nn.MultiheadAttention` would take its shortcut for inference."""
    attention = nn.MultiheadAttention(8, 2, batch_first=True).eval().requires_grad_(False)
    x = torch.randn(1, 5, 8)
    jacobian = torch.autograd.functional.jacobian(lambda x: attention(x, x, x, need_weights=False)[0].sum(), x)

    with attention_on_math():
        _, slope = torch.func.jvp(
            lambda x: attention(x, x, x, need_weights=False)[0].sum(), (x,), (torch.ones_like(x),)
        )

    torch.testing.assert_close(slope, jacobian.sum())


def test_attention_settings_are_restored():
    before = torch.backends.mha.get_fastpath_enabled()

    with pytest.raises(KeyError), attention_on_math():
        raise KeyError

    assert torch.backends.mha.get_fastpath_enabled() == before
