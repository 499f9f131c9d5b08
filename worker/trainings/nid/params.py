"""Parameters of `nid`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from jobs.rules import KEYWORD, Rule
from worker.methods._registry import Params
from worker.methods.nid.averages import Average
from worker.methods.nid.networks import HIDDEN
from worker.methods.nid.penalties import Lasso

RULES = (
    Rule(
        holds="validation + test <= 0.8", expected="validation and test of 0.8 together at most",
        got="validation + test", parameter="test",
    ),
)  # fmt: skip

Units = Annotated[int, Field(ge=1, le=1024)]
Known = Annotated[tuple[str, ...], Field(min_length=2, max_length=64, json_schema_extra={"uniqueItems": True})]


class NidParams(Params):
    """What is trained, how often, and how interactions are read off."""

    model_config = ConfigDict(json_schema_extra={KEYWORD: [rule.model_dump() for rule in RULES]})

    main_effects: bool = Field(
        True,
        description="Give every input a small network of its own (MLP-M), which takes main effects off the others.",
    )
    hidden: tuple[Units, ...] = Field(HIDDEN, min_length=1, max_length=8, description="Units of the hidden layers.")
    trials: int = Field(5, ge=1, le=50, description="Networks for each L1 weight, from other random weights.")
    l1: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        (5e-6, 2e-5, 1e-4, 5e-4), min_length=1, max_length=16, json_schema_extra={"uniqueItems": True},
        description="Weights of the L1 norm; every trial is trained with each.",
    )  # fmt: skip
    lasso: Lasso = Field(
        "none",
        description="Penalise the first layer's weights in groups, an input's or a unit's; sparse: and one by one.",
    )
    l2: float = Field(0.0, ge=0, le=1, description="Weight of the squared norm.")
    average: Average = Field("minimum", description="How a set's weights into a unit become one number.")
    aggregate: Literal["sparse", "geometric", "validation"] = Field(
        "sparse",
        description="geometric: average pairs over all networks. sparse: so, but in each trial the network with the "
        "largest L1 weight that is nearly as good as the best counts three times. validation: each trial's best only.",
    )
    most_rows: int = Field(10_000, ge=30, le=1_000_000, description="Rows to use at most, drawn by the seed.")
    validation: float = Field(0.15, gt=0, lt=0.5, description="Share of the rows by which training is stopped.")
    test: float = Field(0.15, gt=0, lt=0.5, description="Share of the rows on which the fit is judged.")
    epochs: int = Field(40, ge=1, le=1000, description="Passes over the training rows, at most.")
    batch_size: int = Field(100, ge=1, le=10_000, description="Rows a step.")
    learning_rate: float = Field(0.01, gt=0, le=1, description="Of Adam, in the first epoch.")
    decay: float = Field(0.95, gt=0, le=1, description="Of the learning rate, every epoch.")
    patience: int = Field(
        5, ge=1, le=1000, description="Epochs without a lower validation loss before a network stops."
    )
    most_categories: int = Field(
        20, ge=2, le=200, description="Categories of a column that get an input of their own; rarer ones are joined."
    )
    largest: int = Field(8, ge=2, le=64, description="Members of a set at most.")
    most: int = Field(50, ge=1, le=1000, description="Pairs, and sets, in the answer; all pairs are in values.npz.")
    top: int = Field(5, ge=1, le=100, description="A trial selects what stands so far up in its ranking.")
    cutoff: int = Field(5, ge=0, le=30, description="Interactions of the additive model, at most; 0: no such model.")
    cutoff_from: Literal["sets", "pairs"] = Field(
        "sets", description="Which ranking the additive model takes them from."
    )
    compare: tuple[Literal["anova", "fast", "h-statistic"], ...] = Field(
        ("anova", "fast"), max_length=3, json_schema_extra={"uniqueItems": True},
        description="Other methods whose ranking of pairs stands beside: two-way analysis of variance, FAST after "
        "boosted main effects, Friedman's H² of a gradient-boosted model (slower).",
    )  # fmt: skip
    known: tuple[Known, ...] = Field(
        (), max_length=100, json_schema_extra={"x-names-columns": True},
        description="Names of columns that are known to interact: crosses in pictures, and an AUC.",
    )  # fmt: skip
