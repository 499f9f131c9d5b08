"""Stage one whole: seeds, one graph for all Hessian rows, and sets that grow in lockstep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from worker.methods._paths import Path
from worker.methods._regions import Labels
from worker.methods._registry import Subject
from worker.methods.h_sets.growth import Grown, Rule, grow_all
from worker.methods.h_sets.params import HSetsParams
from worker.methods.h_sets.rows import hessian_rows
from worker.methods.h_sets.seeds import Regions, Scores, best_outside, best_per_region, seed_scores
from worker.models.surgery import twice_differentiable


@dataclass(frozen=True, kw_only=True)
class Detection:
    """The sets, and what their detection tells about itself.

    Attributes:
        rows: Hessian rows computed.
        asymmetry: Largest |H_ab - H_ba| over pairs of seeds, as a share of the largest entry of their rows; None
            with fewer than two seeds or an all-zero Hessian.
        fidelity: Cosine of the smoothed model's gradient and the model's own at the input.
        interactive: Some off-diagonal entry of some row is not zero.
    """

    sets: tuple[Grown, ...]
    rows: int
    asymmetry: float | None
    fidelity: float
    interactive: bool


def detect(
    subject: Subject,
    params: HSetsParams,
    *,
    path: Path,
    labels: Labels,
    on_halved: Callable[[int], None] | None = None,
) -> Detection:
    """Find the sets of the output that `path` explains.

    Args:
        labels: `(height, width)` regions.

    Raises:
        NumericalError: A second derivative is not finite.
    """
    subject.report("graph", 0, 1)
    smooth = twice_differentiable(
        subject.model, smoothing=params.smoothing, t=params.smoothing_t, straight_through=params.straight_through
    )
    scores = seed_scores(params.seeds, path, seed=subject.seed)
    regions = np.broadcast_to(labels, subject.input.shape).reshape(-1)
    most = params.sets * params.max_rows
    # Batching rows pays on an accelerator alone; on a CPU it gains nothing.
    chunk = subject.chunk if subject.input.is_cuda else 1
    with hessian_rows(
        smooth, subject.input, path.target, chunk=chunk, on_halved=on_halved,
        on_rows=lambda count: subject.report("rows", count, most),
    ) as rows:  # fmt: skip
        sets = find_sets(
            scores, regions, rows, sets=params.sets, rule=params.rule, reseed=params.prior == "none"
        )  # fmt: skip
        gradient, count = rows.gradient.detach(), rows.count
    return Detection(
        sets=tuple(sets),
        rows=count,
        asymmetry=asymmetry(sets),
        fidelity=float(torch.cosine_similarity(gradient.double(), path.gradients[-1].flatten().double(), dim=0)),
        interactive=any(np.delete(found.first_row, found.seed).any() for found in sets),
    )


def find_sets(
    scores: Scores,
    regions: Regions,
    rows_of: Callable[[Sequence[int]], NDArray[np.floating[Any]]],
    *,
    sets: int,
    rule: Rule,
    reseed: bool = False,
) -> list[Grown]:
    """Grow one set a region, best region first, at most `sets`.

    Args:
        scores, regions: `(d,)`.
        reseed: When the regions run out, go on with the best feature outside of all sets found so far.
    """
    found = grow_all(best_per_region(scores, regions)[:sets], rows_of, regions=regions, rule=rule)
    while reseed and len(found) < sets:
        seed = best_outside(scores, regions, chain.from_iterable((one.seed, *one.members) for one in found))
        if seed is None:
            break
        found += grow_all([seed], rows_of, regions=regions, rule=rule)
    return found


def asymmetry(sets: Sequence[Grown]) -> float | None:
    """Compare H_ab with H_ba for all pairs of seeds, whose rows are there anyway; see `Detection`."""
    seeds = [found.seed for found in sets]
    if len(seeds) < 2:
        return None
    corner = np.stack([found.first_row[seeds] for found in sets]).astype(np.float64)
    largest = max(float(np.abs(found.first_row).max()) for found in sets)
    return float(np.abs(corner - corner.T).max()) / largest if largest > 0 else None
