"""Context orders: how strongly two inputs interact, by how many of the other inputs are present.

Every list runs over the same grid of context orders m, the number of other players around a pair.
Source: "The Interaction Bottleneck of Deep Neural Networks: Discovery, Proof, and Modulation" (Eq. 5 to 7, 12, 13).
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Band(_Value):
    """Bounds of an interval, one of each an order."""

    low: tuple[float, ...]
    high: tuple[float, ...]


class RelativeStrength(_Value):
    """J^(m) (Eq. 7): strength relative to its mean over the grid, so its own mean there is 1."""

    values: tuple[float, ...]
    interval: Band | None = Field(None, description="Bootstrap bounds; None where there is nothing to resample.")


class TheoryCurve(_Value):
    """F(m)/F(0) of Eq. 13, for the number of variables n′ at which it is nearest to the measured J(m)/J(0)."""

    with_weight: bool = Field(
        description="Whether the order's weight in the output, n - 1 - m, is kept; without it the curve is symmetric."
    )
    n_prime: float = Field(description="Fitted, between 2.5 and the number of players.")
    values: tuple[float, ...]
    error: float = Field(description="Root mean squared difference from J(m)/J(0).")


class Efficiency(_Value):
    """v(N) - v(∅) as the players' own effects plus all pairs at all context orders (Eq. 5); means over samples."""

    output: float = Field(description="v(N) - v(∅).")
    own_effects: float = Field(description="Sum over players of v({i}) - v(∅).")
    by_order: tuple[float, ...] = Field(description="Every context order 0 to n - 2, whatever the grid is.")
    residual: float = Field(description="Largest |output - own_effects - sum of by_order| of a sample.")


class StrongPair(_Value):
    """A pair of players at one context order."""

    members: tuple[int, int]
    strength: float = Field(description="I^(m)(i, j), signed.")
    standard_error: float | None


class StrongestPairs(_Value):
    """The pairs with the largest |I^(m)|, less twice its standard error, at one context order of the first input."""

    place: Literal["low", "middle", "high"]
    order: int
    pairs: tuple[StrongPair, ...]


class ContextOrders(_Value):
    """Interaction strength by context order: the interaction bottleneck is its dip at middle orders."""

    orders: tuple[int, ...] = Field(description="The grid m. J depends on it: compare only over one grid.")
    players: int
    pairs: int = Field(description="Pairs of players that were evaluated.")
    samples: int
    strength: tuple[float, ...] = Field(description="Mean of |I^(m)(i, j)| over pairs and samples (Eq. 6).")
    relative: RelativeStrength | None = Field(description="None where no pair interacts at any order.")
    corrected: RelativeStrength | None = Field(
        description="J from root mean squares of I^(m) with the squared standard errors taken off: noise inflates the "
        "plain J where interactions are weak. None where noise explains everything."
    )
    resampled: Literal["samples", "pairs"] = Field(description="What the intervals are bootstrapped over.")
    level: float = Field(description="Of the intervals.")
    log_contexts: tuple[float, ...] = Field(
        description="Contextual variability as log C(n - 2, m): how many contexts there are (Eq. 12)."
    )
    theory: tuple[TheoryCurve, ...] = Field((), description="Without and with the order's weight.")
    strongest: tuple[StrongestPairs, ...] = Field(
        (), description="At the smallest and largest order of the grid and the one nearest to (n - 2)/2."
    )
    efficiency: Efficiency | None = Field(None, description="Where every coalition was evaluated.")

    @property
    def hidden(self) -> tuple[int, ...]:
        """Orders of which noise leaves nothing, although something was measured: unknown rather than 0."""
        if self.corrected is None:
            return ()
        both = zip(self.orders, self.corrected.values, self.strength, strict=True)
        return tuple(order for order, left, measured in both if left == 0 and measured > 0)
