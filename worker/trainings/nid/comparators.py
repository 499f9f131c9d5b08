"""Other methods that look for pairs, on the rows that the networks learned from: asked for in the same request."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from worker.trainings._registry import TrainingTask
from worker.trainings.nid import h_statistic as h
from worker.trainings.nid.anova import anova
from worker.trainings.nid.fast import BINS, fast
from worker.trainings.nid.fast import MOST_ROWS as FAST_ROWS
from worker.trainings.nid.sample import Beat, Floats, Sample, sample_of
from worker.trainings.nid.search import Material

Comparator = Literal["anova", "fast", "h-statistic"]

_STEPS = 100
UNITS: dict[Comparator, str] = {
    "anova": "F statistic", "fast": "gain of the objective", "h-statistic": "H²: share of the pair's dependence",
}  # fmt: skip


@dataclass(frozen=True)
class Compared:
    """What one method found.

    Attributes:
        strengths: `(pairs,)`, NaN for a pair that was not computed; None where the method failed.
        said: How it was computed, or why it failed.
    """

    method: Comparator
    strengths: Floats | None
    said: str
    seconds: float

    @property
    def ranks(self) -> list[int | None]:
        """Each pair's rank from 1, alike for equal strengths; None where it was not computed."""
        if self.strengths is None:
            return []
        known = self.strengths
        return [None if np.isnan(one) else 1 + int((known > one).sum()) for one in known]


def compared(
    methods: Sequence[Comparator], material: Material, ranking: Sequence[tuple[int, int]], task: TrainingTask
) -> tuple[Compared, ...]:
    """Ask every method; one that fails says why and does not fail the job.

    Args:
        ranking: Pairs, strongest first: which of them the H-statistic computes, where they are many.

    Raises:
        JobCanceled: Out of the task's `report`.
    """
    if not methods:
        return ()
    sample = sample_of(material)
    return tuple(_asked(method, sample, ranking, task) for method in methods)


def _asked(method: Comparator, sample: Sample, ranking: Sequence[tuple[int, int]], task: TrainingTask) -> Compared:
    start, beat = time.monotonic(), _Beat(task, method)
    try:
        strengths, said = _strengths(method, sample, ranking, task.seed, beat)
        if np.isinf(strengths).any():
            raise ValueError("it found numbers that are not finite")
        return Compared(method, strengths, said, time.monotonic() - start)
    except Exception as error:  # A foreign library's fault must not cost the networks' answer.
        if beat.stopped:
            raise
        return Compared(method, None, str(error)[:300] or type(error).__name__, time.monotonic() - start)


class _Beat:
    """Reports the share of a method that is done, and knows whether it was the report that raised."""

    def __init__(self, task: TrainingTask, method: Comparator) -> None:
        self._task, self._method = task, method
        self.stopped = False

    def __call__(self, share: float) -> None:
        self.stopped = True
        self._task.report(self._method, round(share * _STEPS), _STEPS)
        self.stopped = False


def _strengths(
    method: Comparator, sample: Sample, ranking: Sequence[tuple[int, int]], seed: int, beat: Beat
) -> tuple[Floats, str]:
    if method == "anova":
        return anova(
            sample, beat=beat
        ), "One least-squares model of all inputs and all products of two columns' inputs."
    if method == "fast":
        return fast(sample, seed=seed, beat=beat), _fast_said(sample)
    pairs = ranking[: h.MOST_PAIRS]
    return h.h_statistic(sample, seed=seed, pairs=pairs, beat=beat), _h_said(sample, len(ranking))


def _fast_said(sample: Sample) -> str:
    rows = min(FAST_ROWS, len(sample.x))
    return (
        f"Main effects first: an explainable boosting machine without pairs, on {rows} training rows; FAST (of "
        f"interpret-core) sees what they leave over, with {BINS} bins a column."
    )


def _h_said(sample: Sample, pairs: int) -> str:
    rows, points = min(h.MOST_ROWS, len(sample.x)), min(h.POINTS, len(sample.x))
    said = (
        f"Gradient-boosted trees on {rows} training rows; partial dependence at {points} of them, averaged over these."
    )
    if pairs > h.MOST_PAIRS:
        said += f" Only the first {h.MOST_PAIRS} of {pairs} pairs by the networks' ranking were computed."
    return said


def agreement(strengths: Any, other: Floats) -> float | None:
    """Return Spearman's correlation over the pairs that both have; None where one of them does not vary."""
    both = ~np.isnan(other)
    one, two = _ranked(np.asarray(strengths)[both]), _ranked(other[both])
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(two) == 0:
        return None
    return float(np.corrcoef(one, two)[0, 1])


def shared(strengths: Any, other: Floats, *, first: int) -> int:
    """Return how many of the first pairs of one ranking are among the first of another."""
    mine = np.argsort(-np.asarray(strengths), kind="stable")[:first]
    theirs = np.argsort(-np.nan_to_num(other, nan=-np.inf), kind="stable")[:first]
    return len(set(mine.tolist()) & set(theirs.tolist()))


def _ranked(values: Floats) -> Floats:
    """Return ranks, the mean of them where values are equal."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place], dtype=np.float64)
