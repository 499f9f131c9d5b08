"""Which rows are learned from, which stop the training, which judge it; and the target as networks take it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jobs.errors import InvalidInput
from worker.trainings._data import Labels
from worker.trainings._parts import Parts, cuts_of, joined
from worker.trainings.nid.moments import moments
from worker.trainings.nid.params import NidParams

_LEAST = 3


@dataclass(frozen=True)
class Target:
    """What is learned.

    Attributes:
        y: `(rows, 1)` standardised numbers or 0 and 1; of several classes `(rows,)` indices.
        outputs: Of a network: one number, one logit of the second class, or a logit a class.
        unit: A network's output times this is in the target's own unit; 1 for logits.
        mean: What is added then; 0 for logits.
    """

    labels: Labels
    y: Tensor
    outputs: int
    unit: float
    mean: float = 0.0


def parts_of(labels: Labels, params: NidParams, *, seed: int) -> Parts:
    """Draw the parts by the seed, class by class.

    Raises:
        InvalidInput: A part would have too few rows.
    """
    rows = len(labels.values)
    used = min(1.0, params.most_rows / rows)
    parts = joined(cuts_of(labels, validation=params.validation, test=params.test, seed=seed, used=used))
    if min(len(parts.train), len(parts.validation), len(parts.test)) < _LEAST:
        raise InvalidInput(
            f"{rows} rows leave {len(parts.train)} to learn from, {len(parts.validation)} for validation and "
            f"{len(parts.test)} for the test; at least {_LEAST} of each are needed"
        )
    return parts


def target_of(labels: Labels, train: Tensor) -> Target:
    """Make the target of networks; a number is standardised by the training rows.

    Raises:
        InvalidInput: All training rows have the same target.
    """
    if len(torch.unique(labels.values[train])) < 2:
        raise InvalidInput("the target is the same in all rows that are learned from; there is nothing to learn")
    if labels.task == "regression":
        values = labels.values.double()
        mean, std = moments(values[train])
        return Target(labels, ((values - mean) / std).float()[:, None], 1, std, mean)
    if len(labels.classes) == 2:
        return Target(labels, labels.values.float()[:, None], 1, 1.0)
    return Target(labels, labels.values.long(), len(labels.classes), 1.0)
