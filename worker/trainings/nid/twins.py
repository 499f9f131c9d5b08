"""Columns that say much the same: where two are correlated, interactions of one can show at the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from worker.trainings.nid.sample import Floats
from worker.trainings.nid.search import Material

_SAME = 1 - 1e-9
"""Correlation from which two columns are one: standardised float32 numbers of copies differ by rounding only."""


@dataclass(frozen=True)
class Twins:
    """Pairs of columns with the size of their correlation, the largest first.

    Attributes:
        same: One says all that the other says: copies but for a scale and a shift, or for the names of categories.
        alike: Correlated by more than `MUCH`, but no copies.
    """

    MUCH: ClassVar[float] = 0.8

    same: tuple[tuple[int, int, float], ...]
    alike: tuple[tuple[int, int, float], ...]


def twins_of(material: Material) -> Twins:
    """Compare every two columns over the training rows."""
    sizes = _correlations(material)
    rows, columns = np.triu_indices(len(sizes), 1)
    falling = np.argsort(-sizes[rows, columns], kind="stable")
    found = [(int(rows[k]), int(columns[k]), float(sizes[rows[k], columns[k]])) for k in falling]
    return Twins(
        same=tuple(one for one in found if one[2] >= _SAME),
        alike=tuple(one for one in found if Twins.MUCH < one[2] < _SAME),
    )


def _correlations(material: Material) -> Floats:
    """Root mean square of every two columns' canonical correlations, |r| of two numbers: `(fields, fields)`."""
    x = material.train.x.double().numpy()
    bases = [_basis(x[:, place]) for place in material.fields.slices]
    ends = np.cumsum([basis.shape[1] for basis in bases])
    whole = np.concatenate(bases, axis=1)
    products = whole.T @ whole
    parts = [slice(end - basis.shape[1], end) for end, basis in zip(ends.tolist(), bases, strict=True)]
    sizes = [[np.square(products[one, other]).sum() for other in parts] for one in parts]
    widths = np.array([basis.shape[1] for basis in bases])
    return np.asarray(np.sqrt(np.array(sizes) / np.minimum(widths[:, None], widths[None])), dtype=np.float64)


def _basis(inputs: Floats) -> Floats:
    """Return an orthonormal basis of what a column's inputs say around their mean."""
    centred = inputs - inputs.mean(0)
    vectors, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    return np.asarray(vectors[:, sizes > 1e-9 * max(sizes[0], 1e-300)], dtype=np.float64)
