"""Parameters of `l0-sign`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from jobs.rules import KEYWORD, Rule
from worker.methods._registry import Params
from worker.methods.l0_sign.model import Compat

Weight = Annotated[float, Field(ge=0, le=10)]
Search = Literal["search"]
Rival = Literal["sign", "fm", "afm", "nfm", "deepfm", "xdeepfm", "autoint"]

_NEIGHBOURS = Rule(
    holds="compat == 'paper' or mean == 'neighbours'",
    expected="the mean over neighbours of a published network, which has no other",
    parameter="mean",
)
_TWO_CLASSES = Rule(
    holds="compat == 'paper' or task == 'binary'",
    expected="two classes for a published network, which has an output for each",
    parameter="compat",
)
_CLASSES_FOR_AUC = Rule(
    holds="chosen_by != 'auc' or task == 'binary'",
    expected="objective or loss where numbers are learned, which have no AUC",
    parameter="chosen_by",
)
_GATES_TO_SEARCH = Rule(
    holds="gates or lambda1 != 'search'", expected="gates, whose weight is to be searched", parameter="lambda1"
)
_ROWS_TO_LEARN_FROM = Rule(
    holds="validation + test <= 0.8",
    expected="validation and test of 0.8 together at most",
    got="validation + test",
    parameter="test",
)
_EPOCHS_LEFT = Rule(
    holds="not gates or (epochs // 6 if gate_delay == None else gate_delay)"
    " + (epochs // 6 if gate_warmup == None else gate_warmup) < epochs",
    expected="gate_delay and gate_warmup together below epochs, or lambda1 never has its value",
    parameter="gate_delay",
)
RULES = (_NEIGHBOURS, _TWO_CLASSES, _CLASSES_FOR_AUC, _GATES_TO_SEARCH, _ROWS_TO_LEARN_FROM, _EPOCHS_LEFT)

_SIXTH = 6
"""Of 60 epochs: 10 in which pairs learn to speak, 10 in which gates begin to close, 40 for both."""


class L0SignParams(Params):
    """What network, how it is trained, what it is compared with."""

    model_config = ConfigDict(json_schema_extra={KEYWORD: [rule.model_dump() for rule in RULES]})

    compat: Compat = Field(
        "paper",
        description="paper: the paper's model. published: the authors' code, with two outputs and squared errors; a "
        "node hears only those before it in the row, values count as 1, and gates are noisy at evaluation too.",
    )
    gates: bool = Field(True, description="Whether pairs have gates; without them it is SIGN with all edges.")
    mean: Literal["neighbours", "nodes"] = Field(
        "neighbours", description="A node is the mean over its neighbours, or over all nodes of its row (Eq. 4)."
    )
    embedding: int = Field(8, ge=1, le=256, description="Numbers that stand for a feature (d).")
    edge_embedding: int = Field(8, ge=1, le=256, description="Numbers that stand for it before the gates (b).")
    hidden: int = Field(32, ge=1, le=1024, description="Units in the hidden layer of either perceptron.")
    beta: float = Field(0.66, gt=0, le=10, description="Temperature of the gates: the lower, the more 0s and 1s.")
    initial_gate: float = Field(
        0.0, ge=-10, le=10, description="Added to log α of all gates at first: above 0 they start further open."
    )

    initial_embedding: float = Field(
        0.0, ge=-10, le=10, description="Mean of the embeddings at first: away from 0, a product of two has a part "
        "that each feature gives alone.",
    )  # fmt: skip
    initial_spread: float = Field(1.0, gt=0, le=10, description="Deviation of the embeddings at first.")

    lambda1: Weight | Search = Field(
        1e-3, description="Weight of the open gates to be expected; search: choose from lambda1_grid."
    )
    lambda2: Weight | Search = Field(
        1e-5, description="Weight of the messages' squared size, by row; search: choose from lambda2_grid."
    )
    lambda1_grid: tuple[Weight, ...] = Field(
        (1e-4, 1e-3, 1e-2), min_length=1, max_length=32, description="What is tried where lambda1 is search."
    )
    lambda2_grid: tuple[Weight, ...] = Field(
        (1e-6, 1e-5, 1e-4), min_length=1, max_length=32, description="What is tried where lambda2 is search."
    )
    rungs: int = Field(
        3, ge=1, le=8,
        description="Rounds of the search; after each but the last, the better ones go on training. None ends before "
        "lambda1 has its value.",
    )  # fmt: skip
    halving: int = Field(
        3, ge=2, le=10, description="One in so many goes on to the next round, which has as many times the epochs."
    )
    gate_delay: int | None = Field(
        None, ge=0, le=10_000,
        description="Epochs in which lambda1 counts as 0, so that no gate closes before its pair could say anything; "
        "default: a sixth of the epochs.",
    )  # fmt: skip
    gate_warmup: int | None = Field(
        None, ge=0, le=10_000,
        description="Epochs after these over which lambda1 rises in equal steps to its value; no epoch before its end "
        "is the best one, and patience does not count them. Default: a sixth of the epochs.",
    )  # fmt: skip

    epochs: int = Field(60, ge=1, le=10_000, description="Passes over the training rows, at most.")
    batch_size: int | None = Field(
        None, ge=1, le=65_536,
        description="Rows a step; default: about a 24th of the training rows, 32 to 1024, fewer where rows are long.",
    )  # fmt: skip
    optimizer: Literal["adam", "adagrad"] | None = Field(
        None, description="Default: adam; adagrad of a published network."
    )
    learning_rate: float | None = Field(
        None, gt=0, le=10, description="Size of a step; default: 0.01 of adam, 0.05 of adagrad."
    )
    learning_rate_decay: float = Field(1e-5, ge=0, le=1, description="Of adagrad, by step: lr / (1 + decay · steps).")
    patience: int | None = Field(
        8, ge=1, le=10_000, description="Epochs without progress on validation rows after which training stops; "
        "null: never early.",
    )  # fmt: skip
    chosen_by: Literal["objective", "loss", "auc"] = Field(
        "objective",
        description="What is best on validation rows, of epochs: the risk with its penalties (Eq. 6), the loss "
        "alone, or AUC. Candidates of a search go by AUC, or by loss where numbers are learned.",
    )
    balanced: bool = Field(False, description="Weigh the classes so that both count the same.")
    validation: float = Field(0.15, gt=0, lt=0.5, description="Share of the rows by which epochs are chosen.")
    test: float = Field(0.15, gt=0, lt=0.5, description="Share of the rows on which the result is measured.")
    least_support: int = Field(
        2, ge=1, le=1_000_000,
        description="Features in fewer training rows are unknown ones, which share one embedding; so it is trained.",
    )  # fmt: skip

    seeds: int = Field(
        1, ge=1, le=20, description="Networks, from other random weights; the first is the model, all say how sure "
        "a pair is.",
    )  # fmt: skip
    compare: tuple[Rival, ...] = Field(
        (), max_length=7, description="Other networks to train on the same rows, measured beside.",
        json_schema_extra={"uniqueItems": True},
    )  # fmt: skip
    most: int = Field(50, ge=1, le=1000, description="Pairs in the answer.")
    table_pairs: int = Field(
        1_000_000, ge=1, le=20_000_000,
        description="Pairs in the new model's table, those in most training rows; others are computed when asked for.",
    )  # fmt: skip

    @property
    def delay(self) -> int:
        """Epochs in which lambda1 counts as 0."""
        return self.epochs // _SIXTH if self.gate_delay is None else self.gate_delay

    @property
    def warmup(self) -> int:
        """Epochs over which it then rises."""
        return self.epochs // _SIXTH if self.gate_warmup is None else self.gate_warmup

    @property
    def rising(self) -> int:
        """Epochs before lambda1 has its value."""
        return self.delay + self.warmup if self.gates else 0

    @model_validator(mode="after")
    def _check(self) -> L0SignParams:
        if len(set(self.compare)) < len(self.compare):
            raise ValueError(f"expected different networks to compare with, got {self.compare}")
        return self
