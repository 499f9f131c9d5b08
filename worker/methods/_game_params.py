"""The parameters shared by every method that plays a game: who plays, what absence is, which number is explained."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from jobs.rules import KEYWORD, Rule, broken
from worker.methods._baselines import Baseline
from worker.methods._game_rules import CONSISTENCY, DEFAULT_COUNT, FITTING
from worker.methods._region_params import RegionParams
from worker.methods._values import ValueName

Who = Literal["auto", "grid", "cells", "regions", "columns", "words"]
Absence = Literal["auto", "given", "mask"] | Baseline

Member = Annotated[int, Field(ge=0, le=1_000_000)] | Annotated[str, Field(min_length=1, max_length=200)]
Number = Annotated[float, Field(ge=-3.4e38, le=3.4e38)]  # what float32, in which models compute, can hold
Group = Annotated[tuple[Member, ...], Field(min_length=1, max_length=10_000)]


def _with_rules(schema: dict[str, Any], params: type[Any]) -> None:
    schema[KEYWORD] = [rule.model_dump() for rule in params.rules]


class GameParams(RegionParams):
    """Who plays, what absence is, and which number is explained.

    A method overrides the defaults that suit it, and adds the rules of what it can afford.
    """

    rules: ClassVar[tuple[Rule, ...]] = (*CONSISTENCY, *FITTING)

    model_config = ConfigDict(json_schema_extra=_with_rules)

    players: Who = Field(
        "auto",
        description="grid: all cells of a grid over the picture, or over the feature map of layer. cells: some cells "
        "of a grid's central block, drawn by the seed; the other cells are always present. regions: of the picture, "
        "by prior. columns: of a table's row. words: of a text, with all their tokens. auto: a picture's grid, its "
        "given regions where prior is given, or cells where layer is named; all columns; all words.",
    )
    count: int | None = Field(
        None, ge=2, le=4096,
        description="How many play, among cells, regions, columns or words; all others are always present. Default: "
        f"{DEFAULT_COUNT} cells or regions of the picture's own, all given regions, all columns, all words.",
    )  # fmt: skip
    grid_rows: int = Field(3, ge=1, le=64, description="Rows of players=grid.")
    grid_columns: int = Field(3, ge=1, le=64, description="Columns of players=grid.")
    cell_grid: int = Field(8, ge=1, le=64, description="Cells per side of the grid that players=cells draws from.")
    cell_border: int = Field(1, ge=0, le=31, description="Rings of outer cells that players=cells never draws.")

    prior: Literal["slic", "quickshift", "given", "sam"] = Field(
        "slic",
        description="How the picture is cut for players=regions. given: see regions. sam: Segment Anything, where the "
        "operator provides it.",
        json_schema_extra={"x-needs-setting": {"sam": "sam_model"}},
    )
    slic_segments: int = Field(
        20, ge=1, le=1000,
        description="How many regions SLIC starts from; of a photograph about half are left, as small ones are merged.",
    )  # fmt: skip
    region_choice: Literal["largest", "random"] = Field(
        "largest", description="Which regions play where there are more than count."
    )
    groups: tuple[Group, ...] | None = Field(
        None, min_length=2, max_length=4096,
        description="Columns (by number or name) or words (by number), a list a player; the others are always present.",
    )  # fmt: skip
    layer: str | None = Field(
        None, min_length=1, max_length=200,
        description="Players are cells of this layer's feature map, and absence is zero there, instead of in the "
        "picture.",
    )  # fmt: skip

    baseline: Absence = Field(
        "auto",
        description="What stands for absence. zeros of the model's own (normalised) input or feature map; black, mean "
        "or blur of a picture; given: baseline_values; mask: the mask token. auto: mask for words, else zeros.",
    )
    baseline_values: tuple[Number, ...] | None = Field(
        None, min_length=1, max_length=100_000,
        description="Of baseline=given: one number a column, or a colour, one number in [0, 1] a channel.",
    )  # fmt: skip
    player_baselines: tuple[Literal["zeros", "black", "mean", "blur", "given"], ...] | None = Field(
        None,
        min_length=2,
        max_length=4096,
        description="What stands for the absence of each player; default: baseline.",
    )
    value: ValueName = Field(
        "log-odds",
        description="Which number is explained: log p/(1 - p) of the class, its logit, or its probability p. With "
        "target.against it is the difference of the two logits.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for fault in broken(CONSISTENCY, dict(self)):
            raise ValueError(fault.detail)
        return self
