"""Which rows are learned from, which choose the best epoch, and which judge it: drawn by the seed, class by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jobs.errors import InvalidInput
from worker.trainings._data import Labels

Cut = tuple[Tensor, Tensor, Tensor]
"""Row indices of one class to learn from, for validation, for the test."""


@dataclass(frozen=True)
class Parts:
    """Row indices, sorted."""

    train: Tensor
    validation: Tensor
    test: Tensor

    @property
    def rows(self) -> int:
        """Rows that are used."""
        return len(self.train) + len(self.validation) + len(self.test)


def parts_of(labels: Labels, *, validation: float, test: float, seed: int) -> Parts:
    """Draw the parts; of classes, about the same share of each.

    Raises:
        InvalidInput: A part would lack a class, or be without a row.
    """
    cuts = cuts_of(labels, validation=validation, test=test, seed=seed)
    if any(len(part) == 0 for cut in cuts for part in cut):
        of = ", ".join(f"{name} ({count})" for name, count in _counts(labels)) or str(len(labels.values))
        raise InvalidInput(
            f"too few rows: {of}; {1 - validation - test:g} of them to learn from, {validation:g} for validation and "
            f"{test:g} for the test must each be one row at least, of every class"
        )
    return joined(cuts)


def cuts_of(labels: Labels, *, validation: float, test: float, seed: int, used: float = 1.0) -> list[Cut]:
    """Draw the parts of each class, or of all numbers.

    Args:
        used: Share of the rows that take part; at least one row of each class does.
    """
    generator = torch.Generator().manual_seed(seed)
    groups = labels.values.long() if labels.classes else torch.zeros(len(labels.values), dtype=torch.int64)
    cuts = []
    for group in torch.unique(groups):
        rows = (groups == group).nonzero()[:, 0]
        rows = rows[torch.randperm(len(rows), generator=generator)][: max(1, round(used * len(rows)))]
        held, judging = (round(share * len(rows)) for share in (validation, test))
        cuts.append((rows[held + judging :], rows[:held], rows[held : held + judging]))
    return cuts


def joined(cuts: Sequence[Cut]) -> Parts:
    """Put the parts of all classes together."""
    return Parts(*(torch.cat(part).sort().values for part in zip(*cuts, strict=True)))


def _counts(labels: Labels) -> list[tuple[str, int]]:
    counts = torch.bincount(labels.values.long(), minlength=len(labels.classes)) if labels.classes else torch.empty(0)
    return [(name, int(count)) for name, count in zip(labels.classes, counts.tolist(), strict=True)]
