"""The parameters of H-Sets, and its two presets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from jobs.schemas import Frozen
from jobs.set_scores import Formula
from worker.methods._baselines import Baseline
from worker.methods._paths import PathClass
from worker.methods._registry import Params
from worker.methods.h_sets.growth import Rule, Search, Spread, ThresholdKind
from worker.methods.h_sets.seeds import SeedKind
from worker.models.surgery import Smoothing

Prior = Literal["quickshift", "slic", "grid", "none", "given", "sam"]

Coordinate = Annotated[int, Field(ge=0, le=4096)]
Label = Annotated[int, Field(ge=-1, le=65_535)]

_SHARE_OF_ONE = ("relative", "quantile", "min-max")


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


class HSetsParams(Params):
    """Parameters of H-Sets."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                {
                    "if": {"properties": {"prior": {"const": "given"}}, "required": ["prior"]},
                    "then": {"properties": {"regions": {"type": "object"}}, "required": ["regions"]},
                    "else": {"properties": {"regions": {"type": "null"}}},
                },
                {
                    "if": {"properties": {"threshold_kind": {"enum": list(_SHARE_OF_ONE)}}},
                    "then": {"properties": {"threshold": {"maximum": 1}}},
                },
            ]
        }
    )

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "published": {
            "seeds": "gradient",
            "threshold_kind": "min-max",
            "growth": "anywhere",
            "search": "depth-first",
            "keep_seed": False,
            "set_size": 2001,
            "max_rows": 64,
            "path_class": "per-point",
            "formula": "published",
            "subsets": 30,
        },
    }

    preset: Literal["paper", "published"] = Field(
        "paper",
        description="paper: as the paper describes the method. published: as the authors' code computes it, which "
        "differs in seeds, threshold, growth, class and formula. Parameters that are given override the preset's.",
    )

    sets: int = Field(5, ge=1, le=50, description="Most sets to return.")
    set_size: int = Field(2000, ge=1, le=20_000, description="Most members of a set: channel values of pixels.")
    seeds: SeedKind = Field(
        "integrated-gradients", description="What ranks the features of a region; its best one is the set's seed."
    )

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
    grid_cells: int = Field(7, ge=1, le=224, description="Regions per side of prior=grid.")
    sam_points: int = Field(32, ge=1, le=64, description="Points per side of the grid that prompts SAM.")
    sam_quality: float = Field(0.88, ge=0, le=1, description="Lowest overlap that SAM predicts for a mask it may keep.")
    sam_stability: float = Field(0.95, ge=0, le=1, description="Lowest stability of a SAM mask.")
    sam_area: int = Field(1000, ge=0, le=1_000_000, description="Smaller parts and holes of SAM masks go, in pixels.")

    threshold: float = Field(
        0.5,
        ge=0,
        description="Hessian entries above it interact; its unit is threshold_kind's, at most 1 but for absolute.",
    )
    threshold_kind: ThresholdKind = Field(
        "relative",
        description="relative: share of the row's largest |H|. absolute: |H| itself, in logits per squared unit of the "
        "normalised input. quantile: of the row's |H|. min-max: of the signed row scaled to 0..1.",
    )
    growth: Spread = Field("region", description="Members come from the seed's region, from there first, or anywhere.")
    search: Search = Field("strongest-first", description="Which member's Hessian row is read next.")
    keep_seed: bool = Field(True, description="The seed is a member even where its own diagonal entry does not pass.")
    max_rows: int = Field(32, ge=1, le=1000, description="Most Hessian rows a set may use.")

    smoothing: Smoothing = Field(
        "paper",
        description="What replaces ReLU so that it has a second derivative. algebraic: (z + sqrt(z² + t)) / 2.",
    )
    smoothing_t: float = Field(1e-3, gt=0, le=10, description="Width t of the smoothing; unit: squared pre-activation.")
    straight_through: bool = Field(
        True, description="Smooth the derivatives only: the forward values stay those of the exact ReLU."
    )

    baseline: Baseline = Field(
        "zeros",
        description="What stands for absence: zeros of the normalised input (mean grey), black, the picture's mean "
        "colour, or the picture blurred.",
    )
    path_steps: int = Field(30, ge=1, le=1000, description="Path steps m; costs m + 1 forwards and backwards in all.")
    path_class: PathClass = Field(
        "fixed",
        description="fixed: one class along the path. per-point: the class predicted at each point of it.",
        json_schema_extra={"x-refuses-target": ["per-point"]},
    )
    formula: Formula = Field(
        "paper",
        description="paper: mean over subsets of the mean |directional gradient|. published: sum over subsets of the "
        "length of the gradient's mean size, weighted by the direction.",
    )
    subsets: int = Field(1000, ge=1, le=10_000, description="Random subsets per set (Monte Carlo); hardly any cost.")

    @model_validator(mode="after")
    def _check(self) -> HSetsParams:
        if (self.prior == "given") != (self.regions is not None):
            raise ValueError("expected regions together with prior=given, and only then")
        if self.threshold_kind in _SHARE_OF_ONE and self.threshold > 1:
            raise ValueError(f"expected a threshold of at most 1 for {self.threshold_kind}, got {self.threshold}")
        return self

    @property
    def rule(self) -> Rule:
        """How the sets grow."""
        return Rule(
            threshold=self.threshold, threshold_kind=self.threshold_kind, spread=self.growth, search=self.search,
            keep_seed=self.keep_seed, set_size=self.set_size, max_rows=self.max_rows,
        )  # fmt: skip

    @property
    def departures(self) -> list[str]:
        """The names of the parameters that differ from the preset."""
        preset = HSetsParams(preset=self.preset)
        return [name for name in type(self).model_fields if getattr(self, name) != getattr(preset, name)]
