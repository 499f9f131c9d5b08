"""Two-way analysis of variance on the same rows: a comparison that sees products of columns only.

One least-squares model holds every input and every product of inputs of two columns; the statistic of a pair is the F
of its products, all other terms kept. For two numbers it is the squared t of their product.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from worker.trainings.nid.encoding import Fields
from worker.trainings.nid.search import Material
from worker.trainings.nid.verdict import Floats

MOST_TERMS = 2000
_SHRINK = 1e-9
"""Of the terms' mean square: a category's inputs sum to one, so that the model is singular without."""


def f_statistics(material: Material) -> Floats | None:
    """Return the F of every pair of fields, as `numpy.triu_indices(fields, 1)` lists them; of classes, the mean.

    None where there are more terms than `MOST_TERMS`, or than half the rows.
    """
    if _count(material.fields) > min(MOST_TERMS, len(material.train.x) // 2):
        return None
    x, blocks = _terms(material.fields, material.train.x.double())
    inverse = torch.linalg.inv(x.T @ x + _SHRINK * len(x) * torch.eye(x.shape[1], dtype=torch.float64))
    y = _targets(material)
    weights = inverse @ (x.T @ y)
    variance = (y - x @ weights).square().sum(0) / (len(x) - x.shape[1])
    return np.array([_f(weights[block], inverse[block, block], variance) for block in blocks])


def _count(fields: Fields) -> int:
    widths = [field.width for field in fields.fields]
    return 1 + sum(widths) + (sum(widths) ** 2 - sum(width**2 for width in widths)) // 2


def _f(weights: Tensor, inverse: Tensor, variance: Tensor) -> float:
    explained = (weights * torch.linalg.solve(inverse, weights)).sum(0) / len(weights)
    return float((explained / variance.clamp(min=torch.finfo(torch.float64).tiny)).mean())


def _terms(fields: Fields, x: Tensor) -> tuple[Tensor, list[slice]]:
    """Return a one, all inputs and all products, standardised, and where each pair's products are."""
    parts, blocks, end = [torch.ones(len(x), 1, dtype=torch.float64), _standardised(x)], [], 1 + x.shape[1]
    for first, second in zip(*np.triu_indices(len(fields), 1), strict=True):
        one, other = x[:, fields.slices[first]], x[:, fields.slices[second]]
        products = (one[:, :, None] * other[:, None, :]).flatten(1)
        parts.append(_standardised(products))
        blocks.append(slice(end, end + products.shape[1]))
        end += products.shape[1]
    return torch.cat(parts, dim=1), blocks


def _standardised(x: Tensor) -> Tensor:
    deviation = x.std(0, correction=0)
    return (x - x.mean(0)) / deviation.where(deviation > 0, 1.0)


def _targets(material: Material) -> Tensor:
    y = material.train.y
    if y.ndim == 1:
        return torch.nn.functional.one_hot(y, material.target.outputs).double()
    return y.double()
