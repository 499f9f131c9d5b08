"""H-Sets: sets of pixels that a network combines, found by its Hessian and scored by directional gradients.

Stage one grows sets: two features interact when their second derivative is large (Def. 2), so a set grows from a seed,
inside a region of the picture, along the strong entries of Hessian rows (Algorithm 1, `growth`). Stage two scores each
set by IDG-Vis: the expected integrated directional gradient of its random subsets (eq. 5 to 7, `jobs.set_scores`).

The gradients along the path are computed once and serve the seeds, every score and the completeness check: m + 1
forwards and backwards for any number of sets and subsets. One more of each, on a copy with smooth ReLUs, builds the
graph that all Hessian rows share.

Source: "H-Sets: Hessian-Guided Discovery of Set-Level Feature Interactions in Image Classifiers",
https://github.com/ayushimehrotra/H-Sets
"""

from __future__ import annotations

from jobs.errors import FieldError, InvalidParameters
from jobs.schemas import Capability, Explanation
from jobs.set_scores import score
from worker.methods._baselines import baseline
from worker.methods._paths import path_gradients
from worker.methods._registry import Subject, register
from worker.methods.h_sets.answer import Findings, answer
from worker.methods.h_sets.detection import detect
from worker.methods.h_sets.params import HSetsParams
from worker.methods.h_sets.prior import regions

__all__ = ["HSetsParams", "explain"]


@register(
    "h-sets",
    title="H-Sets",
    summary="Which sets of pixels a network combines: found by the Hessian, scored by directional gradients.",
    source="https://github.com/ayushimehrotra/H-Sets",
    params=HSetsParams,
    needs=(Capability.FORWARD, Capability.GRADIENT, Capability.SECOND_DERIVATIVE),
    inputs=("image",),
    cost={"forwards": "path_steps + 2", "backwards": "path_steps + 2", "hessian_rows": "sets * max_rows"},
)
def explain(subject: Subject, params: HSetsParams) -> Explanation:
    """Find and score the sets of pixels that the explained output combines."""
    halved: list[int] = []
    _refuse_two_targets(subject, params)
    subject.report("regions", 0, 1)
    labels = regions(subject, params)
    absent = baseline(params.baseline, subject.input, mean=subject.mean, std=subject.std)
    path = path_gradients(
        subject.model, subject.input, absent, steps=params.path_steps, target=subject.target,
        path_class=params.path_class, chunk=subject.chunk, report=subject.report, on_halved=halved.append,
    )  # fmt: skip
    detection = detect(subject, params, path=path, labels=labels, on_halved=halved.append)
    gradients, difference = path.gradients.flatten(1).cpu().numpy(), path.difference.flatten().cpu().numpy()
    scores = []
    for done, found in enumerate(detection.sets):
        subject.report("scores", done, len(detection.sets))
        scores.append(
            score(
                gradients, difference, found.members, formula=params.formula, subsets=params.subsets, seed=subject.seed
            )
        )
    findings = Findings(
        path=path, gradients=gradients, difference=difference, labels=labels, detection=detection, scores=scores,
        chunk=min(halved, default=None),
    )  # fmt: skip
    return answer(subject, params, findings)


def _refuse_two_targets(subject: Subject, params: HSetsParams) -> None:
    if subject.target is not None and params.path_class == "per-point":
        detail = (
            "expected no target with path_class per-point, which explains the class predicted at each point (preset "
            "published does); leave the target out, or set path_class to fixed"
        )
        raise InvalidParameters(detail, errors=[FieldError(pointer="/params/path_class", detail=detail)])
