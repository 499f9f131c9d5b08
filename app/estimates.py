"""What an explanation would cost, from the catalogue's expressions and the times that the model's inspection took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.documents import EstimateDocument
from app.validation import Checked
from jobs import catalog
from jobs.schemas import Cost, Inspection, Model

NOTE: Final = (
    "an estimate: the counts are upper bounds, the seconds scale what one probe took on the machine that inspected the "
    "model; what is computed beside the model comes on top (the regions of a picture; the logical model of and-or, "
    "which takes seconds for 12 players and minutes for more), as do pictures and waiting in the queue"
)


def estimated(checked: Checked) -> EstimateDocument:
    """Return the estimate of a checked request."""
    found = checked.inspection
    cost = catalog.estimate(checked.spec, checked.quantities)
    return EstimateDocument(
        method=checked.spec.id,
        model=checked.model.id,
        params=checked.params,
        cost=cost,
        seconds=round(_seconds(cost, found), 4),
        bytes=checked.model.size_bytes + _largest(checked.checkpoints) + found.activation_bytes,
        note=NOTE,
    )


def _largest(checkpoints: Sequence[Model]) -> int:
    """Checkpoints are loaded one by one, beside the model."""
    return max((earlier.size_bytes for earlier in checkpoints), default=0)


def _seconds(cost: Cost, found: Inspection) -> float:
    """Where a probe could not measure a derivative, the method does not need it and its count is 0."""
    return (
        cost.forwards * found.seconds_forward
        + cost.backwards * (found.seconds_backward or 0.0)
        + cost.hessian_rows * (found.seconds_hessian_row or 0.0)
    )
