"""Parameters of `classifier`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from worker.methods._registry import Params


class ClassifierParams(Params):
    """How to train."""

    epochs: int = Field(30, ge=1, le=10_000, description="Passes over the training rows, at most.")
    batch_size: int = Field(64, ge=1, le=65_536, description="Rows a step.")
    optimizer: Literal["adam", "sgd"] = Field("adam", description="Adam, or stochastic gradient descent.")
    learning_rate: float = Field(1e-3, gt=0, le=100, description="Size of a step.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Of sgd; adam has its own.")
    weight_decay: float = Field(0.0, ge=0, le=10, description="Squared norm of the weights, added to the loss.")
    validation: float = Field(
        0.2, gt=0, lt=1, description="Share of the rows, drawn by the seed, that is not learned from."
    )
    patience: int | None = Field(
        10, ge=1, le=10_000,
        description="Epochs without a lower validation loss after which training stops; null: never early.",
    )  # fmt: skip
    balanced: bool = Field(False, description="Weigh classes so that rare ones count as much as frequent ones.")
    keep_checkpoints: tuple[Annotated[int, Field(ge=1, le=10_000)], ...] = Field(
        (), max_length=32,
        description="Epochs after which the network becomes a model of its own, as methods that follow a training "
        "need them.",
    )  # fmt: skip

    @model_validator(mode="after")
    def _check(self) -> ClassifierParams:
        if any(epoch > self.epochs for epoch in self.keep_checkpoints):
            raise ValueError(
                f"expected keep_checkpoints of at most {self.epochs}, the epochs, got {self.keep_checkpoints}"
            )
        return self
