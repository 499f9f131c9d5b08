"""Path gradients: the gradients along the straight line from the baseline to the input, computed once for everybody.

Integrated gradients, and the directional gradients of every set and every subset of a set, are sums over the same
few gradients G_j at x' + (j/m)(x - x'). One pass of m + 1 forwards and backwards serves them all.

Source: Sundararajan, Taly & Yan, ICML 2017, https://arxiv.org/abs/1703.01365
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from jobs.errors import NumericalError
from jobs.schemas import Check, Target
from worker.methods._chunks import map_chunks
from worker.methods._outputs import output, resolve

PathClass = Literal["fixed", "per-point"]

COMPLETENESS_TOLERANCE = 0.05
"""Largest completeness gap that passes: beyond the 5 % that the inventors of integrated gradients ask for,
more path steps are needed."""


@dataclass(frozen=True, kw_only=True)
class Path:
    """The gradients along a path of m steps.

    Attributes:
        gradients: `(m + 1, *shape)`; row j at alpha = j/m, from the baseline to the input.
        values: `(m + 1,)`, the explained output at every point.
        logits: `(outputs,)`, at the input.
        difference: `shape`, x - x'.
        target: The explained output; the predicted class where none was asked for.
    """

    gradients: Tensor
    values: Tensor
    logits: Tensor
    difference: Tensor
    target: Target


def path_gradients(
    model: nn.Module,
    input: Tensor,
    baseline: Tensor,
    *,
    steps: int,
    target: Target | None = None,
    path_class: PathClass = "fixed",
    chunk: int = 8,
    report: Callable[[str, int, int], None] = lambda stage, done, total: None,
    on_halved: Callable[[int], None] | None = None,
) -> Path:
    """Compute the gradient of the explained output at `steps + 1` points from `baseline` to `input`.

    The input's own point comes first, so that the predicted class is known from the same forward: `steps + 1`
    forwards and backwards in all.

    Args:
        input, baseline: `shape`.
        target: None explains the class predicted at the input.
        path_class: `per-point` differentiates the largest logit *at that point* in place of the target's.
        chunk: Points that go forward and backward at once.
        on_halved: Told the new chunk when memory ran out.

    Raises:
        InvalidParameters: The target is not an output of the model.
        NumericalError: A gradient or an output is not finite.
    """
    settled = target
    logits = torch.empty(0)
    # Filled in place: collecting chunks and joining them would hold the largest tensor of a job twice.
    gradients = input.new_empty(steps + 1, *input.shape)
    values = input.new_empty(steps + 1)

    def evaluate(numbers: Tensor) -> None:
        nonlocal settled, logits
        report("path", steps - int(numbers[0]), steps + 1)
        weights = (numbers.double() / steps).reshape(-1, *[1] * input.ndim).to(input.dtype)
        points = torch.lerp(baseline, input, weights).requires_grad_()  # exact at both ends
        with torch.enable_grad():
            answers = model(points)  # (points, outputs)
            settled = resolve(settled, answers[0])
            outputs = _largest(answers) if path_class == "per-point" else output(answers, settled)
        gradients[numbers] = torch.autograd.grad(outputs.sum(), points)[0]
        values[numbers] = outputs.detach()
        if numbers[0] == steps:
            logits = answers[0].detach()

    map_chunks(evaluate, torch.arange(steps, -1, -1, device=input.device), chunk=chunk, on_halved=on_halved)
    report("path", steps + 1, steps + 1)
    return Path(
        gradients=_finite(gradients, "gradient"),
        values=_finite(values, "output"),
        logits=logits,
        difference=input - baseline,
        target=resolve(target, logits),
    )


def _largest(logits: Tensor) -> Tensor:
    """Return `(points,)`, the predicted class's logit; of equal ones the first, where a maximum would blend them."""
    return logits.gather(1, logits.argmax(dim=1, keepdim=True))[:, 0]


def _finite(values: Tensor, what: str) -> Tensor:
    if not torch.isfinite(values).all():
        raise NumericalError(
            f"expected finite numbers, got a model {what} that is not finite on the path from the baseline to the "
            "input; check the model's weights and the preprocessing"
        )
    return values


def integrated_gradients(path: Path) -> Tensor:
    """Return `shape`: (x_i - x'_i) times the mean gradient along the path, by the trapezoidal rule."""
    weights = torch.ones(len(path.gradients), device=path.gradients.device, dtype=path.gradients.dtype)
    weights[0] = weights[-1] = 0.5
    mean = torch.einsum("j,j...->...", weights, path.gradients) / (len(weights) - 1)
    return path.difference * mean


def completeness(path: Path, attribution: Tensor) -> Check:
    """Compare the sum of an attribution with the change of the output that it should add up to."""
    change = float(path.values[-1].double() - path.values[0].double())
    gap = abs(float(attribution.double().sum()) - change) / abs(change) if change else None
    return Check(
        name="completeness-gap",
        value=gap,
        passed=None if gap is None else gap <= COMPLETENESS_TOLERANCE,
        meaning="|sum of integrated gradients - (f(x) - f(x'))| / |f(x) - f(x')|; above "
        f"{COMPLETENESS_TOLERANCE} more path steps are needed. None: the output does not change.",
    )
