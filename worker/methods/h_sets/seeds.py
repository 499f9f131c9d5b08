"""Where sets begin: the feature with the highest seed score of every region."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from worker.methods._paths import Path, integrated_gradients

SeedKind = Literal["integrated-gradients", "gradient", "random"]

Scores = NDArray[np.floating[Any]]
Regions = NDArray[np.integer[Any]]


def seed_scores(kind: SeedKind, path: Path, *, seed: int) -> Scores:
    """Return `(d,)` scores, all of them free: the path's gradients hold what they need.

    The sign counts: the paper asks for "the highest attributed feature", so evidence against the class seeds last.
    """
    if kind == "random":
        return np.random.Generator(np.random.PCG64(seed)).random(path.difference.numel())
    scores = integrated_gradients(path) if kind == "integrated-gradients" else path.gradients[-1]
    flat: Scores = torch.flatten(scores).cpu().numpy()
    return flat


def best_per_region(scores: Scores, regions: Regions) -> list[int]:
    """Return the flat index of every region's best feature, best region first, equals by index.

    Args:
        scores: `(d,)`.
        regions: `(d,)`; below 0 belongs to no region.
    """
    order = np.lexsort((np.arange(len(scores)), -scores))
    order = order[regions[order] >= 0]
    _, first = np.unique(regions[order], return_index=True)
    return [int(index) for index in order[np.sort(first)]]


def best_outside(scores: Scores, regions: Regions, taken: Iterable[int]) -> int | None:
    """Return the best feature that is not taken; None when none is left."""
    free = regions >= 0
    free[np.fromiter(taken, dtype=np.int64)] = False
    return int(np.argmax(np.where(free, scores, -np.inf))) if free.any() else None
