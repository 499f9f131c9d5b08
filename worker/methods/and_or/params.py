"""The parameters of AND-OR interactions."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from jobs.rules import Rule
from worker.methods._game_params import GameParams
from worker.methods._game_rules import SAME_PLAYERS, at_most
from worker.methods._indices import Index
from worker.methods._shared_values import SharedValues
from worker.methods.and_or.problem import Empty
from worker.methods.and_or.series_params import RULES, SeriesParams

MOST_PLAYERS = 20
"""2^20 states: a table of 8 MB, and a million forward passes."""


class AndOrParams(SeriesParams, GameParams):
    """Parameters of AND-OR interactions."""

    rules: ClassVar[tuple[Rule, ...]] = (*GameParams.rules, *RULES, at_most(MOST_PLAYERS), SAME_PLAYERS)

    solver: Literal["exact", "published"] = Field(
        "exact",
        description="exact: the sparsest logical model, to a certified gap. published: the authors' gradient descent, "
        "for comparison; it proves nothing.",
    )
    tolerance: float = Field(
        1e-4, ge=1e-8, le=0.1, description="Relative gap between the model's strength and its bound at which to stop."
    )
    noise: float = Field(
        0.02, ge=0.001, le=0.5,
        description="Half-width of the noise band that the logical model may deviate by on every masked state, as a "
        "share of the output's change from all players masked to all present.",
    )  # fmt: skip
    empty: Empty = Field(
        "bias",
        description="bias: the output with all players masked is a constant, neither noisy nor penalized. published: "
        "it has a noise band and a penalized constant beside it, as in the authors' code.",
    )
    steps: int = Field(10_000, ge=1, le=200_000, description="Gradient steps of solver=published.")
    learning_rate: float = Field(
        1e-5, gt=0, le=1, description="First step size of solver=published; the best differs by 100 between tables."
    )

    salience: float = Field(
        0.02, ge=0, le=1,
        description="An interaction is salient when its strength is above this share of the output's change from all "
        "players masked to all present.",
    )  # fmt: skip
    top_k: int | None = Field(
        None, ge=1, le=10_000, description="List so many interactions, the strongest, instead of the salient ones."
    )
    delta: float = Field(
        1e-3, gt=0, le=10,
        description="Noise δ behind the decay-shaped part of the order profile. It cannot be fitted from one network: "
        "δ → 0 would leave no spindle by construction.",
    )  # fmt: skip
    indices: tuple[Index, ...] = Field(
        ("SV", "k-SII"), max_length=7,
        description="Indices to compute exactly from the same table, each as a file in shapiq's format too.",
    )  # fmt: skip
    index_order: int = Field(2, ge=1, le=20, description="Players in the largest sets of an index, at most all.")
    compare_with: SharedValues | None = Field(
        None,
        description="Values of an index that were estimated elsewhere, as the JSON of shapiq's InteractionValues, to "
        "be compared with the exact ones of the same players.",
    )
