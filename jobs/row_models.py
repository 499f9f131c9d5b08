"""Architectures of models that are asked row by row: the gateway answers for them itself, see `jobs.predictors`.

Their input is of kind `row`: an object by column name for a table, a list of ids for sets. Their file is
self-contained: what `:predict`, `:explain` and `…/interactions` need stands in its tensors and in the manifest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Label = Annotated[str, Field(max_length=10_000)]
Units = Annotated[int, Field(ge=1, le=1024)]
RowTask = Literal["regression", "binary", "multiclass"]
"""What a row is answered with: a number, one of two classes, or one of several."""


class AdditiveColumn(BaseModel):
    """A column as an additive model takes it.

    A number gives one input, and a second that is 1 where it is missing; a category a 1 among its levels: the known
    categories, all others together, and missing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Label
    mean: float = Field(0.0, description="Subtracted from a number; a missing number counts as the mean.")
    std: float = Field(1.0, gt=0, description="What a number is then divided by.")
    categories: tuple[Label, ...] | None = Field(None, max_length=1024, description="Of text.")
    other: bool = Field(False, description="Whether categories that are not listed have an input; else they are 0.")
    missing: bool = Field(False, description="Whether a missing value has an input; else it is 0.")

    @property
    def width(self) -> int:
        """How many inputs stand for it."""
        return (1 if self.categories is None else len(self.categories) + self.other) + self.missing


class AdditiveArchitecture(BaseModel):
    """A sum of small networks, one for each input and one for each interaction of columns, and a constant.

    Tensors, for layer k: `mains.k.weight` (inputs, into, out) and `mains.k.bias` (inputs, out), the last without a
    bias; `interactions.k.weight` (interactions, into, out), into of layer 0 being all inputs, and
    `interactions.k.bias` (interactions, out). float32; hidden units are rectified. Of each term, columns before
    interactions: `terms.mean` (terms, outputs), subtracted from it and added to the constant, and `terms.size`
    (terms, outputs), its mean absolute contribution over the training rows; float64.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: Literal["additive"]
    task: RowTask
    columns: tuple[AdditiveColumn, ...] = Field(min_length=1, max_length=1024)
    constant: tuple[Label, ...] = Field(
        (), max_length=10_000, description="Columns that were the same in all training rows; a row may hold them."
    )
    interactions: tuple[Annotated[tuple[int, ...], Field(min_length=2)], ...] = Field(
        (), max_length=1024, description="Of columns, by index."
    )
    hidden: tuple[Units, ...] = Field(max_length=8, description="Units of an interaction's hidden layers.")
    main_hidden: tuple[Units, ...] = Field(
        max_length=8, description="Units of the hidden layers of an input's network."
    )
    mean: float = Field(0.0, description="Of the target, of a regression; its unit is std times a network's output.")
    std: float = Field(1.0, gt=0)

    @property
    def inputs(self) -> int:
        """Inputs of all columns together."""
        return sum(column.width for column in self.columns)

    @model_validator(mode="after")
    def _check(self) -> AdditiveArchitecture:
        _check_names([column.name for column in self.columns] + list(self.constant))
        for members in self.interactions:
            if len(set(members)) < len(members) or not all(0 <= one < len(self.columns) for one in members):
                raise ValueError(f"expected different columns below {len(self.columns)}, got {list(members)}")
        return self


class L0SignArchitecture(BaseModel):
    """L0-SIGN, or SIGN without gates: a bias and a contribution of each pair of a row's features.

    Feature `features` is the unknown one. Tensors: the network's own (`nodes`, `pair.inner.weight`, … `head.bias`;
    with gates `edge_nodes`, `edge.inner.weight`, …), float32; for sets `vocabulary` (features,) int64, rising, and
    with `fields` also `field_of` (features,) int64. Pairs of the training rows, without noise and with values of 1:
    `table.keys` (pairs,) int64, low · (features + 1) + high, rising; `table.gates` and `table.scores` (pairs,)
    float32, the score being the margin of w_g · z; `table.support` (pairs,) int64, rows with the pair;
    `table.contribution` (pairs,) float64, its mean over these rows. Of several networks: `table.kept` (pairs,) int64,
    networks whose gate is open, and `table.spread` (pairs,) float64, deviation of the contribution over networks.

    Of a table the manifest has `features`: feature k is the k-th of its names, a number's value multiplies its
    embedding, a missing value is no feature, and a category that is not listed is the unknown feature. A margin is in
    the target's unit: mean and deviation of a regression's target are in `head`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: Literal["l0-sign"]
    task: Literal["regression", "binary"]
    features: int = Field(ge=1, le=100_000_000, description="How many the vocabulary knows.")
    embedding: Units = 8
    edge_embedding: Units = 8
    hidden: Units = 32
    gated: bool = True
    mean: Literal["neighbours", "nodes"] = "neighbours"
    compat: Literal["paper", "published"] = "paper"
    valued: bool = Field(False, description="Whether ids of sets came with values: those of a repeated id add up.")
    fields: tuple[Label, ...] = Field(
        (), max_length=10_000, description="Of sets in which every id belongs to one field; a table's are its columns."
    )
    rows: int = Field(ge=1, description="Training rows, over which the support of pairs was counted.")
    networks: int = Field(1, ge=1, description="Networks from other random weights that `kept` and `spread` compare.")

    @model_validator(mode="after")
    def _check(self) -> L0SignArchitecture:
        _check_names(list(self.fields))
        if self.compat == "published" and (self.task != "binary" or self.mean != "neighbours"):
            raise ValueError("expected two classes and the mean over neighbours of a published network")
        return self


RowArchitecture = AdditiveArchitecture | L0SignArchitecture


def check_classes(task: RowTask, classes: tuple[str, ...] | None) -> None:
    """Check that there are as many class names as the task has classes.

    Raises:
        ValueError: There are not.
    """
    count = len(classes or ())
    fits = {"regression": classes is None, "binary": count == 2, "multiclass": count > 2}[task]
    if not fits:
        expected = {"regression": "no", "binary": "two", "multiclass": "three or more"}[task]
        raise ValueError(f"expected {expected} class names for the task {task}, got {count}")


def _check_names(names: list[str]) -> None:
    if twice := next(_repeated(names), None):
        raise ValueError(f"expected different names of columns, got {twice!r} twice")


def _repeated(names: list[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield name
        seen.add(name)
