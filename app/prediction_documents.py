"""Requests and documents of :predict, :explain and …/interactions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from jobs.row_models import RowTask
from jobs.schemas import Frozen

MAX_PREDICTED = 10_000
MAX_EXPLAINED = 256
MAX_LISTED = 1000
MAX_LISTED_TOGETHER = 50_000
"""Contributions in one answer, some 8 MB."""

_ROW_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {
            "type": "object",
            "additionalProperties": {"type": ["number", "string", "null"]},
            "description": "A row of a table, by column name; null: the value is missing.",
        },
        {
            "type": "array",
            "items": {
                "anyOf": [
                    {"type": "integer"},
                    {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
                ]
            },
            "description": "A set of ids, or of `[id, value]`.",
        },
    ]
}


def _rows_schema(most: int) -> WithJsonSchema:
    return WithJsonSchema({"type": "array", "minItems": 1, "maxItems": most, "items": _ROW_SCHEMA})


class PredictRequest(Frozen):
    """Rows to be predicted."""

    rows: Annotated[tuple[Any, ...], Field(min_length=1, max_length=MAX_PREDICTED), _rows_schema(MAX_PREDICTED)]


class ExplainRequest(Frozen):
    """Rows whose predictions are to be taken apart."""

    rows: Annotated[tuple[Any, ...], Field(min_length=1, max_length=MAX_EXPLAINED), _rows_schema(MAX_EXPLAINED)]
    top: int = Field(20, ge=0, le=MAX_LISTED, description="How many contributions of a row to list, largest first.")
    target: int | Annotated[str, Field(max_length=200)] | None = Field(
        None, description="Of three classes or more: the one whose margin is explained; default: each row's likeliest."
    )


class InteractionsQuery(BaseModel):
    """Which pairs, and how to page."""

    model_config = ConfigDict(extra="forbid")

    feature: str | None = Field(
        None,
        max_length=10_200,
        description="Only what it takes part in: an id, `column=category`, a category, a column; by field: a field.",
        examples=["Gmail"],
    )
    by: Literal["feature", "field"] = Field("feature", description="Pairs of features, or of fields (columns).")
    limit: int = Field(50, ge=1, le=1000)
    cursor: str | None = Field(None, max_length=20, pattern=r"^[0-9]+$")


class PredictionDocument(BaseModel):
    """A row's prediction."""

    score: float = Field(description="Probability of class 1; of several classes, of the label; or the number itself.")
    label: str | None = Field(description="The likelier class; None of a number.")
    margin: float = Field(description="The logit of class 1, or of the label; or the number itself.")
    probabilities: list[float] | None = Field(description="By class; None of a number.")
    unknown: list[str] = Field(description="What the model does not know of the row: counted as the unknown feature.")
    notes: list[str] = Field(description="What else to know of how the row was read.")


class PredictionsDocument(BaseModel):
    """Predictions, in the order of the rows."""

    model: str
    task: RowTask
    unit: str = Field(description="Of margins and contributions.", examples=["logits"])
    classes: list[str] | None
    rows: list[PredictionDocument]
    notes: list[str]


class EdgeDocument(BaseModel):
    """What a pair of features, or one alone, added to a prediction."""

    features: list[str] = Field(examples=[["app=Gmail", "place=home"]])
    fields: list[str | None] | None = Field(description="Of the features, where they have any.")
    gate: float = Field(description="Above 0, or it would be no edge.")
    contribution: float


class TermDocument(BaseModel):
    """What a column, or several together, added to a prediction, against its mean over the training rows."""

    columns: list[str]
    contribution: float


class ExplainedRowDocument(PredictionDocument):
    """A prediction taken apart: bias + all edges, or terms, + remainder = explained, but for `residual`."""

    target: str | None = Field(description="The class whose margin is explained; None of a number.")
    explained: float = Field(description="The margin of `target`, as the model gives it without being taken apart.")
    bias: float
    edges: list[EdgeDocument] | None = Field(description="Largest first; None of an additive model.")
    terms: list[TermDocument] | None = Field(description="Largest first; None of L0-SIGN.")
    remainder: float = Field(description="Sum of the contributions that are not listed.")
    sum: float = Field(description="Of all contributions.")
    residual: float = Field(description="|bias + sum - explained|.")
    kept: int = Field(description="Edges, or terms, that there are.")
    possible: int | None = Field(description="Pairs of features of the row, each with itself included.")


class ExplanationsDocument(BaseModel):
    """Explanations, in the order of the rows."""

    model: str
    task: RowTask
    unit: str
    classes: list[str] | None
    rows: list[ExplainedRowDocument]
    notes: list[str]


class OverallDocument(BaseModel):
    """What two features, or fields, or one alone, do over all training rows."""

    features: list[str] = Field(description="Of an additive model: columns. Empty by field.")
    fields: list[str | None] | None
    contribution: float | None = Field(
        description="Mean over the rows that have both. None of an additive model: a term's mean is 0."
    )
    size: float = Field(description="Mean absolute contribution; of several classes, the largest of `by_class`.")
    by_class: list[float] | None = Field(description="`size` of each of three classes or more.")
    support: int | None = Field(description="Training rows that have both; by field, counted once for each pair.")
    gate: float | None = Field(description="By field: share of `support` whose gate is open.")
    kept_in: int | None = Field(description="Of `networks`, those in which the gate is open.")
    spread: float | None = Field(description="Standard deviation of `contribution` over `networks`.")


class InteractionsDocument(BaseModel):
    """A page of what the model learned, strongest first: by size times support."""

    model: str
    by: Literal["feature", "field"]
    unit: str
    training_rows: int | None
    networks: int | None = Field(description="Trained from other random weights, for `kept_in` and `spread`.")
    total: int
    items: list[OverallDocument]
    next: str | None = Field(description="Path of the next page.")
