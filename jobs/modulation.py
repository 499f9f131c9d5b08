"""What order modulation did to a network: the same measurements before the training and after it.

Source: "The Interaction Bottleneck of Deep Neural Networks: Discovery, Proof, and Modulation" (Sec. 6).
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from jobs.context_orders import ContextOrders


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Share(_Value):
    """A share of rows, with the bounds of its 95 % interval (Wilson)."""

    value: float
    low: float
    high: float


class Attack(_Value):
    """Accuracy under the strongest of one attack's perturbations."""

    epsilon: float = Field(description="Largest change of an input; 0: none.")
    accuracy: Share


class Masked(_Value):
    """Accuracy with a share of the players masked."""

    share: float
    random: Share = Field(description="Players drawn for every row.")
    surrounding: Share | None = Field(None, description="Those farthest from the picture's middle; None for a table.")


class TermValue(_Value):
    """One term of the loss over held-out rows."""

    kind: Literal["encourage", "suppress"]
    r1: float
    r2: float
    smaller: int = Field(description="Players of the smaller coalition, r1 of all, rounded.")
    larger: int
    weight: float
    value: float = Field(description="In nats, without its weight: encourage from 0, suppress from -log(classes) to 0.")


class Findings(_Value):
    """One network, on held-out rows unless said otherwise."""

    train_loss: float = Field(description="Cross-entropy over the training rows, in nats.")
    train_accuracy: float
    loss: float
    accuracy: Share
    loss_gap: float = Field(description="Loss over held-out rows minus loss over training rows.")
    terms: tuple[TermValue, ...] = ()
    contexts: ContextOrders = Field(description="Interaction strength by context order, J^(m).")
    attacks: tuple[Attack, ...] = Field(description="By epsilon; the first is without attack.")
    masked: tuple[Masked, ...] = Field(description="By share; the first is without masking.")
    structure: float | None = Field(
        description="Area between accuracy under surrounding and under random masking, over the share; None for a "
        "table, which has no surroundings."
    )


class Modulation(_Value):
    """Before and after, on the same rows, masks and starting points."""

    start: Literal["model", "random weights"] = Field(description="What `before` is.")
    players: int
    epsilon_unit: str
    before: Findings
    after: Findings
