"""Fields: inputs that are one column of a table, such as the categories of a one-hot column, count as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from jobs.errors import InvalidParameters
from jobs.input_groups import group_faults, places
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
        InvalidParameters: The groups do not fit the inputs, as `jobs.input_groups` tells.
    """
    if faults := list(group_faults([group.model_dump() for group in groups], names, pointer="/params/groups")):
        raise InvalidParameters(faults[0].detail, errors=faults)
    found = [places(group.inputs, names) for group in groups]
    taken = {place for members in found for place in members}
    columns = {place: (first[:, place].abs(), names[place]) for place in range(len(names)) if place not in taken}
    for group, members in zip(groups, found, strict=True):
        name = group.name or " + ".join(names[place] for place in members)
        columns[members[0]] = (group.weigh(first[:, list(members)]), name)
    ordered = [columns[place] for place in sorted(columns)]
    return torch.stack([weights for weights, _ in ordered], dim=1), tuple(name for _, name in ordered)
