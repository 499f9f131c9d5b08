"""What a training learns from: a table, images or sets, as tensors; mapped from a file, so read-only by agreement."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from jobs.datasets import Task


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What is to be predicted, one value a row.

    Attributes:
        values: `(rows,)`: int64 class indices, or float64 numbers for regression.
        classes: Names in label order; empty for regression.
    """

    task: Task
    values: Tensor
    classes: tuple[str, ...] = ()

    @property
    def outputs(self) -> int:
        """How many outputs a model needs: a logit a class, or one number."""
        return len(self.classes) or 1


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A column of a table.

    Attributes:
        values: `(rows,)`: float64 with NaN for a missing number; int32 codes into `categories`, -1 where missing.
        categories: Of a categorical column, sorted; None for a numeric one.
    """

    name: str
    values: Tensor
    categories: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of features, the target and ignored columns left out."""

    features: tuple[Feature, ...]
    labels: Labels
    rows: int


@dataclass(frozen=True, kw_only=True)
class Images:
    """Pictures with a label each.

    Attributes:
        pixels: `(rows, channels, height, width)`: uint8 of 0 to 255, or float32 of 0 to 1.
    """

    pixels: Tensor
    labels: Labels

    @property
    def rows(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True, kw_only=True)
class Sets:
    """Rows of feature ids, of any length.

    Attributes:
        offsets: `(rows + 1,)` int64; row r holds the entries from offsets[r] to offsets[r + 1].
        features: `(entries,)` int32, indices into `vocabulary`.
        values: `(entries,)` float32; None where every value is 1.
        vocabulary: `(features,)` int64, the ids of the file, sorted.
        fields: Names of the fields, where every row has one entry a field, in this order; else empty.
    """

    offsets: Tensor
    features: Tensor
    values: Tensor | None
    vocabulary: Tensor
    labels: Labels
    fields: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return len(self.offsets) - 1


Data = Table | Images | Sets
