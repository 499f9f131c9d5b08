"""Subjects: a job and its bytes → what a method is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import torch
from torch import nn

from jobs.errors import FieldError, InputTooLarge, InvalidParameters
from jobs.schemas import Job, Manifest, Model
from jobs.settings import Settings
from worker.devices import chunk_size
from worker.inputs import Reading, read_input
from worker.methods._registry import Checkpoint, Report, Subject, TableCache

_MIB = 2**20
_BYTES_PER_NUMBER = 8
"""A float32 of the input and one of the picture; or an id."""


def load_subject(
    job: Job,
    model: Model,
    module: nn.Module,
    inputs: Sequence[bytes],
    *,
    settings: Settings,
    device: torch.device,
    report: Report,
    tables: TableCache,
    checkpoints: Sequence[Checkpoint] = (),
) -> Subject:
    """Read the job's inputs as the model takes them.

    Args:
        model: Inspected.
        module: Loaded from it, on `device`.
        inputs: The bytes of the input, then of further samples, of the kind that the model's manifest has; see
            `worker.inputs`. None at all for a method that explains the network itself.
        tables: Of this network.
        checkpoints: Earlier ones of the model.

    Raises:
        InvalidInput: Some bytes are no such input.
        InputTooLarge: A picture is above the server's limits, or the samples take too much memory together.
        InvalidParameters: The model has no output of the target's index.
    """
    manifest = model.manifest
    _check_target(job, model)
    _check_memory(len(inputs), manifest, settings)
    is_image = manifest.input.kind == "image"
    subjects = [
        Subject(
            model=module,
            input=read.input.to(device),
            target=job.target,
            pixels=read.pixels,
            mean=manifest.preprocessing.mean if is_image else (),
            std=manifest.preprocessing.std if is_image else (),
            classes=manifest.classes,
            names=read.names,
            words=read.words,
            features=manifest.features,
            mask_id=manifest.input.mask_id,
            seed=job.seed,
            chunk=_chunk(model, settings),
            memory_bytes=settings.memory_budget_mib * _MIB,
            report=report,
            resources={} if settings.sam_model is None else {"sam_model": settings.sam_model},
            tables=tables,
            model_id=model.id,
            model_name=manifest.name,
        )
        for read in _readings(inputs, manifest, settings)
    ]
    return replace(subjects[0], samples=tuple(subjects[1:]), checkpoints=tuple(checkpoints))


def _readings(inputs: Sequence[bytes], manifest: Manifest, settings: Settings) -> list[Reading]:
    """Read every input; without any, zeros stand for one, so that methods know its shape and names."""
    if not inputs:
        return [Reading(input=torch.zeros(manifest.input.shape), names=manifest.input.names)]
    return [read_input(data, manifest, settings) for data in inputs]


def _check_memory(inputs: int, manifest: Manifest, settings: Settings) -> None:
    """Refuse more samples than may be held at once, each as a tensor and, of a picture, as pixels."""
    budget = settings.memory_budget_mib * _MIB
    each = prod(manifest.input.shape) * _BYTES_PER_NUMBER
    if inputs > 1 and inputs * each > budget:
        detail = f"expected at most {max(1, budget // each)} inputs of this size, got {inputs}"
        raise InputTooLarge(detail, errors=[FieldError(pointer="/samples", detail=detail)])


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
