"""The regions that a set may grow in, as the parameters ask for them."""

from __future__ import annotations

from worker.methods import _regions
from worker.methods._priors import segments
from worker.methods._regions import Labels
from worker.methods._registry import Subject
from worker.methods.h_sets.params import HSetsParams


def regions(subject: Subject, params: HSetsParams) -> Labels:
    """Return `(height, width)` labels; below 0 belongs to no region.

    Raises:
        InvalidInput: The prior needs a picture, and the subject has none.
        InvalidParameters: The given regions do not fit the picture, or the operator provides no SAM.
    """
    height, width = subject.input.shape[-2:]
    if params.prior == "none":
        return _regions.whole(height, width)
    if params.prior == "grid":
        return _regions.grid(height, width, cells=params.grid_cells)
    return segments(subject, params)
