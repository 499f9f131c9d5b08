"""Fields: inputs that are one column of a table, such as the categories of a one-hot column, count as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from jobs.errors import FieldError, InvalidParameters
from jobs.schemas import FeatureEncoding, Name


class Group(BaseModel):
    """Inputs that are one field."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name | None = Field(None, description="Of the field; default: its inputs'.")
    inputs: tuple[Annotated[int, Field(ge=0)] | Name, ...] = Field(
        min_length=1, max_length=10_000, description="By number or by name."
    )
    kind: Literal["one-hot", "numbers"] = Field(
        "one-hot",
        description="one-hot: one of the inputs is 1 and the others are 0; the field's weight into a unit is the "
        "standard deviation of the weights over categories. numbers, such as those of an embedding, taken as "
        "independent: the root of the sum of squares.",
    )
    shares: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        (), description="How frequent each category is; default: all alike. For one-hot only."
    )

    @model_validator(mode="after")
    def _check(self) -> Group:
        if self.shares and (self.kind != "one-hot" or len(self.shares) != len(self.inputs) or not sum(self.shares)):
            raise ValueError("expected a share for each input of a one-hot group, not all 0")
        return self

    def weigh(self, block: Tensor) -> Tensor:
        """Return the field's weight into every unit, `(units,)`, from its inputs', `(units, inputs)`."""
        if self.kind == "numbers":
            return block.square().sum(1).sqrt()
        shares = torch.tensor(self.shares or (1.0,) * block.shape[1]).to(block)
        shares = shares / shares.sum()
        return ((block - (block @ shares)[:, None]).square() @ shares).sqrt()


def encoded_groups(features: FeatureEncoding) -> tuple[Group, ...]:
    """Return a group for each column of categories, as a model's manifest has them."""
    groups, start = [], 0
    for column in features.columns:
        stop = start + len(column.categories or (None,))
        if column.categories is not None:
            groups.append(Group(name=column.name, inputs=tuple(range(start, stop))))
        start = stop
    return tuple(groups)


def fields(first: Tensor, names: Sequence[str], groups: Sequence[Group]) -> tuple[Tensor, tuple[str, ...]]:
    """Join grouped inputs; the others are fields of their own.

    Args:
        first: `(units, inputs)`.

    Returns:
        `(units, fields)`, at least 0, and the fields' names, in the order of their first inputs.

    Raises:
        InvalidParameters: A group names an input that is not there, or is in two groups.
    """
    places = _places(names, groups)
    taken = {place for members in places for place in members}
    columns = {place: (first[:, place].abs(), names[place]) for place in range(len(names)) if place not in taken}
    for group, members in zip(groups, places, strict=True):
        name = group.name or " + ".join(names[place] for place in members)
        columns[members[0]] = (group.weigh(first[:, list(members)]), name)
    ordered = [columns[place] for place in sorted(columns)]
    return torch.stack([weights for weights, _ in ordered], dim=1), tuple(name for _, name in ordered)


def _places(names: Sequence[str], groups: Sequence[Group]) -> list[list[int]]:
    known = {name: place for place, name in enumerate(names)}
    seen: set[int] = set()
    found = []
    for index, group in enumerate(groups):
        members = [known.get(one, -1) if isinstance(one, str) else one for one in group.inputs]
        for at, place in enumerate(members):
            if not 0 <= place < len(names) or place in seen:
                raise _fault(index, at, f"expected one of the {len(names)} inputs, each once, got {group.inputs[at]!r}")
            seen.add(place)
        found.append(members)
    return found


def _fault(group: int, at: int, detail: str) -> InvalidParameters:
    return InvalidParameters(detail, errors=[FieldError(pointer=f"/params/groups/{group}/inputs/{at}", detail=detail)])
