"""Datasets: what a caller says of an uploaded file, what a runner found in it, and the row that the store keeps.

Three kinds, whatever the format: a `table` of columns (CSV, Parquet, NPZ with a matrix), `images` with a label each
(zip, NPZ), and `sets` of feature ids (libfm, lines of a label and ids).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from jobs.errors import Problem
from jobs.schemas import Frozen, Name

DatasetFormat = Literal["csv", "parquet", "npz", "images", "libfm", "sets"]
DatasetKind = Literal["table", "images", "sets"]
Task = Literal["regression", "binary", "multiclass"]
"""What is learned: a number, one of two classes, or one of several."""

ColumnType = Literal["numeric", "categorical", "ignore"]

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")


class DatasetStatus(StrEnum):
    """A dataset is usable once a runner has read all of it."""

    INSPECTING = "inspecting"
    READY = "ready"
    FAILED = "failed"


class DatasetManifest(Frozen):
    """What a caller says of a file; what is left out is found in the file, and every guess is a warning."""

    name: Name = "dataset"
    format: DatasetFormat | None = Field(
        None, description="Default: by content. Lines of a label and plain ids need `sets`; text is otherwise CSV."
    )
    target: Name | None = Field(
        None, description="Column to be predicted, of a table; default: the last one. Without a header: c0, c1, …"
    )
    task: Task | None = Field(None, description="Default: inferred from the target's values.")
    header: bool = Field(True, description="Whether the first row of a CSV holds the columns' names.")
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = Field(
        None, description="Of a CSV; default: the one of , ; | and tab that is in the first row."
    )
    encoding: Literal["utf-8", "latin-1"] = "utf-8"
    columns: dict[Name, ColumnType] = Field(
        default_factory=dict, max_length=10_000, description="Types of columns of a table; default: by content."
    )
    missing: tuple[Name, ...] = Field(MISSING, max_length=64, description="Texts that stand for no value.")
    classes: tuple[Name, ...] | None = Field(
        None, max_length=100_000, description="Names of the classes that labels 0, 1, … of an NPZ stand for."
    )
    layout: Literal["hw", "hwc", "chw"] | None = Field(
        None, description="Order of the axes of pictures in an NPZ; default: by their sizes."
    )
    size: tuple[Annotated[int, Field(ge=1, le=1024)], Annotated[int, Field(ge=1, le=1024)]] | None = Field(
        None, description="(height, width) to which pictures of a zip are resized; default: they must have one size."
    )
    fields: tuple[Name, ...] | None = Field(
        None, max_length=10_000, description="Names of the fields of libfm rows that all have the same length."
    )

    @model_validator(mode="after")
    def _check(self) -> DatasetManifest:
        if self.target is not None and self.columns.get(self.target) == "ignore":
            raise ValueError(f"expected the target {self.target!r} not to be ignored")
        if self.fields is not None and len(set(self.fields)) < len(self.fields):
            raise ValueError(f"expected different names of fields, got {list(self.fields[:20])}")
        return self


class Column(Frozen):
    """A column of a table, as read."""

    name: str
    type: ColumnType
    missing: int = Field(0, description="Rows without a value.")
    constant: bool = False
    minimum: float | None = Field(None, description="Of a numeric column, as are maximum, mean and std.")
    maximum: float | None = None
    mean: float | None = None
    std: float | None = Field(None, description="Of the population: divided by the number of values.")
    cardinality: int | None = Field(None, description="How many different values a categorical column has.")
    categories: tuple[str, ...] = Field((), description="The first 100 of them, sorted.")


class DatasetInspection(Frozen):
    """What a runner found when it read a dataset from the first row to the last."""

    kind: DatasetKind
    format: DatasetFormat
    task: Task
    rows: int
    target: str | None = Field(None, description="Name of the target column, of a table.")
    columns: tuple[Column, ...] = Field((), description="Of a table, in file order; the target among them.")
    classes: tuple[str, ...] = Field((), description="Names in label order; none for regression.")
    class_counts: tuple[int, ...] = ()
    shape: tuple[int, ...] | None = Field(None, description="(channels, height, width) of every picture.")
    features: int | None = Field(None, description="How many different ids sets have.")
    entries: int | None = Field(None, description="Ids in all sets together.")
    shortest: int | None = Field(None, description="Ids in the smallest set.")
    longest: int | None = Field(None, description="Ids in the largest set.")
    fields: tuple[str, ...] = Field((), description="Names of the fields, where every set has one id a field.")
    valued: bool = Field(False, description="Whether ids carry values other than 1.")
    warnings: tuple[str, ...] = Field((), description="What was guessed, and what may surprise; nothing is dropped.")

    @property
    def feature_columns(self) -> tuple[Column, ...]:
        """The columns that a model may learn from."""
        return tuple(column for column in self.columns if column.name != self.target and column.type != "ignore")


class Dataset(Frozen):
    """A dataset as the store knows it."""

    id: str
    tenant: str
    status: DatasetStatus
    manifest: DatasetManifest
    sha256: str = Field(description="Of the uploaded bytes.")
    data_sha256: str | None = Field(None, description="Of the file that trainings read: tensors, safetensors.")
    size_bytes: int
    data_bytes: int | None = None
    created_at: float
    inspection: DatasetInspection | None = None
    error: Problem | None = None
    job_id: str | None = Field(None, description="The inspection job.")
