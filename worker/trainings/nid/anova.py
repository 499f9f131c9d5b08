"""Two-way analysis of variance on the same rows: a comparison that sees products of columns only.

One least-squares model holds every input and every product of inputs of two columns; the statistic of a pair is the F
of its products, all other terms kept. For two numbers it is the squared t of their product.
"""

from __future__ import annotations

import numpy as np

from worker.trainings.nid.sample import Beat, Floats, Sample, silent

MOST_TERMS = 2000
_SHRINK = 1e-9
"""Of the terms' mean square: a category's inputs sum to one, so that the model is singular without."""
_ROWS_AT_ONCE = 4096
_EXACT = 1e-24
"""Of the target's mean square: where products fit it exactly, rounding is all that is left."""


def anova(sample: Sample, *, beat: Beat = silent) -> Floats:
    """Return the F of every pair, `(pairs,)`; of classes, the mean.

    Raises:
        ValueError: There are more terms than `MOST_TERMS`, or than half the rows.
    """
    blocks = [_inputs(sample.x[:, column], levels=levels) for column, levels in enumerate(sample.levels)]
    terms = _count([block.shape[1] for block in blocks])
    most = min(MOST_TERMS, len(sample.x) // 2)
    if terms > most:
        raise ValueError(
            f"expected at most {most} inputs and products of inputs with {len(sample.x)} rows, got {terms}"
        )
    x, places = _terms(blocks, list(sample.pairs()))
    y = _targets(sample)
    gram, right = _sums(x, y, beat)
    inverse = np.asarray(np.linalg.inv(gram + _SHRINK * len(x) * np.eye(terms)), dtype=np.float64)
    weights = inverse @ right
    variance = np.square(y - x @ weights).sum(0) / (len(x) - terms)
    variance = np.maximum(variance, _EXACT * np.square(y).mean(0))
    beat(1.0)
    return np.array([_f(weights[place], inverse[place, place], variance) for place in places])


def _count(widths: list[int]) -> int:
    return 1 + sum(widths) + (sum(widths) ** 2 - sum(width**2 for width in widths)) // 2


def _inputs(values: Floats, *, levels: bool) -> Floats:
    """Return a column's inputs: a number and whether it is missing, or one for each level."""
    if levels:
        return np.asarray(values[:, None] == np.unique(values), dtype=np.float64)
    missing = np.isnan(values)
    filled = np.where(missing, np.nanmean(values), values)
    return np.stack([filled, missing.astype(np.float64)], axis=1) if missing.any() else filled[:, None]


def _terms(blocks: list[Floats], pairs: list[tuple[int, int]]) -> tuple[Floats, list[slice]]:
    """Return a one, all inputs and all products, standardised, and where each pair's products are."""
    blocks = [_standardised(block) for block in blocks]
    parts, places = [np.ones((len(blocks[0]), 1)), *blocks], []
    end = sum(part.shape[1] for part in parts)
    for first, second in pairs:
        products = (blocks[first][:, :, None] * blocks[second][:, None, :]).reshape(len(blocks[first]), -1)
        parts.append(_standardised(products))
        places.append(slice(end, end + products.shape[1]))
        end += products.shape[1]
    return np.concatenate(parts, axis=1), places


def _sums(x: Floats, y: Floats, beat: Beat) -> tuple[Floats, Floats]:
    """Return XᵀX and XᵀY, some rows at a time, so that a job can be canceled in between."""
    gram, right = np.zeros((x.shape[1], x.shape[1])), np.zeros((x.shape[1], y.shape[1]))
    for start in range(0, len(x), _ROWS_AT_ONCE):
        beat(start / len(x))
        rows = slice(start, start + _ROWS_AT_ONCE)
        gram += x[rows].T @ x[rows]
        right += x[rows].T @ y[rows]
    return gram, right


def _f(weights: Floats, inverse: Floats, variance: Floats) -> float:
    explained = (weights * np.linalg.solve(inverse, weights)).sum(0) / len(weights)
    return float((explained / variance).mean())


def _standardised(x: Floats) -> Floats:
    deviation = x.std(0)
    return np.asarray((x - x.mean(0)) / np.where(deviation > 0, deviation, 1.0), dtype=np.float64)


def _targets(sample: Sample) -> Floats:
    if sample.classes > 2:
        return np.asarray(sample.y[:, None] == np.arange(sample.classes), dtype=np.float64)
    return sample.y[:, None]
