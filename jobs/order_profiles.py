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
    salient_count: float = Field(description="Salient interactions of a sample; averaged over several.")
    mean_order: float = Field(description="Order averaged over the salient interactions, weighted by strength.")
    normaliser: float | None = Field(
        None, description="Z: salient strength of order 1, averaged over samples; None where no player is salient."
    )
    normalised: SignedProfile | None = Field(
        None, description="The salient profile over Z, which takes off how sure of itself a network is."
    )
    disentangled: Disentangling | None = None


class SpindleFit(_Value):
    """A profile as a spindle alone (Eq. 6)."""

    alpha: float
    beta: float
    profile: SignedProfile
    error: float = Field(description="Size of what is left relative to the profile, in the Euclidean norm.")


class Disturbed(_Value):
    """The same inputs after a disturbance of the network's weights or of the inputs (Fig. 3, 4 and 8)."""

    kind: Literal["weight-noise", "fgsm"]
    size: float = Field(
        description="weight-noise: standard deviation relative to each weight tensor's root mean square. fgsm: the "
        "step in every number of the input, in [0, 1] units of a pixel or in the feature's own."
    )
    orders: OrderProfile = Field(description="Of the disturbed network or inputs.")
    change: SignedProfile = Field(description="ΔA^(m)±: strength of I_noisy - I, subtracted first (Eq. 5).")
    change_normalised: SignedProfile | None = Field(None, description="The same over the undisturbed network's Z.")
    spindle: SpindleFit = Field(description="The spindle that fits the change best.")


class Similarity(_Value):
    """What two sets of salient interactions share, order by order (Definition 2.2).

    Of checkpoints, each over its whole salient strength, which takes off how sure of itself a network is.
    """

    between: Literal["samples", "checkpoints"]
    one: str = Field(examples=["inputs 1 to 4"])
    other: str = Field(examples=["inputs 5 to 8"])
    by_order: tuple[float | None, ...] = Field(
        description="Jaccard similarity, 0 to 1; None where neither has a salient interaction of that order."
    )


class Checkpoint(_Value):
    """One network of a sequence, in the order of training."""

    model: str = Field(description="Its id.")
    name: str
    orders: OrderProfile
    emerged: SignedProfile | None = Field(
        None, description="ΔA^(m)±: this salient profile minus the reference checkpoint's; of either sign."
    )
    emerged_normalised: SignedProfile | None = Field(
        None, description="The same, each profile over its own Z first, as the paper draws it (Fig. 2)."
    )
