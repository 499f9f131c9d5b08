"""Subjects: a job and its bytes → what a method is given."""

from __future__ import annotations

import torch
from torch import nn

from jobs.errors import InvalidParameters
from jobs.schemas import Job, Model
from jobs.settings import Settings
from worker.devices import chunk_size
from worker.inputs import read_input
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
        input_bytes: Of the kind that the model's manifest has; see `worker.inputs`.

    Raises:
        InvalidInput: The bytes are no such input.
        InputTooLarge: The picture is above the server's limits.
        InvalidParameters: The model has no output of the target's index.
    """
    manifest = model.manifest
    _check_target(job, model)
    is_image = manifest.input.kind == "image"
    read = read_input(input_bytes, manifest, settings)
    return Subject(
        model=module,
        input=read.input.to(device),
        target=job.target,
        pixels=read.pixels,
        mean=manifest.preprocessing.mean if is_image else (),
        std=manifest.preprocessing.std if is_image else (),
        classes=manifest.classes,
        names=read.names,
        words=read.words,
        mask_id=manifest.input.mask_id,
        seed=job.seed,
        chunk=_chunk(model, settings),
        report=report,
        resources={} if settings.sam_model is None else {"sam_model": settings.sam_model},
    )


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
