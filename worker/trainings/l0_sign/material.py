"""What every network of a job learns from: rows, targets, parts, and what is minimised."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from jobs.errors import InputTooLarge, InvalidInput
from worker.methods.l0_sign.losses import Objective
from worker.methods.l0_sign.pairs import LONGEST, Rows
from worker.trainings._data import Data, Labels
from worker.trainings._parts import Parts, parts_of
from worker.trainings.l0_sign.logs import Log, log_of
from worker.trainings.l0_sign.params import L0SignParams

PAIRS_AT_ONCE = 1 << 22
"""Pairs in one evaluation, some 500 MB."""

PAIRS_A_STEP = 1 << 24
"""Pairs in a batch on average, at most: what a step keeps for its gradient is some 2 GB."""


STEPS_AN_EPOCH = 24
BATCHES = (32, 1024)


@dataclass(frozen=True, kw_only=True)
class Material:
    """A dataset, ready to be learned from.

    Attributes:
        targets: `(rows,)`: int64 0 and 1, or float32 numbers, standardised by the training rows.
        by_class: `(2,)` weights of the losses; None: all 1.
        batch: Rows a step.
        mean, std: Of the numbers; a margin times std, and the mean, is in the target's unit.
    """

    log: Log
    labels: Labels
    parts: Parts
    targets: Tensor
    objective: Objective
    batch: int
    by_class: Tensor | None = None
    mean: float = 0.0
    std: float = 1.0

    @property
    def of_classes(self) -> bool:
        return self.objective == "cross-entropy"


def material_of(data: Data, params: L0SignParams, *, seed: int) -> Material:
    """Draw the parts, read the rows, and check that there is something to learn.

    Raises:
        InvalidInput: There are not two classes, or all training rows have the same number.
        InputTooLarge: A row has too many features, or a batch too many pairs.
    """
    labels = data.labels
    check_labels(labels, published=params.compat == "published")
    parts = parts_of(labels, validation=params.validation, test=params.test, seed=seed)
    log = log_of(data, parts.train, least_support=params.least_support, published=params.compat == "published")
    batch = _batch(log.rows, len(parts.train), params.batch_size)
    if labels.task == "regression":
        return _of_numbers(log, labels, parts, batch)
    weights = class_weights(labels.values[parts.train]) if params.balanced else None
    return Material(
        log=log, labels=labels, parts=parts, targets=labels.values.long(), objective="cross-entropy", batch=batch,
        by_class=weights,
    )  # fmt: skip


def check_labels(labels: Labels, *, published: bool) -> None:
    """Check that the labels can be learned.

    Raises:
        InvalidInput: There are not two classes, or the published network, which has two outputs, is to learn numbers.
    """
    if labels.task == "regression":
        if published:
            raise InvalidInput("expected two classes, as the published network has an output for each; got numbers")
        return
    if labels.outputs != 2:
        raise InvalidInput(f"expected two classes, got {labels.outputs}")
    if len(present := torch.unique(labels.values)) != 2:
        raise InvalidInput(f"expected rows of two classes, got only {labels.classes[int(present[0])]!r}")


def class_weights(labels: Tensor) -> Tensor:
    """Return weights of the two classes, `(2,)`, that make both count the same, 1 on average over `labels`."""
    return len(labels) / (2 * torch.bincount(labels, minlength=2).clamp(min=1))


def portions(rows: Rows, which: Tensor, *, most: int) -> Iterator[Tensor]:
    """Split the indices `which` so that no part has more than `most` rows or about `PAIRS_AT_ONCE` pairs."""
    pairs = _pairs_of_rows(rows)[which].cumsum(0)
    begin, before = 0, 0
    while begin < len(which):
        end = int(torch.searchsorted(pairs, before + PAIRS_AT_ONCE, right=True))
        end = min(max(end, begin + 1), begin + most)
        yield which[begin:end]
        begin, before = end, int(pairs[end - 1])


def _of_numbers(log: Log, labels: Labels, parts: Parts, batch: int) -> Material:
    values = labels.values.double()
    mean, std = float(values[parts.train].mean()), float(values[parts.train].std(correction=0))
    if not std > 0:
        raise InvalidInput("the target is the same in all rows that are learned from; there is nothing to learn")
    targets = ((values - mean) / std).float()
    return Material(
        log=log, labels=labels, parts=parts, targets=targets, objective="squared", batch=batch, mean=mean, std=std
    )


def _batch(rows: Rows, train: int, asked: int | None) -> int:
    """Return the rows a step, and check that their pairs fit in memory.

    Where nothing is asked for, it is the power of two that comes closest to `STEPS_AN_EPOCH`, within `BATCHES`: with
    1024 rows a step, some thousand rows give too few steps to learn from.
    """
    _check_longest(rows)
    pairs = float(_pairs_of_rows(rows).double().mean())
    fits = max(1, int(PAIRS_A_STEP / max(pairs, 1)))
    if asked is None:
        closest = 1 << round(math.log2(max(train / STEPS_AN_EPOCH, 1)))
        return min(max(closest, BATCHES[0]), BATCHES[1], fits)
    if pairs * min(asked, len(rows)) > PAIRS_A_STEP:
        raise InputTooLarge(
            f"a batch of {asked} rows has {pairs * asked:.3g} pairs on average, expected at most {PAIRS_A_STEP}; "
            f"a batch_size of {fits} fits"
        )
    return asked


def _check_longest(rows: Rows) -> None:
    longest = int(rows.lengths.max())
    if longest > LONGEST:
        row = int(rows.lengths.argmax()) + 1
        raise InputTooLarge(
            f"row {row} has {longest} different features, expected at most {LONGEST}: a row of n has n(n + 1)/2 pairs"
        )


def _pairs_of_rows(rows: Rows) -> Tensor:
    lengths = rows.lengths
    return lengths * (lengths + 1) // 2
