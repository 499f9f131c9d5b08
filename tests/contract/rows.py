"""Rows to fill a store with, valid and dull, so that a test names only what it is about."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from typing import Any

from jobs.schemas import (
    ArtifactReference,
    Capability,
    InputReference,
    Inspection,
    Job,
    JobKind,
    Manifest,
    Model,
    ModelStatus,
    Status,
)

NOW = 1_800_000_000.0
LEASE_SECONDS = 15.0
DEADLINE_SECONDS = 3600.0
RETENTION_SECONDS = 86_400.0
MAX_ATTEMPTS = 3
RING_AFTER_SECONDS = 10.0

INSPECTION = Inspection(
    parameters=10, outputs=2, capabilities=(Capability.FORWARD,), seconds_forward=0.01, activation_bytes=100
)

_numbers = itertools.count()


@dataclass
class Clock:
    """A clock that a test sets."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


def digest(word: str) -> str:
    """A SHA-256, as the bytes `word` would have."""
    return hashlib.sha256(word.encode()).hexdigest()


def a_model(**fields: Any) -> Model:
    """A model of tenant "a", under inspection."""
    number = next(_numbers)
    defaults = {
        "id": f"model_{number:032x}",
        "tenant": "a",
        "status": ModelStatus.INSPECTING,
        "manifest": Manifest(name=f"model {number}", architecture="resnet18"),
        "sha256": digest(f"weights {number}"),
        "size_bytes": 100,
        "created_at": NOW + number * 1e-5,
    }
    return Model.model_validate(defaults | fields)


def a_job(model: Model, **fields: Any) -> Job:
    """A queued job of the model's tenant."""
    number = next(_numbers)
    created_at = NOW + number * 1e-5
    defaults = {
        "id": f"job_{number:032x}",
        "tenant": model.tenant,
        "kind": JobKind.EXPLANATION,
        "status": Status.QUEUED,
        "method": "h-sets",
        "model_id": model.id,
        "created_at": created_at,
        "deadline_at": created_at + DEADLINE_SECONDS,
    }
    return Job.model_validate(defaults | fields)


def an_input(word: str) -> InputReference:
    return InputReference(kind="image", sha256=digest(word), size_bytes=len(word))


def an_artifact(word: str, name: str = "result.json") -> ArtifactReference:
    return ArtifactReference(name=name, sha256=digest(word), size_bytes=len(word), media_type="application/json")
