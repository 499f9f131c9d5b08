"""The checks of an answer: does the logical model match every masked state, and how far from the sparsest is it?"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from jobs.schemas import Check
from worker.methods.and_or.findings import Findings
from worker.methods.and_or.params import AndOrParams
from worker.methods.and_or.problem import predict

MATCHING = 1e-10
"""Of the largest |v|: the transforms lose some 1e-13 of it at 10 players and 1e-11 at 20."""


def checks(params: AndOrParams, found: Findings) -> Iterator[Check]:
    """Yield the checks."""
    yield _matching(found)
    yield _noise(found)
    yield _gap(params, found)


def deviation(found: Findings) -> Tensor:
    """Return v(T) - h(T) of the logical model h, at every masked state T: `(2^n,)`."""
    return found.table - predict(found.solution.atoms, found.problem.bias, torch.arange(len(found.table)))[0]


def residual(found: Findings) -> float:
    """Return max |v(T) - δ(T) - h(T)|, where the noise δ is what of v - h the band holds."""
    apart, width = deviation(found), found.problem.bands[0] * found.problem.state_mask()
    return float((apart - apart.clamp(-width, width)).abs().max())


def _matching(found: Findings) -> Check:
    value, limit = residual(found), MATCHING * max(float(found.table.abs().max()), 1.0)
    return Check(
        name="matching-residual",
        value=value,
        passed=value <= limit,
        meaning=f"Largest |v(T) - δ(T) - h(T)| over all {len(found.table)} masked states T, of the output v, the noise "
        f"δ inside its band and the logical model h: universal matching (Theorem 2.1), so at most {limit:.1e}.",
    )


def _noise(found: Findings) -> Check:
    change = float((found.table - found.table[0]).norm())
    return Check(
        name="noise-share",
        value=float(deviation(found).norm()) / change if change else None,
        meaning="Root mean square of the noise δ relative to that of the output's change from all players masked: what "
        "the logical model leaves out.",
    )


def _gap(params: AndOrParams, found: Findings) -> Check:
    gap = float(found.solution.gap[0])
    if params.solver == "published":
        return Check(
            name="certified-gap",
            value=gap,
            meaning="The published recipe proves no bound: the sparsest logical model may be anything below.",
        )
    return Check(
        name="certified-gap",
        value=gap,
        passed=gap <= params.tolerance,
        meaning="By how much, at most, the logical model's total strength exceeds that of the sparsest one, as a share "
        f"of it: proved by a dual bound. Asked for: {params.tolerance:g}.",
    )
