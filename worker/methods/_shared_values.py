"""Index values that were computed elsewhere, as a parameter: the JSON of shapiq's `InteractionValues`, bounded."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from worker.methods._indices import AnyIndex

MOST_SETS = 20_000
"""Values in one request: all sets of 14 players, or all of up to three of 45."""

# Far above any output of a network, and far below where squares of differences stop being finite.
_LARGEST = 1e100

Value = Annotated[float, Field(ge=-_LARGEST, le=_LARGEST)]
_SETS: dict[str, JsonValue] = {"propertyNames": {"maxLength": 60, "pattern": "^(Empty|[0-9]{1,2}(,[0-9]{1,2}){0,19})$"}}
"""For the gateway; that the players are there and named once is for `worker.methods._interchange` to say."""


class _Value(BaseModel):
    """Fields that newer versions of the format add are let through."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class SharedMetadata(_Value):
    """What the values are."""

    index: AnyIndex
    n_players: int = Field(ge=1, le=20)
    max_order: int = Field(ge=1, le=20)
    min_order: int = Field(0, ge=0, le=20)
    baseline_value: Value = 0.0
    estimated: bool | None = None
    estimation_budget: int | None = Field(None, ge=0)


class SharedValues(_Value):
    """A file that `shapiq.InteractionValues.save` wrote, by an approximator for instance."""

    metadata: SharedMetadata
    data: dict[str, Value] = Field(
        max_length=MOST_SETS,
        description='Values by set: players joined by commas, or "Empty"; missing sets are 0.',
        json_schema_extra=_SETS,
    )
