"""Integrated gradients: the gradient averaged from a baseline to the input, times the difference of the two.

The attributions of all players add up to f(x) - f(x'). This is a method of single players: it finds no interactions,
and stands here as the ground that the others are compared with.

Source: Sundararajan, Taly & Yan, ICML 2017, https://arxiv.org/abs/1703.01365
"""

from __future__ import annotations

from pydantic import Field

from jobs.schemas import Capability, Cost, Explanation
from worker.methods._baselines import Baseline, baseline
from worker.methods._outputs import explained
from worker.methods._paths import completeness, integrated_gradients, path_gradients
from worker.methods._registry import Params, Subject, register


class IntegratedGradientsParams(Params):
    """Parameters of integrated gradients."""

    path_steps: int = Field(
        50, ge=1, le=1000, description="Steps m of the trapezoidal rule; costs m + 1 forwards and backwards."
    )
    baseline: Baseline = Field(
        "zeros",
        description="What stands for absence: zeros of the normalised input, black, the picture's mean colour, or the "
        "picture blurred; features know zeros only.",
    )


@register(
    "integrated-gradients",
    title="Integrated Gradients",
    summary="How much each input feature adds to the output, along the straight path from a baseline.",
    source="https://arxiv.org/abs/1703.01365",
    params=IntegratedGradientsParams,
    needs=(Capability.FORWARD, Capability.GRADIENT),
    inputs=("image", "features"),
    cost={"forwards": "path_steps + 1", "backwards": "path_steps + 1", "hessian_rows": "0"},
)
def explain(subject: Subject, params: IntegratedGradientsParams) -> Explanation:
    """Explain one output by the contribution of every feature."""
    absent = baseline(params.baseline, subject.input, mean=subject.mean, std=subject.std)
    path = path_gradients(
        subject.model, subject.input, absent, steps=params.path_steps, target=subject.target, chunk=subject.chunk,
        report=subject.report,
    )  # fmt: skip
    attribution = integrated_gradients(path)
    points = params.path_steps + 1
    return Explanation(
        method="integrated-gradients",
        explained=explained(path.target, path.logits, baseline_value=float(path.values[0]), classes=subject.classes),
        unit="logit: the part of f(x) - f(x') that a feature accounts for",
        players=subject.players,
        checks=(completeness(path, attribution),),
        cost=Cost(forwards=points, backwards=points),
        details={"sum": float(attribution.double().sum()), "baseline": params.baseline},
        arrays={"attribution": attribution.cpu().numpy()},
    )
