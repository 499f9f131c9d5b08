"""The parameters of H-Sets, and its two presets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from jobs.set_scores import Formula
from worker.methods._baselines import Baseline
from worker.methods._paths import PathClass
from worker.methods._region_params import GIVEN_NEEDS_REGIONS, RegionParams
from worker.methods.h_sets.growth import Rule, Search, Spread, ThresholdKind
from worker.methods.h_sets.seeds import SeedKind
from worker.models.surgery import Smoothing

_SHARE_OF_ONE = ("relative", "quantile", "min-max")


class HSetsParams(RegionParams):
    """Parameters of H-Sets."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                GIVEN_NEEDS_REGIONS,
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

    grid_cells: int = Field(7, ge=1, le=224, description="Regions per side of prior=grid.")

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
        self.check_regions()
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
