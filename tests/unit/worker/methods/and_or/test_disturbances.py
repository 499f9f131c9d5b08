"""Weight noise and fast gradient steps."""

import pytest
import torch
from torch import nn

from jobs.errors import UnsupportedModel
from jobs.schemas import Target
from tests.networks import frozen, small_cnn, subject
from worker.methods._registry import Subject
from worker.methods._values import log_odds
from worker.methods.and_or import disturbances

ROUNDING = 1e-9
FEW_DRAWS = 0.35  # the spread of a sample deviation from 12 or more draws, doubled


def test_noise_is_relative_to_the_root_mean_square_of_each_tensor():
    model = small_cnn()

    noisy = disturbances.noisy(model, 0.2, seed=1)

    for clean, disturbed in zip(model.parameters(), noisy.parameters(), strict=True):
        scale = clean.square().mean().sqrt()
        relative = (disturbed - clean).square().mean().sqrt() / scale
        if clean.numel() >= 12:
            assert float(relative) == pytest.approx(0.2, rel=FEW_DRAWS)
        assert float(relative) > 0 or float(scale) == 0


def test_noise_of_another_size_has_the_same_direction():
    model = small_cnn()

    small, large = (disturbances.noisy(model, size, seed=1) for size in (0.1, 0.3))

    for clean, one, other in zip(model.parameters(), small.parameters(), large.parameters(), strict=True):
        torch.testing.assert_close(3 * (one - clean), other - clean)


def test_noise_is_that_of_the_seed_and_leaves_the_network_alone():
    model = small_cnn()
    before = [weight.clone() for weight in model.parameters()]

    one, again, other = (list(disturbances.noisy(model, 0.1, seed=seed).parameters()) for seed in (1, 1, 2))

    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one[0], other[0])
    assert not any(weight.requires_grad for weight in one)


@pytest.mark.parametrize("target", [Target(index=2), Target(index=0, against=3)])
def test_a_step_goes_down_the_slope_of_the_explained_output(target):
    given = subject()

    direction = disturbances.against(given, target)

    step = 1e-5
    for place in ((0, 0, 0), (1, 3, 4), (2, 7, 7)):
        nudge = torch.zeros_like(given.input)
        nudge[place] = step
        values = [_value(given.model(one[None]), target) for one in (given.input + nudge, given.input - nudge)]
        assert float(direction[place]) == -float(torch.sign(values[0] - values[1]))
    assert set(direction.unique().tolist()) <= {-1.0, 0.0, 1.0}


def _value(logits, target):
    if target.against is not None:
        return logits[0, target.index] - logits[0, target.against]
    return log_odds(logits, target)[0]


def test_a_step_is_in_units_of_a_pixel_and_stays_in_the_picture():
    given = subject()
    pixels = given.pixels.double()
    direction = disturbances.against(given, Target(index=1))

    moved = disturbances.stepped(given, direction, 8 / 255)

    mean, std = torch.tensor(given.mean, dtype=torch.float64), torch.tensor(given.std, dtype=torch.float64)
    seen = moved.permute(1, 2, 0) * std + mean
    expected = (pixels + 8 / 255 * direction.permute(1, 2, 0)).clamp(0, 1)
    torch.testing.assert_close(seen, expected, atol=1e-6, rtol=0)  # the test's pixels are float32
    assert float(seen.min()) >= -ROUNDING
    assert float(seen.max()) <= 1 + ROUNDING


def test_a_step_of_features_is_in_their_own_unit():
    model = frozen(nn.Sequential(nn.Linear(3, 2)), torch.float64)
    given = Subject(model=model, input=torch.tensor([5.0, -7.0, 0.5], dtype=torch.float64))
    direction = disturbances.against(given, Target(index=1))

    moved = disturbances.stepped(given, direction, 0.25)

    weights = model[0].weight
    torch.testing.assert_close(moved - given.input, -0.25 * torch.sign(weights[1] - weights[0]))


def test_a_network_without_a_gradient_is_refused():
    class Rounded(nn.Module):
        def forward(self, batch):
            return (batch > 0).double()

    with pytest.raises(UnsupportedModel, match="gradient"):
        disturbances.against(Subject(model=Rounded(), input=torch.zeros(3, dtype=torch.float64)), Target(index=1))
