"""What a series says in an answer: its profiles, the gauge of overfitting in plain words, and what to beware of."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import JsonValue

from jobs.schemas import Check, Cost, Explanation
from worker.methods.and_or.params import AndOrParams
from worker.methods.and_or.sequence import Course

_GAUGE = (
    "A gauge, not a proof: in the paper, interactions of high order go while a network learns what generalizes, "
    "and come back while it overfits; the loss on held-out data decides."
)


def with_series(explanation: Explanation, course: Course, params: AndOrParams) -> Explanation:
    """Add what a series shows to the explanation of its first input at its last network."""
    return explanation.model_copy(
        update={
            "orders": course.orders,
            "sequence": course.sequence,
            "disturbed": course.disturbed,
            "similarities": course.similarities,
            "cost": Cost(forwards=course.forwards, backwards=course.backwards),
            "checks": (*explanation.checks, *_checks(course, params)),
            "details": {**explanation.details, "series": _details(course, params)},
            "notes": (*explanation.notes, *_notes(course)),
        }
    )


def _checks(course: Course, params: AndOrParams) -> Iterator[Check]:
    yield Check(
        name="largest-gap",
        value=course.gap,
        passed=course.gap <= params.tolerance if params.solver == "exact" else None,
        meaning="The largest certified gap of the logical models of all inputs, at all networks.",
    )
    if course.reference is None:
        return
    last, reference = course.orders, course.sequence[course.reference].orders
    yield Check(
        name="overfitting-gauge",
        value=last.mean_order - reference.mean_order,
        meaning=f"Mean order of the model's salient interactions, {last.mean_order:.2f}, minus that of the reference "
        f"checkpoint, {reference.mean_order:.2f}; salient interactions, {last.salient_count:.1f} after "
        f"{reference.salient_count:.1f}; spindle share, {_share(course)}. {_GAUGE}",
    )


def _share(course: Course) -> str:
    assert course.reference is not None  # noqa: S101  # only sequences have a gauge
    now, then = course.orders.disentangled, course.sequence[course.reference].orders.disentangled
    return f"{now.spindle_share:.2f} after {then.spindle_share:.2f}" if now and then else "unknown"


def _details(course: Course, params: AndOrParams) -> dict[str, JsonValue]:
    return {
        "inputs": len(course.last.findings),
        "targets": [found.played.target.model_dump(mode="json") for found in course.last.findings],
        "reference": course.reference,
        "reference_chosen_by": None if course.reference is None else _chosen_by(params),
        "decay_from": params.decay_from,
    }


def _chosen_by(params: AndOrParams) -> str:
    return "smallest mean order" if params.reference is None else "request"


def _notes(course: Course) -> Iterator[str]:
    inputs = len(course.last.findings)
    if inputs > 1:
        yield (
            f"Profiles over orders are averages over {inputs} inputs, each for its own class, as the model predicts it "
            "or as asked for; the interactions listed are those of the first."
        )
    if course.reference is not None:
        name = course.sequence[course.reference].name
        yield f"What emerged is counted from checkpoint {course.reference + 1} of {len(course.sequence)}, {name!r}."
        yield "Players and classes are the same at all checkpoints: those of the model, the last one."
    if any(one.kind == "weight-noise" for one in course.disturbed):
        yield "Noise on the weights is drawn once, by the seed: of another size it has the same direction."
    if any(one.kind == "fgsm" for one in course.disturbed):
        yield "FGSM steps go against the explained class, in all of the input, also where nobody plays."
