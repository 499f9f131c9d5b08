"""The parameters that matter where several inputs, checkpoints or disturbances are looked at."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from jobs.rules import Rule
from worker.methods._registry import Params

NoiseSize = Annotated[float, Field(gt=0, le=100)]
StepSize = Annotated[float, Field(gt=0, le=1e6)]


class SeriesParams(Params):
    """What is compared with what, and which disturbances are tried."""

    reference: int | None = Field(
        None, ge=0, le=32,
        description="Which checkpoint the newly emerged interactions are counted from: its place in checkpoints, the "
        "model itself the last. Default: the one of the smallest mean order.",
    )  # fmt: skip
    decay_from: Literal["self", "later"] = Field(
        "self",
        description="Whose interactions the decay-shaped part starts from: each checkpoint's own, for the given delta; "
        "or those of the model, the last checkpoint, with δ fitted.",
    )
    compare_first: int | None = Field(
        None, ge=1, le=64,
        description="How many inputs, counted from the first, are compared with the others: put those of the training "
        "first, and those of the test behind them. Default: half.",
    )  # fmt: skip
    weight_noise: tuple[NoiseSize, ...] = Field(
        (), max_length=8,
        description="Explain the model with Gaussian noise on its weights too, of these standard deviations relative "
        "to each weight tensor's root mean square.",
    )  # fmt: skip
    fgsm: tuple[StepSize, ...] = Field(
        (), max_length=8,
        description="Explain the inputs after a fast gradient step against the class too, of these sizes: of a pixel "
        "in [0, 1], where it stays (8/255 is 0.031), or in a feature's own unit.",
        json_schema_extra={"x-needs-capability": "gradient", "x-needs-input": ["image", "features"]},
    )  # fmt: skip


RULES: Final = (
    Rule(
        holds="reference == None or 1 < given_checkpoints and reference < given_checkpoints",
        expected="the place of a checkpoint, counted from 0, and earlier checkpoints",
        got="reference",
        parameter="reference",
    ),
    Rule(
        holds="decay_from == 'self' or 1 < given_checkpoints",
        expected="earlier checkpoints with decay_from later",
        parameter="decay_from",
    ),
    Rule(
        holds="compare_first == None or compare_first < given_samples",
        expected="fewer inputs than there are",
        got="compare_first",
        parameter="compare_first",
    ),
)
"""Demands on these parameters and what the request names."""

TABLES: Final = "given_samples * (given_checkpoints + len(weight_noise) + len(fgsm))"
"""Arithmetic for the number of tables."""

GRADIENTS: Final = "given_samples * min(len(fgsm), 1)"
"""Arithmetic for the gradients of FGSM: all step sizes share a direction."""
