"""The explanation: sets ranked by score, the map that they add up to, and the checks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from jobs.schemas import Check, Cost, Explanation, Interaction
from jobs.set_scores import SetScore
from worker.methods._outputs import explained
from worker.methods._paths import Path, completeness, integrated_gradients
from worker.methods._regions import Labels
from worker.methods._registry import Subject
from worker.methods.h_sets.detection import Detection
from worker.methods.h_sets.growth import Grown
from worker.methods.h_sets.params import HSetsParams

SYMMETRY_TOLERANCE = 1e-3
"""Rows that are batched or computed in float32 differ by up to 1e-5 of their largest entry; a wrong derivative by 1."""
MONTE_CARLO_TOLERANCE = 0.05
"""Relative standard error above which two sets of similar score may change ranks."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Everything that an answer is made of.

    Attributes:
        gradients, difference: Of `path`, flat and on the host, `(m + 1, d)` and `(d,)`.
        labels: `(height, width)` regions.
        scores: One a set of `detection`.
        chunk: To which memory forced the chunk; None where it held.
    """

    path: Path
    gradients: NDArray[np.floating[Any]]
    difference: NDArray[np.floating[Any]]
    labels: Labels
    detection: Detection
    scores: Sequence[SetScore]
    chunk: int | None = None


def answer(subject: Subject, params: HSetsParams, findings: Findings) -> Explanation:
    """Write the explanation."""
    path, detection = findings.path, findings.detection
    attributed = integrated_gradients(path)
    flat = attributed.flatten().double().cpu().numpy()
    ranked = sorted(zip(detection.sets, findings.scores, strict=True), key=lambda pair: -pair[1].value)
    masks = _masks([found for found, _ in ranked], shape=tuple(subject.input.shape))
    strengths = np.array([scored.value for _, scored in ranked])
    evaluations = len(path.values) + 1  # the path, and the graph of the Hessian
    return Explanation(
        method="h-sets",
        preset=params.preset,
        explained=explained(
            path.target, path.logits, baseline_value=_baseline_value(params, path), classes=subject.classes
        ),
        unit=_unit(params),
        players=subject.players,
        interactions=tuple(_interaction(found, scored, subject, flat) for found, scored in ranked),
        checks=(completeness(path, attributed), *_checks(findings, flat, masks)),
        cost=Cost(forwards=evaluations, backwards=evaluations, hessian_rows=detection.rows),
        details=_details(params, findings),
        notes=tuple(_notes(params, findings)),
        arrays={
            "attribution": np.einsum("s,schw->chw", strengths, masks).astype(np.float32),
            "sets": masks,
            "regions": findings.labels,
            "integrated_gradients": attributed.cpu().numpy(),
        },
        kept={"path_gradients": findings.gradients, "difference": findings.difference},
    )


def _baseline_value(params: HSetsParams, path: Path) -> float | None:
    """Return the explained output at the baseline; where each point has its own class, that is another output."""
    return float(path.values[0]) if params.path_class == "fixed" else None


def _masks(sets: Sequence[Grown], *, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return `(sets, *shape)`, in the order given."""
    masks = np.zeros((len(sets), int(np.prod(shape))), dtype=bool)
    for row, found in zip(masks, sets, strict=True):
        row[list(found.members)] = True
    return masks.reshape(len(sets), *shape)


def _unit(params: HSetsParams) -> str:
    distance = "logit per unit of distance (L2) in the model's normalised input"
    if params.formula == "paper":
        return f"{distance}: mean over {params.subsets} random subsets of the set"
    return f"{distance}: sum over {params.subsets} random subsets of the set, as the published code computes it"


def _interaction(found: Grown, scored: SetScore, subject: Subject, attributed: NDArray[np.float64]) -> Interaction:
    members = list(found.members)
    channel, y, x = (int(index) for index in np.unravel_index(found.seed, subject.input.shape))
    return Interaction(
        members=found.members,
        order=len(members),
        strength=scored.value,
        standard_error=scored.standard_error,
        details={
            "seed": found.seed,
            "seed_channel": channel,
            "seed_x": x,
            "seed_y": y,
            "region": found.region,
            "rows": found.rows,
            "stopped": found.stopped,
            "full_set_value": scored.full_set_value,
            "integrated_gradients": float(attributed[members].sum()),
        },
    )


def _checks(findings: Findings, attributed: NDArray[np.float64], masks: NDArray[np.bool_]) -> Iterator[Check]:
    asymmetry = findings.detection.asymmetry
    yield Check(
        name="hessian-asymmetry",
        value=asymmetry,
        passed=None if asymmetry is None else asymmetry <= SYMMETRY_TOLERANCE,
        meaning="Largest |H_ab - H_ba| between seeds, as a share of the largest entry of their rows; a Hessian is "
        f"symmetric, so at most {SYMMETRY_TOLERANCE}. None: fewer than two seeds, or no curvature.",
    )
    errors = [score.standard_error / score.value for score in findings.scores if score.standard_error and score.value]
    worst = max(errors, default=None)
    yield Check(
        name="monte-carlo-error",
        value=worst,
        passed=None if worst is None else worst <= MONTE_CARLO_TOLERANCE,
        meaning=f"Largest standard error of a score, as a share of it; above {MONTE_CARLO_TOLERANCE} draw more "
        "subsets.",
    )
    change = float(findings.path.values[-1].double() - findings.path.values[0].double())
    covered = float(attributed[masks.any(axis=0).reshape(-1)].sum())
    yield Check(
        name="share-of-output-covered",
        value=covered / change if change else None,
        meaning="Integrated gradients inside the sets as a share of f(x) - f(x'): what the sets' features account "
        "for one by one. Far from 1 is common, since sets are small.",
    )
    yield Check(
        name="smoothing-fidelity",
        value=findings.detection.fidelity,
        meaning="Cosine of the gradient that the Hessian differentiates, with smooth ReLUs, and the model's own.",
    )


def _details(params: HSetsParams, findings: Findings) -> dict[str, JsonValue]:
    return {
        "baseline": params.baseline,
        "regions": int(findings.labels.max()) + 1,
        "path_points": len(findings.path.values),
        "departures_from_preset": [*params.departures],
        "chunk_halved_to": findings.chunk,
    }


def _notes(params: HSetsParams, findings: Findings) -> Iterator[str]:
    sets = findings.detection.sets
    if not findings.detection.interactive:
        yield "No interaction found: the second derivatives are zero in every row that was read, as in a linear model."
    lonely = sum(len(found.members) == 1 for found in sets)
    if lonely:
        yield f"{lonely} of {len(sets)} sets have one member only: nothing passed the threshold there."
    short = sum(found.stopped == "row-budget" for found in sets)
    if short:
        yield f"{short} of {len(sets)} sets stopped at max_rows = {params.max_rows} before they were full or exhausted."
    if len(sets) < params.sets:
        yield f"Only {len(sets)} of {params.sets} sets: there are no more regions to start from."
    if params.formula == "paper":
        yield "A score measures how strongly the output changes in the set's direction; it has no sign."
    else:
        yield "A score is a sum over random subsets of the gradient's size in the set; it has no sign."
    if params.path_class == "per-point":
        yield "Along the path the largest logit is differentiated, whichever class it belongs to there."
    if params.prior == "sam" and findings.labels.max() == 0:
        yield "Segment Anything found no mask to trust: the whole picture is one region."
