"""Layers of an architecture that a manifest lists, one after the other or wired as a graph."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

NodeName = Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$")]

INPUT = "input"
"""The name of what comes into a graph."""


class Layer(BaseModel):
    """One layer of a `sequential` architecture; a layer's parameters are its position's, as in `nn.Sequential`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal[
        "linear", "conv2d", "batch-norm", "affine", "relu", "relu6", "leaky-relu", "elu", "selu", "gelu", "silu",
        "tanh", "sigmoid", "softplus", "hardswish", "hardsigmoid", "max-pool", "average-pool", "global-average-pool",
        "flatten", "dropout", "layer-norm", "embedding", "positions", "transformer", "token-first", "token-mean",
        "token-max", "add", "concat",
    ] = Field(
        description="affine: a factor and a shift for each feature. add, concat: of a graph's nodes only."
    )  # fmt: skip
    inputs: int | None = Field(None, ge=1, le=1_000_000, description="Features or channels coming in.")
    outputs: int | None = Field(None, ge=1, le=1_000_000, description="Features or channels going out.")
    kernel: int | None = Field(None, ge=1, le=64)
    stride: int | None = Field(None, ge=1, le=64)
    padding: int = Field(0, ge=0, le=64)
    bias: bool = True
    heads: int | None = Field(None, ge=1, le=1024, description="Attention heads of a transformer block.")
    feedforward: int | None = Field(None, ge=1, le=1_000_000, description="Hidden units of a transformer block.")
    norm: Literal["pre", "post"] | None = Field(
        None, description="Where a transformer block normalises: before attention and feed-forward, or after (default)."
    )
    activation: Literal["relu", "gelu"] | None = Field(None, description="Of a transformer block; default: relu.")
    epsilon: float = Field(
        1e-5, gt=0, le=1,
        description="Added to the variance by a batch-norm, a layer-norm, and the norms of a transformer block.",
    )  # fmt: skip
    slope: float | None = Field(
        None, ge=0, le=100,
        description="Of a leaky-relu below 0 (default: 0.01); of an elu, its α (default: 1).",
    )  # fmt: skip


class Node(Layer):
    """A layer of a `graph` and what comes into it; its parameters have the node's name before theirs."""

    name: NodeName = Field(
        description="Dots nest, as in a module's state dict: `blocks.0.fc` owns `blocks.0.fc.weight`."
    )
    takes: tuple[NodeName, ...] = Field(
        (), max_length=64, description="Earlier nodes, or `input`; default: the node before it."
    )


class GraphArchitecture(BaseModel):
    """Layers wired as a graph: residual and concatenated networks. The last node gives the outputs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: Literal["graph"]
    nodes: tuple[Node, ...] = Field(min_length=1, max_length=2048)

    @model_validator(mode="after")
    def _check(self) -> GraphArchitecture:
        known = {INPUT}
        for place, node in enumerate(self.nodes):
            if node.name in known:
                raise ValueError(f"node {place}: expected a new name, got {node.name!r} again")
            if strange := [one for one in node.takes if one not in known]:
                raise ValueError(
                    f"node {node.name!r} takes {strange[0]!r}, which is no earlier node: name nodes in the order in "
                    "which they are computed; a cycle has none"
                )
            known.add(node.name)
        return self


class FileArchitecture(BaseModel):
    """What an ONNX file or the JSON of a network says of itself; the model's manifest then has it spelled out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: Literal["onnx", "json"]


class ScikitLearnArchitecture(BaseModel):
    """An `MLPClassifier` or `MLPRegressor`: its `coefs_` and `intercepts_` as arrays, never as a pickle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: Literal["scikit-learn"]
    activation: Literal["identity", "logistic", "tanh", "relu"] | None = Field(
        None, description="The estimator's `activation`; needed unless the file, JSON, says it."
    )
