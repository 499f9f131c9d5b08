"""Subjects: a job and its bytes → what a method is given."""

from __future__ import annotations

import json

import torch
from torch import Tensor, nn

from jobs.errors import InvalidInput, InvalidParameters
from jobs.schemas import Job, Manifest, Model
from jobs.settings import Settings
from worker.devices import chunk_size
from worker.images import as_seen_by_model, decode, luminance, normalise
from worker.methods._registry import Report, Subject

_MIB = 2**20


def load_subject(
    job: Job,
    model: Model,
    module: nn.Module,
    input_bytes: bytes,
    *,
    settings: Settings,
    device: torch.device,
    report: Report,
) -> Subject:
    """Read the job's input as the model takes it.

    Args:
        model: Inspected.
        module: Loaded from it, on `device`.
        input_bytes: A picture, or a JSON array of numbers, as the model's manifest has it.

    Raises:
        InvalidInput: The bytes are no such input.
        InputTooLarge: The picture is above the server's limits.
        InvalidParameters: The model has no output of the target's index.
    """
    manifest = model.manifest
    _check_target(job, model)
    is_image = manifest.input.kind == "image"
    pixels = _pixels(input_bytes, manifest, settings) if is_image else None
    values = normalise(pixels, manifest.preprocessing) if pixels is not None else _features(input_bytes, manifest)
    return Subject(
        model=module,
        input=values.to(device),
        target=job.target,
        pixels=None if pixels is None else pixels.permute(1, 2, 0).contiguous(),
        mean=manifest.preprocessing.mean if is_image else (),
        std=manifest.preprocessing.std if is_image else (),
        classes=manifest.classes,
        names=manifest.input.names,
        seed=job.seed,
        chunk=_chunk(model, settings),
        report=report,
        resources={} if settings.sam_model is None else {"sam_model": settings.sam_model},
    )


def _pixels(data: bytes, manifest: Manifest, settings: Settings) -> Tensor:
    """Return the picture as the model sees it: `(3, height, width)` in [0, 1], grey for a model of one channel."""
    picture = decode(data, max_pixels=settings.max_pixels)
    shape = manifest.input.shape
    seen = as_seen_by_model(picture, shape, manifest.preprocessing, max_pixels=settings.max_pixels)
    return luminance(seen).expand(3, -1, -1) if shape[0] == 1 else seen


def _features(data: bytes, manifest: Manifest) -> Tensor:
    (expected,) = manifest.input.shape
    try:
        values = torch.tensor(json.loads(data), dtype=torch.float32)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InvalidInput(f"expected a JSON array of {expected} numbers: {error}") from error
    if values.shape != (expected,):
        raise InvalidInput(f"expected {expected} feature(s), got an array of shape {list(values.shape)}")
    if not values.isfinite().all():
        raise InvalidInput("expected finite features, got NaN, infinity, or a number beyond float32")
    return values


def _check_target(job: Job, model: Model) -> None:
    if job.target is None or model.inspection is None:
        return
    largest = max(job.target.index, job.target.against or 0)
    if largest >= model.inspection.outputs:
        raise InvalidParameters(f"expected a target below {model.inspection.outputs}, the outputs, got {largest}")


def _chunk(model: Model, settings: Settings) -> int:
    if model.inspection is None:
        return 1
    return chunk_size(model.inspection.activation_bytes, settings.memory_budget_mib * _MIB)
