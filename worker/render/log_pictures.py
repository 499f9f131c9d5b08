"""The pictures of a training of L0-SIGN: predictions taken apart, one feature's pairs, edges by epoch, fields."""

from __future__ import annotations

from typing import Any

import numpy as np

from jobs.trainings import TrainingResult
from worker.render.fields import fields, frequent_features
from worker.render.kept_share import kept_share
from worker.render.partners import partners
from worker.render.prediction import prediction


def log_pictures(result: TrainingResult) -> dict[str, bytes]:
    """Draw what there is, as PNG bytes by artifact name."""
    documents, unit = result.documents, "logits" if result.task == "binary" else "the target's unit"
    found: dict[str, bytes | None] = {}
    if "rows" in documents:
        found["prediction.png"] = prediction(documents["rows"], unit)
    if "feature" in documents:
        found["feature.png"] = partners(documents["feature"], unit)
    found["edges.png"] = kept_share(result.curves, result.metrics.get("best_epoch"))
    if "field_strengths" in result.arrays:
        found["fields.png"] = _fields(result, unit)
    elif "features" in documents:
        found["fields.png"] = frequent_features(documents["features"], unit)
    return {name: png for name, png in found.items() if png is not None}


def _fields(result: TrainingResult, unit: str) -> bytes:
    strengths, kept, support = (
        np.asarray(result.arrays[f"field_{name}"], dtype=np.float64) for name in ("strengths", "kept", "support")
    )
    details: Any = result.details
    return fields(details["fields"], strengths, kept, support, unit)
