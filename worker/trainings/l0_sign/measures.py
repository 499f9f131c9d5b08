"""How well margins tell two classes apart."""

from __future__ import annotations

import torch
from torch import Tensor


def accuracy(margins: Tensor, labels: Tensor) -> float:
    """Return the share of rows whose margin is above 0 just if the label is 1."""
    return float(((margins > 0) == (labels == 1)).double().mean())


def auc(margins: Tensor, labels: Tensor) -> float:
    """Return how often a row of class 1 has a higher margin than one of class 0, ties counting half.

    It is the area under the ROC curve, which the paper sums up by trapezia; NaN if there is a single class.
    """
    ones = labels == 1
    _, place, count = torch.unique(margins, return_inverse=True, return_counts=True)
    ranks = (count.cumsum(0) - (count - 1) / 2)[place].double()  # of ties, their mean
    positive = int(ones.sum())
    negative = len(labels) - positive
    if not (positive and negative):
        return float("nan")
    return (float(ranks[ones].sum()) - positive * (positive + 1) / 2) / (positive * negative)
