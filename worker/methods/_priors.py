"""The regions of a subject's picture, as the parameters ask for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.errors import InvalidInput
from worker.methods import _regions, _sam
from worker.methods._region_params import Boxes, LabelMap, RegionParams
from worker.methods._regions import Labels
from worker.methods._registry import Subject
from worker.methods._seats import refused


def segments(subject: Subject, params: RegionParams) -> Labels:
    """Return `(height, width)` labels by quickshift, slic, sam or as given; below 0 belongs to no region.

    Raises:
        InvalidInput: The prior needs a picture, and the subject has none.
        InvalidParameters: The given regions do not fit the picture, or the operator provides no SAM.
    """
    if params.prior == "given":
        height, width = subject.input.shape[-2:]
        return _given(params.regions, height=height, width=width)
    pixels = _pixels(subject)
    if params.prior == "slic":
        return _regions.slic(pixels, segments=params.slic_segments)
    if params.prior == "sam":
        return _by_sam(subject, params)
    return _regions.quickshift(
        pixels, kernel=params.quickshift_kernel, max_distance=params.quickshift_max_distance,
        ratio=params.quickshift_ratio,
    )  # fmt: skip


def _pixels(subject: Subject) -> NDArray[np.floating[Any]]:
    if subject.pixels is None:
        raise InvalidInput("expected a picture to segment, got an input without pixels; use prior none, grid or given")
    return subject.pixels.cpu().numpy().astype(np.float64)


def _given(given: Boxes | LabelMap | None, *, height: int, width: int) -> Labels:
    try:
        if isinstance(given, Boxes):
            return _regions.boxes(given.boxes, height=height, width=width)
        labels = _regions.label_map(given.labels if given else (), height=height, width=width)
    except ValueError as error:
        raise refused("regions", str(error)) from error
    if labels.max() < 0:
        raise refused("regions", "expected at least one label of 0 or above, got none: there is no region to grow in")
    return labels


def _by_sam(subject: Subject, params: RegionParams) -> Labels:
    source = subject.resources.get("sam_model")
    if source is None:
        raise refused("prior", "prior sam needs a Segment Anything model, and this service has none; see its settings")
    masks = _sam.masks(
        _pixels(subject), source, device=subject.input.device, points_per_side=params.sam_points,
        least_quality=params.sam_quality, least_stability=params.sam_stability, least_area=params.sam_area,
        report=lambda done, total: subject.report("regions", done, total),
    )  # fmt: skip
    return _regions.painted(masks, height=masks.shape[1], width=masks.shape[2])
