"""What a predictor answers, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from jobs.predictors.tensors import Floats

By = Literal["feature", "field"]


@dataclass(frozen=True)
class Remarks:
    """What a caller must know about how a row was read.

    Attributes:
        unknown: Features that the training rows did not have, as the caller wrote them.
        notes: Sentences on what else is not as it seems.
    """

    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Predicted:
    """Predictions of some rows.

    Attributes:
        margins: `(rows, outputs)`: logits, or numbers in the target's unit.
        remarks: One a row.
    """

    margins: Floats
    remarks: Sequence[Remarks]


@dataclass(frozen=True)
class Part:
    """What one feature or column, or several together, added to a prediction.

    Attributes:
        fields: Of the features, where they have any.
        gate: Of an edge.
    """

    features: tuple[str, ...]
    fields: tuple[str | None, ...] | None
    gate: float | None
    contribution: float


@dataclass(frozen=True)
class Explained:
    """One prediction taken apart: bias + sum of all contributions = margin, but for rounding.

    Attributes:
        output: Which of the model's outputs.
        margin: As the whole model gives it, without being taken apart.
        total: The contributions added up.
        parts: The largest of them.
        kept: How many there are: open edges, or terms.
        possible: Of how many pairs; None of terms.
    """

    output: int
    margin: float
    bias: float
    total: float
    parts: Sequence[Part]
    kept: int
    possible: int | None


@dataclass(frozen=True)
class Overall:
    """What features, or fields, do together over all training rows.

    Attributes:
        contribution: Mean over the rows that have all of them, one an output; None where it is 0 by definition.
        size: Mean absolute contribution, one an output.
        support: Training rows that have them; of fields, with repeats.
        gate: Of a pair of features; of fields, the share of open ones.
        kept_in: Networks from other random weights whose gate is open.
        spread: Deviation of `contribution` over these networks.
    """

    features: tuple[str, ...]
    fields: tuple[str | None, ...] | None
    contribution: tuple[float, ...] | None
    size: tuple[float, ...]
    support: int | None
    gate: float | None
    kept_in: int | None
    spread: float | None


@dataclass(frozen=True)
class Page:
    """Some of the interactions, strongest first, and how many there are."""

    items: Sequence[Overall]
    total: int


class Predictor(Protocol):
    """A model that answers rows."""

    size_bytes: int
    """Of its tensors, and what it keeps beside them."""
    bias: Floats
    """`(outputs,)`: the margin of a row to which nothing adds."""
    notes: tuple[str, ...]
    """On every answer."""

    def predict(self, rows: Sequence[Any]) -> Predicted:
        """Predict rows as JSON has them.

        Raises:
            InvalidParameters: A row cannot be read; with JSON pointers below `/rows`.
            InputTooLarge: The rows are too much work at once.
        """
        ...

    def explain(self, rows: Sequence[Any], *, output: int | None, top: int) -> tuple[list[Explained], Predicted]:
        """Take predictions apart.

        Args:
            output: Which output; None: each row's largest.
            top: How many contributions to list.

        Raises:
            InvalidParameters, InputTooLarge: As `predict`.
        """
        ...

    def interactions(self, *, feature: str | None, by: By, begin: int, limit: int) -> Page:
        """Return what features do together over the training rows, strongest first.

        Raises:
            ValueError: There is no such feature, or there are several; or the model has no fields.
        """
        ...

    def probe(self) -> Any:
        """Return a row that can be predicted."""
        ...
