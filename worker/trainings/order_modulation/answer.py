"""The result of an order modulation: before and after, as numbers, curves, checks and notes."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.modulation import Findings, Modulation
from jobs.schemas import Check, Players
from jobs.trainings import TrainingResult
from worker.trainings._fitting import Course, curves
from worker.trainings.order_modulation.bottleneck import MOST_EXACT, is_exact
from worker.trainings.order_modulation.measuring import Measuring


def answer(measuring: Measuring, course: Course, before: Findings, after: Findings) -> TrainingResult:
    """Write the result."""
    seating, params, n = measuring.seating, measuring.params, measuring.seating.players
    return TrainingResult(
        method="order-modulation",
        preset=params.preset,
        task=measuring.task.data.labels.task,
        metrics=_metrics(course, after),
        curves=curves(course),
        players=Players(kind="patch" if seating.grid else "feature", shape=(n,), names=seating.names),
        modulation=Modulation(
            start="random weights" if measuring.task.start is None else "model",
            players=n,
            epsilon_unit="pixels of 0 to 1" if seating.grid else "standard deviations of each input",
            before=before,
            after=after,
        ),
        checks=(_noise(measuring, before, after),),
        details={
            "training_rows": len(measuring.split.train),
            "validation_rows": len(measuring.split.validation),
            "measured_rows": min(params.measured_rows, len(measuring.split.validation)),
            "stopped_early": course.epoch < params.epochs,
            "baseline_validation": measuring.goal.baseline(measuring.split.validation),
            "interactions": "exact" if is_exact(n, params.budget) else "sampled",
        },
        notes=tuple(_notes(measuring, course, after)),
    )


def _metrics(course: Course, after: Findings) -> dict[str, float]:
    """Name the numbers of the returned network, over all rows of each side; of attacks and masks, measured rows."""
    weakest, strongest = after.attacks[1], after.attacks[-1]
    structure = {} if after.structure is None else {"structure": after.structure}
    return {
        "accuracy": after.accuracy.value,
        "train_accuracy": after.train_accuracy,
        "loss": after.loss,
        "train_loss": after.train_loss,
        "loss_gap": after.loss_gap,
        "pgd_accuracy_least_epsilon": weakest.accuracy.value,
        "pgd_accuracy_largest_epsilon": strongest.accuracy.value,
        **structure,
        "best_epoch": float(course.best_epoch),
        "epochs": float(course.epoch),
    }


def _noise(measuring: Measuring, before: Findings, after: Findings) -> Check:
    exact = is_exact(measuring.seating.players, measuring.params.budget)
    gaps = [
        abs(plain - corrected)
        for found in (before.contexts, after.contexts)
        if found.relative is not None and found.corrected is not None
        for plain, corrected in zip(found.relative.values, found.corrected.values, strict=True)
    ]
    return Check(
        name="largest-correction",
        value=max(gaps, default=None),
        passed=True if exact else None,
        meaning="Largest difference between J by means of |I| and J by root mean squares with the noise of sampling "
        "taken off, before or after. Passed where every coalition was evaluated, so that there is no noise; else a "
        "large one asks for a larger budget.",
    )


def _notes(measuring: Measuring, course: Course, after: Findings) -> Iterator[str]:
    params = measuring.params
    if absent := sorted(set(params.keep_checkpoints) - set(course.kept)):
        yield (
            f"Training stopped after epoch {course.epoch}, before the checkpoints {', '.join(map(str, absent))} that "
            "were to be kept."
        )
    if params.returned == "best":
        yield from _notes_on_the_choice(course, params.epochs)
    yield ("Δu(r1, r2) weighs context orders from 0 on, most near r1, not only those between r1 and r2 (Theorem 2).")
    if not is_exact(measuring.seating.players, params.budget):
        yield (
            f"Interactions are sampled: {measuring.seating.players} players, {params.budget} evaluations a row. They "
            f"are exact for up to {MOST_EXACT} players where the budget holds all 2^n coalitions."
        )
    if measuring.seating.grid is None:
        yield "Attacks move the 0 and 1 of categories like numbers, to values that no row of the table has."
    if after.contexts.relative is None:
        yield "After the training no pair of players interacts at any order."


def _notes_on_the_choice(course: Course, epochs: int) -> Iterator[str]:
    if course.best_epoch == 0:
        yield "After no epoch the sum of loss and terms was a finite number; the start is returned unchanged."
    if course.best_epoch == epochs:
        yield "The sum of loss and terms was still falling at the last epoch; more epochs may do better."
    yield "Held-out rows chose the epoch and are measured too: accuracies after it are slightly favourable."
