"""Order profiles: how strong a network's interactions are by the number of players that they join.

Profiles run over the orders 1 to n; positive and negative strength are kept apart, both at least 0.
Source: "Revisiting Generalization Power of a DNN in Terms of Symbolic Interactions",
https://arxiv.org/abs/2502.10162 (Eq. 4 to 9).
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SignedProfile(_Value):
    """Two numbers an order: entry m - 1 belongs to order m."""

    positive: tuple[float, ...]
    negative: tuple[float, ...] = Field(description="Sizes of what is below 0; a difference of profiles has any sign.")


class DeltaFit(_Value):
    """What another δ would have given."""

    delta: float
    spindle_share: float
    error: float


class Disentangling(_Value):
    """A profile as a decay-shaped part, which generalizes, and a spindle-shaped part, which is noise (Eq. 6, 8, 9)."""

    mode: Literal["self", "later"] = Field(
        description="Whose interactions the decay starts from: the network's own, for a given δ, or a later one's."
    )
    alpha: float
    beta: float
    gamma: float
    delta: float
    decay: SignedProfile
    spindle: SignedProfile
    residual: SignedProfile = Field(description="Profile minus decay minus spindle; of either sign.")
    spindle_share: float = Field(description="Spindle strength over spindle and decay strength.")
    error: float = Field(description="Size of the residual relative to the profile, in the Euclidean norm.")
    sensitivity: tuple[DeltaFit, ...] = ()


class OrderProfile(_Value):
    """A^(m)±: the strength of all interactions of an order, and of the salient ones."""

    all: SignedProfile
    salient: SignedProfile
    threshold: float = Field(description="Above it, an interaction is salient; in the unit of the output.")
    salient_count: int
    mean_order: float = Field(description="Order averaged over the salient interactions, weighted by strength.")
    disentangled: Disentangling | None = None


class Checkpoint(_Value):
    """One network of a sequence, in the order of training."""

    model: str = Field(description="Its id.")
    name: str
    orders: OrderProfile
    emerged: SignedProfile | None = Field(
        None, description="ΔA^(m)±: this profile minus the reference checkpoint's; of either sign."
    )
