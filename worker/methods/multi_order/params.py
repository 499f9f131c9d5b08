"""The parameters of multi-order interactions."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from jobs.rules import Rule, broken
from worker.methods._game_params import GameParams
from worker.methods._game_rules import GRID, PLAYER_COUNT

Computation = Literal["exact", "sampled"]
Estimator = Literal["layered", "sub-cubes", "stars", "published"]
Pairs = Literal["all", "neighbours", "given"]

Player = Annotated[int, Field(ge=0, le=4095)]
Share = Annotated[float, Field(ge=0, le=1)]

MOST_EXACT = 20
"""2^20 coalitions: a table of 8 MB, and a million forward passes."""
MOST_SAMPLED = 256
"""A grid of 16 × 16: 32,640 pairs at every order."""

_PAIRS_GIVEN = Rule(
    holds="(pairs == 'given') == (given_pairs != None)",
    expected="given_pairs together with pairs=given, and only then",
    parameter="given_pairs",
)
_NUMBER = Rule(
    holds=f"{PLAYER_COUNT} <= ({MOST_EXACT} if computation == 'exact' else {MOST_SAMPLED})",
    expected=f"at most {MOST_EXACT} players where exact, {MOST_SAMPLED} where sampled; see count, grid_rows, "
    "grid_columns and groups",
    got=PLAYER_COUNT,
    parameter="players",
)
_NEIGHBOURS = Rule(
    holds=f"pairs != 'neighbours' or kind == 'tokens' or {GRID}",
    expected="pairs all or given, as only cells of a grid and words have neighbours",
    parameter="pairs",
)
_BLOCK = Rule(
    holds=f"estimator != 'sub-cubes' or computation == 'exact' or block <= {PLAYER_COUNT}",
    expected="blocks of no more players than there are",
    got="block",
    parameter="block",
)


class MultiOrderParams(GameParams):
    """Parameters of multi-order interactions."""

    rules: ClassVar[tuple[Rule, ...]] = (*GameParams.rules, _PAIRS_GIVEN, _NUMBER, _NEIGHBOURS, _BLOCK)

    grid_rows: int = Field(4, ge=1, le=16, description="Rows of players=grid.")
    grid_columns: int = Field(4, ge=1, le=16, description="Columns of players=grid.")

    computation: Literal["auto"] | Computation = Field(
        "auto",
        description="exact: from all 2^n coalitions, at most 20 players. sampled: at most 256 players. auto: exact "
        "where 2^n is within budget and n at most 20, else sampled; the answer says which.",
    )
    pairs: Pairs = Field(
        "all",
        description="Whose interactions are measured. neighbours: cells of a grid at most radius rows and columns "
        "apart, or words at most radius apart. given: see given_pairs.",
    )
    radius: int = Field(2, ge=1, le=15, description="Of pairs=neighbours; 2 as published.")
    given_pairs: tuple[tuple[Player, Player], ...] | None = Field(
        None, min_length=1, max_length=32_640, description="Of pairs=given: two 0-based players each."
    )
    order_shares: tuple[Share, ...] | None = Field(
        None, min_length=2, max_length=24,
        description="Context orders m as shares of n - 2, rounded down. Strengths are relative to their mean over "
        "them, so compare only over the same. Default: every order where exact; where sampled the published 0, 0.05, "
        "0.1, 0.2 to 0.9, 0.95, 1.",
    )  # fmt: skip

    estimator: Literal["auto"] | Estimator = Field(
        "auto",
        description="Of sampled. layered: coalitions of every size, each for all pairs, helped by a surrogate that "
        "is fitted on the way. stars: each context for all wanted pairs that it leaves out or holds. sub-cubes: all "
        "subsets of random blocks. published: contexts drawn anew for every pair, as the paper's authors do. auto: "
        "layered where more than an eighth of all pairs are wanted, else stars.",
    )
    block: int = Field(4, ge=2, le=12, description="Players of a block of sub-cubes; costs 2^block evaluations.")
    budget: int = Field(
        65_536, ge=100, le=2_000_000,
        description="Most evaluations an input, where sampled; also where auto turns from exact to sampled.",
    )  # fmt: skip
    precision: float | None = Field(
        None, gt=0,
        description="Of sampled: stop early when the standard error, as root mean square over the pairs of the worst "
        "order, falls to this; unit of the explained number.",
    )  # fmt: skip

    top: int = Field(20, ge=1, le=1000, description="Most pairs to return, strongest first.")
    level: float = Field(0.95, ge=0.5, le=0.999, description="Of the bootstrap intervals.")

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        for fault in broken((_PAIRS_GIVEN,), dict(self)):
            raise ValueError(fault.detail)
        for i, j in self.given_pairs or ():
            if i == j:
                raise ValueError(f"expected two different players a pair in given_pairs, got {i} twice")
        return self
