"""Parameters of `order-modulation`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from jobs.rules import KEYWORD, Rule, broken
from worker.trainings.classifier.params import ClassifierParams

PLAYERS = "(grid_rows * grid_columns if dataset_kind == 'images' else columns)"
MOST_PLAYERS = 256
"""A grid of 16 × 16, the paper's."""

_TERMS = Rule(
    holds="(preset == 'normal') == (len(terms) == 0)",
    expected="one term or more with every preset but normal, and none with that",
    parameter="terms",
)
_RISING = Rule(holds="r1 < r2", expected="r1 below r2 in every term", got="r1", parameter="r1", each="terms")
_WHOLE = Rule(
    holds=f"(r1 * {PLAYERS} + 0.5) // 1 < (r2 * {PLAYERS} + 0.5) // 1",
    expected="r1 and r2 that give different whole numbers of players",
    fitting=PLAYERS,
    parameter="r2",
    each="terms",
)
_NUMBER = Rule(
    holds=f"2 <= {PLAYERS} and {PLAYERS} <= {MOST_PLAYERS}",
    expected=f"2 to {MOST_PLAYERS} players, the cells of a grid or columns of a table",
    got=PLAYERS,
    parameter="grid_rows",
)
_GRID = Rule(
    holds="dataset_kind != 'images' or grid_rows <= height and grid_columns <= width",
    expected="at most one cell a pixel",
    fitting="min(height, width)",
    got="max(grid_rows, grid_columns)",
    parameter="grid_rows",
)
_BLACK = Rule(
    holds="baseline != 'black' or dataset_kind == 'images'",
    expected="zeros or training-mean for a table",
    parameter="baseline",
)
RULES = (_TERMS, _RISING, _WHOLE, _NUMBER, _GRID, _BLACK)

Share = Annotated[float, Field(ge=0, le=1)]
Epsilon = Annotated[float, Field(gt=0, le=100)]


class Term(BaseModel):
    """One term of the loss: what Δu(r1, r2) shall do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["encourage", "suppress"] = Field(
        description="encourage: classify by the interactions of this range alone (L+). suppress: let them say nothing "
        "of the class (L-)."
    )
    r1: Share = Field(description="Share of the players in the smaller coalition.")
    r2: Share = Field(description="Share of the players in the larger coalition; the range ends there.")
    weight: float = Field(1.0, gt=0, le=1000, description="Of this term, beside 1 for the classification loss.")


def _term(kind: str, r1: float, r2: float) -> Mapping[str, Any]:
    return {"terms": [{"kind": kind, "r1": r1, "r2": r2, "weight": 1.0}]}


class OrderModulationParams(ClassifierParams):
    """How to train, what to make of interactions by order, and what is measured before and after."""

    model_config = ConfigDict(json_schema_extra={KEYWORD: [rule.model_dump() for rule in RULES]})

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "normal": {"terms": []},
        "low-order": _term("suppress", 0.7, 1.0),
        "mid-order": _term("encourage", 0.3, 0.7),
        "high-order": _term("suppress", 0.0, 0.5),
    }

    preset: Literal["custom", "normal", "low-order", "mid-order", "high-order"] = Field(
        "custom",
        description="The paper's four networks, all terms of weight 1: normal has none, low-order suppresses 0.7 to "
        "1, mid-order encourages 0.3 to 0.7, high-order suppresses 0 to 0.5. custom: see terms.",
    )
    terms: tuple[Term, ...] = Field((), max_length=8, description="Of the loss (Eq. 15), as many as wanted.")
    draws: int = Field(
        1, ge=1, le=16, description="Nested pairs of coalitions for each row, step and term; 1 as published."
    )
    grid_rows: int = Field(4, ge=1, le=16, description="Rows of the grid whose cells are a picture's players.")
    grid_columns: int = Field(4, ge=1, le=16, description="Columns of it; 16 × 16 as published.")
    baseline: Literal["zeros", "black", "training-mean"] = Field(
        "zeros",
        description="What stands for an absent cell or column: zeros of the network's own (normalised) input, black "
        "of a picture, or the mean input of the training rows.",
    )

    returned: Literal["best", "last"] = Field(
        "best",
        description="Which epoch's network is the result: that of the lowest sum of loss and terms over held-out rows, "
        "or the last one, as published.",
    )
    measured_inputs: int = Field(
        10, ge=2, le=1000, description="Held-out rows whose interactions are measured before and after."
    )
    budget: int = Field(
        4096, ge=1024, le=1_000_000,
        description="Evaluations for each of them: exact where all 2^n coalitions are within it and n is at most 16, "
        "else sampled.",
    )  # fmt: skip
    measured_rows: int = Field(
        500, ge=2, le=100_000, description="Held-out rows, at most, that are attacked and masked."
    )
    epsilons: tuple[Epsilon, ...] | None = Field(
        None, min_length=1, max_length=16,
        description="Largest changes of an attack (L∞): of a pixel in [0, 1], or of a table's input in its standard "
        "deviations. Default: 1, 2, 4 and 8 over 255, or 0.1, 0.2, 0.4 and 0.6.",
    )  # fmt: skip
    attack_steps: int = Field(20, ge=1, le=1000, description="Of projected gradient ascent; 50 to 100 as published.")
    attack_step: float | None = Field(
        None, gt=0, le=100,
        description="Size of a step in the unit of epsilons; 0.01 as published. Default: 2.5 epsilon over the steps.",
    )  # fmt: skip

    @model_validator(mode="after")
    def _check_terms(self) -> Self:
        names = {"preset": self.preset, "terms": [dict(term) for term in self.terms]}
        for fault in broken((_TERMS, _RISING), names):
            raise ValueError(fault.detail)
        return self
