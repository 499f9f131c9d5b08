from __future__ import annotations

import pytest
import torch

from tests.networks import MEAN, STD, subject
from worker.methods._baselines import baseline

ROUNDING = 1e-12
"""float64, a handful of operations."""


def absent(kind, size=16):
    given = subject(size=size)
    return given.input, baseline(kind, given.input, mean=MEAN, std=STD)


def pixels(normalised):
    mean, std = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (MEAN, STD))
    return normalised * std + mean


def test_zeros_are_the_data_sets_mean_colour():
    _, zeros = absent("zeros")

    assert not zeros.any()


def test_black_pixels_are_zero():
    _, black = absent("black")

    assert pixels(black).abs().max() < ROUNDING


def test_the_mean_is_the_pictures_own_colour():
    input, mean = absent("mean")

    torch.testing.assert_close(mean.mean(dim=(1, 2)), input.mean(dim=(1, 2)), rtol=0, atol=ROUNDING)
    assert (mean == mean[:, :1, :1]).all()


@pytest.mark.parametrize("size", [2, 8, 64])
def test_a_blur_keeps_flat_colour_and_removes_noise(size):
    input, blurred = absent("blur", size)

    flat = torch.full_like(input, 0.7)
    torch.testing.assert_close(baseline("blur", flat), flat, rtol=0, atol=ROUNDING)
    assert blurred.shape == input.shape
    if size == 64:
        assert blurred.diff(dim=2).std() < 0.2 * input.diff(dim=2).std()
