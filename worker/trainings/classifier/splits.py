"""Which rows are learned from, and which are held out: drawn by the seed, class by class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from jobs.errors import InvalidInput
from worker.trainings._data import Data


@dataclass(frozen=True)
class Split:
    """Row indices, sorted."""

    train: Tensor
    validation: Tensor


def split_of(data: Data, *, share: float, seed: int) -> Split:
    """Hold out about `share` of the rows; of classes, the same share of each, and of none its only row.

    Raises:
        InvalidInput: One side would be left without a row.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = data.labels
    groups = labels.values.long() if labels.classes else torch.zeros(data.rows, dtype=torch.int64)
    held: list[Tensor] = []
    for group in torch.unique(groups):
        rows = (groups == group).nonzero()[:, 0]
        count = min(len(rows) - 1, max(round(share * len(rows)), 1 if share * len(rows) >= 0.5 else 0))
        held.append(rows[torch.randperm(len(rows), generator=generator)[:count]])
    validation = torch.cat(held).sort().values
    train = torch.ones(data.rows, dtype=torch.bool)
    train[validation] = False
    if not len(validation) or train.sum() < 2:
        raise InvalidInput(
            f"{data.rows} rows cannot be split so that {share:g} of them are held out for validation and two are left"
        )
    return Split(train=train.nonzero()[:, 0], validation=validation)
