"""Trainings: what a caller asks for, what a method answers, and the models that come out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue, model_validator

from jobs.modulation import Modulation
from jobs.schemas import (
    Check,
    Cost,
    Frozen,
    Inspection,
    Interaction,
    Manifest,
    Players,
    TrainingSetup,
)

Start = Literal["model", "architecture", "none"]
"""What a training starts from: a model to fine-tune, an architecture with random weights, or what the method makes."""


class TrainingRequest(TrainingSetup):
    """The fixed envelope of every training; `params` follows the method's own schema (GET /v1/trainings/methods)."""

    method: str = Field(max_length=64)
    dataset: str = Field(max_length=64, description="Id of an uploaded dataset.")
    model: str | None = Field(None, max_length=64, description="Id of a model to go on from.")
    params: dict[str, JsonValue] = Field(default_factory=dict)
    seed: int = Field(0, ge=0, lt=2**63)
    priority: Literal["interactive", "batch"] = Field("batch", description="Which trainings go first.")
    deadline_seconds: float | None = Field(None, gt=0)
    tags: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] = Field((), max_length=16)

    @model_validator(mode="after")
    def _check(self) -> TrainingRequest:
        if self.model is not None and self.architecture is not None:
            raise ValueError("expected a model to go on from or an architecture, not both")
        return self

    @property
    def start(self) -> Start:
        """What the training starts from."""
        if self.model is not None:
            return "model"
        return "architecture" if self.architecture is not None else "none"


class Curve(Frozen):
    """A number at each epoch (or other step) of a training."""

    name: str = Field(examples=["loss"], description="Curves of one name are drawn together.")
    part: str = Field("", examples=["train", "validation"], description="What tells curves of one name apart.")
    unit: str = ""
    at: tuple[float, ...] = Field(description="Epochs, counted from 1; 0 is before the first.")
    values: tuple[float | None, ...] = Field(description="None where the number was not finite.")

    @model_validator(mode="after")
    def _check(self) -> Curve:
        if len(self.at) != len(self.values):
            raise ValueError(f"expected {len(self.at)} values, one for each epoch, got {len(self.values)}")
        return self


class ModelReference(Frozen):
    """A model that a training made."""

    id: str
    name: str
    epoch: int | None = None


class TrainingResult(Frozen):
    """What a training method answers; `arrays` go to values.npz and never into JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    method: str
    preset: str | None = None
    task: Literal["regression", "binary", "multiclass"]
    metrics: dict[str, float] = Field(description="Of the result, such as validation_accuracy.")
    curves: tuple[Curve, ...] = ()
    players: Players | None = Field(None, description="Where the method also finds interactions.")
    interactions: tuple[Interaction, ...] = ()
    unit: str | None = Field(None, description="What a strength is measured in.")
    modulation: Modulation | None = Field(None, description="Where the method changes interactions by context order.")
    checks: tuple[Check, ...] = ()
    cost: Cost = Cost()
    details: dict[str, JsonValue] = Field(default_factory=dict)
    notes: tuple[str, ...] = Field((), description="What a reader must know before relying on the answer.")
    documents: Mapping[str, Any] = Field(
        default_factory=dict, exclude=True, description="JSON values kept as NAME.json."
    )
    arrays: Mapping[str, Any] = Field(default_factory=dict, exclude=True, description="NumPy arrays by name.")
    kept: Mapping[str, Any] = Field(default_factory=dict, exclude=True, description="Arrays kept as NAME.npy.")


class TrainedModel(Frozen):
    """A new model, inspected, its weights in the artifact store; the store makes it a row when the job succeeds."""

    id: str
    manifest: Manifest
    weights_sha256: str
    size_bytes: int
    inspection: Inspection
    epoch: int | None = None


class TrainingProvenance(Frozen):
    """What ran, so that it can run again."""

    method: str
    preset: str | None
    params: dict[str, JsonValue]
    seed: int
    dataset_id: str
    dataset_sha256: str
    model_id: str | None
    model_sha256: str | None
    code_version: str
    versions: dict[str, str]
    device: str
