from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from torch import nn

from jobs.errors import InvalidParameters, NumericalError
from jobs.schemas import Target
from tests.networks import frozen, small_cnn, subject
from worker.methods._paths import path_gradients
from worker.methods.integrated_gradients import IntegratedGradientsParams, explain

SAME_SUMS = 1e-12
"""The same float64 sums in another order; attributions are of the size 0.01 to 1."""
CAPTUM_ROUNDING = 1e-8
"""Captum makes its path points in float32."""
FINE_PATH = 1e-3
"""What is left of the completeness gap of a network with kinks at 1,000 steps."""


def tabular() -> nn.Module:
    torch.manual_seed(0)
    return frozen(nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)), torch.float64)


@pytest.mark.parametrize("target", [None, Target(index=2)])
def test_the_attribution_is_captums(target):
    given = subject(target=target)

    answer = explain(given, IntegratedGradientsParams(path_steps=20))

    points = 21
    theirs = IntegratedGradients(given.model).attribute(
        given.input[None], target=answer.explained.index, n_steps=points, method="riemann_trapezoid"
    )[0]
    # Captum gives n points the weight 1/n and its ends half of that: in sum 1 - 1/n instead of 1.
    theirs = theirs * points / (points - 1)
    np.testing.assert_allclose(answer.arrays["attribution"], theirs.numpy(), rtol=0, atol=CAPTUM_ROUNDING)


def test_the_attribution_adds_up_to_the_change_of_the_output():
    answer = explain(subject(), IntegratedGradientsParams(path_steps=1000))

    change = answer.explained.value - answer.explained.baseline_value
    assert answer.arrays["attribution"].sum() == pytest.approx(change, rel=FINE_PATH)
    assert answer.checks[0].value < FINE_PATH
    assert answer.checks[0].passed


def test_a_contrast_is_the_difference_of_two_classes():
    one, other, both = (
        explain(subject(target=target), IntegratedGradientsParams()).arrays["attribution"]
        for target in (Target(index=1), Target(index=3), Target(index=1, against=3))
    )

    np.testing.assert_allclose(both, one - other, atol=SAME_SUMS)


def test_features_are_explained_one_by_one():
    given = subject(tabular(), input=torch.arange(6.0, dtype=torch.float64), pixels=None, names=tuple("abcdef"))

    answer = explain(given, IntegratedGradientsParams(path_steps=1000))

    assert answer.players.kind == "feature"
    assert answer.players.names == tuple("abcdef")
    assert answer.arrays["attribution"].shape == (6,)
    assert answer.checks[0].value < FINE_PATH


@pytest.mark.parametrize("kind", ["black", "mean", "blur"])
def test_features_know_the_baseline_zeros_only(kind):
    given = subject(tabular(), input=torch.ones(6, dtype=torch.float64), pixels=None)

    with pytest.raises(InvalidParameters, match="expected baseline zeros"):
        explain(given, IntegratedGradientsParams(baseline=kind))


def test_a_class_that_the_model_does_not_have_is_refused():
    with pytest.raises(InvalidParameters, match="below 4, got 4") as refused:
        explain(subject(target=Target(index=4)), IntegratedGradientsParams())

    assert refused.value.errors[0].pointer == "/target"


def test_a_gradient_that_is_not_finite_is_an_error():
    model = small_cnn()
    with torch.no_grad():
        model[0].weight[0, 0, 0, 0] = torch.nan

    with pytest.raises(NumericalError, match="not finite"):
        explain(subject(model), IntegratedGradientsParams())


@pytest.mark.parametrize("chunk", [1, 3, 8, 100])
def test_the_path_does_not_depend_on_the_chunk(chunk):
    given = subject()
    baseline = torch.zeros_like(given.input)

    path = path_gradients(given.model, given.input, baseline, steps=7, chunk=chunk)

    whole = path_gradients(given.model, given.input, baseline, steps=7, chunk=8)
    torch.testing.assert_close(path.gradients, whole.gradients, rtol=1e-9, atol=1e-12)
    assert path.target == whole.target == Target(index=int(given.model(given.input[None]).argmax()))


def test_path_points_run_from_the_baseline_to_the_input():
    given = subject()
    baseline = torch.full_like(given.input, 0.3)

    path = path_gradients(given.model, given.input, baseline, steps=4, target=Target(index=1), chunk=2)

    ends = given.model(torch.stack([baseline, given.input]))[:, 1]
    torch.testing.assert_close(path.values[[0, -1]], ends, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(path.difference, given.input - baseline)


def test_memory_that_runs_out_halves_the_chunk(monkeypatch):
    given, halved = subject(), []
    forward = given.model.forward

    def cramped(points):
        if len(points) > 2:
            raise torch.OutOfMemoryError("no room")
        return forward(points)

    monkeypatch.setattr(given.model, "forward", cramped)
    path = path_gradients(
        given.model, given.input, torch.zeros_like(given.input), steps=6, chunk=8, on_halved=halved.append
    )

    assert path.gradients.shape == (7, *given.input.shape)
    assert halved[-1] <= 2
