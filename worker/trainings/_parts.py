"""Which rows are learned from, which choose the best epoch, and which judge it: drawn by the seed, class by class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jobs.errors import InvalidInput
from worker.trainings._data import Labels


@dataclass(frozen=True)
class Parts:
    """Row indices, sorted."""

    train: Tensor
    validation: Tensor
    test: Tensor


def parts_of(labels: Labels, *, validation: float, test: float, seed: int) -> Parts:
    """Draw the parts; of classes, about the same share of each.

    Raises:
        InvalidInput: A part would lack a class, or be without a row.
    """
    generator = torch.Generator().manual_seed(seed)
    groups = labels.values.long() if labels.classes else torch.zeros(len(labels.values), dtype=torch.int64)
    drawn = [_cut((groups == group).nonzero()[:, 0], validation, test, generator) for group in torch.unique(groups)]
    if any(len(part) == 0 for cut in drawn for part in cut):
        of = ", ".join(f"{name} ({count})" for name, count in _counts(labels)) or str(len(groups))
        raise InvalidInput(
            f"too few rows: {of}; {1 - validation - test:g} of them to learn from, {validation:g} for validation and "
            f"{test:g} for the test must each be one row at least, of every class"
        )
    return Parts(*(torch.cat(part).sort().values for part in zip(*drawn, strict=True)))


def _cut(rows: Tensor, validation: float, test: float, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    rows = rows[torch.randperm(len(rows), generator=generator)]
    held, judging = (round(share * len(rows)) for share in (validation, test))
    return rows[held + judging :], rows[:held], rows[held : held + judging]


def _counts(labels: Labels) -> list[tuple[str, int]]:
    counts = torch.bincount(labels.values.long(), minlength=len(labels.classes)) if labels.classes else torch.empty(0)
    return [(name, int(count)) for name, count in zip(labels.classes, counts.tolist(), strict=True)]
