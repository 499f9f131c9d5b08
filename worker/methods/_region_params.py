"""The parameters of how a picture is cut into regions, shared by every method that needs regions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from jobs.schemas import Frozen
from worker.methods._registry import Params

Prior = Literal["quickshift", "slic", "grid", "none", "given", "sam"]

Coordinate = Annotated[int, Field(ge=0, le=4096)]
Label = Annotated[int, Field(ge=-1, le=65_535)]

GIVEN_NEEDS_REGIONS: dict[str, Any] = {
    "if": {"properties": {"prior": {"const": "given"}}, "required": ["prior"]},
    "then": {"properties": {"regions": {"type": "object"}}, "required": ["regions"]},
    "else": {"properties": {"regions": {"type": "null"}}},
}
"""JSON Schema of what `RegionParams.check_regions` demands, for the gateway."""


class Boxes(Frozen):
    """Regions as boxes; what lies in none belongs to no region."""

    boxes: tuple[tuple[Coordinate, Coordinate, Coordinate, Coordinate], ...] = Field(
        min_length=1, max_length=1000,
        description="left, top, right, bottom in pixels of the model's input, right and bottom exclusive; a later "
        "box covers an earlier one.",
    )  # fmt: skip


class LabelMap(Frozen):
    """Regions as a map of labels."""

    labels: tuple[Annotated[tuple[Label, ...], Field(min_length=1, max_length=4096)], ...] = Field(
        min_length=1, max_length=4096,
        description="One label a pixel of the model's input, row by row; -1 belongs to no region.",
    )  # fmt: skip


class RegionParams(Params):
    """How a picture is cut into regions."""

    prior: Prior = Field(
        "quickshift",
        description="How the picture is cut into regions. none: one region, each seed lies outside the sets before. "
        "given: see regions. sam: Segment Anything, where the operator provides it.",
        json_schema_extra={"x-needs-setting": {"sam": "sam_model"}},
    )
    regions: Boxes | LabelMap | None = Field(
        None, description="The regions of prior=given.", json_schema_extra={"x-shape-of-input": "labels"}
    )
    quickshift_kernel: float = Field(4.0, gt=0, le=50, description="Width of quickshift's kernel, in pixels.")
    quickshift_max_distance: float = Field(
        200.0,
        gt=0,
        le=1000,
        description="Longest step inside a region, in the joint space of place (pixels) and colour.",
    )
    quickshift_ratio: float = Field(0.2, ge=0, le=1, description="Weight of colour against place in quickshift.")
    slic_segments: int = Field(50, ge=1, le=1000, description="About how many regions SLIC makes.")
    sam_points: int = Field(32, ge=1, le=64, description="Points per side of the grid that prompts SAM.")
    sam_quality: float = Field(0.88, ge=0, le=1, description="Lowest overlap that SAM predicts for a mask it may keep.")
    sam_stability: float = Field(0.95, ge=0, le=1, description="Lowest stability of a SAM mask.")
    sam_area: int = Field(1000, ge=0, le=1_000_000, description="Smaller parts and holes of SAM masks go, in pixels.")

    def check_regions(self) -> None:
        """Check that regions are given where the prior takes them, and only there.

        Raises:
            ValueError: They are not.
        """
        if (self.prior == "given") != (self.regions is not None):
            raise ValueError("expected regions together with prior=given, and only then")
