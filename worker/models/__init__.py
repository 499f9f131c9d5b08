"""How an uploaded artifact becomes a module: formats, architectures, fitting, inspection; and surgery on it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from jobs.errors import UnsupportedModel
from jobs.schemas import Inspection, Manifest
from worker.models.architectures import adapted, build
from worker.models.fitting import fitted, put_in, refuse_non_finite
from worker.models.formats import State, read_state, write_state
from worker.models.inspection import inspect
from worker.models.rows import inspect_rows, is_asked_by_rows
from worker.models.uploads import read_upload

__all__ = ["Upload", "inspect_state", "inspect_upload", "load"]


class Upload(NamedTuple):
    """A model that works.

    Attributes:
        weights: As a safetensors file that `load` takes.
        manifest: The upload's, with the architecture spelled out where the file brought it along.
    """

    weights: bytes
    inspection: Inspection
    manifest: Manifest


def load(manifest: Manifest, weights: Path | bytes, *, device: torch.device) -> nn.Module:
    """Build the manifest's architecture and put the weights in.

    Args:
        weights: A safetensors file, as `inspect_upload` returned it; or any file that it takes.

    Returns:
        In eval mode, with frozen float32 parameters, on `device`.

    Raises:
        UnsafeModel: The file could run code.
        UnsupportedModel: The file is damaged, does not fit the architecture, or is of a model that is asked by rows.
    """
    if is_asked_by_rows(manifest):
        raise UnsupportedModel("a model that is asked by rows is no network that a job could run")
    module, _ = _assemble(manifest, read_state(weights))
    return module.to(device)


def inspect_upload(manifest: Manifest, artifact: Path, *, device: torch.device) -> Upload:
    """Check an uploaded model from end to end and say what it can be used for.

    Raises:
        UnsafeModel: The file could run code.
        UnsupportedModel: The file is damaged, does not fit the architecture, holds weights that are no numbers, or
            the model does not map the manifest's inputs to the manifest's classes.
    """
    manifest, state = read_upload(manifest, artifact)
    return Upload(*inspect_state(manifest, state, device=device), manifest)


def inspect_state(manifest: Manifest, state: State, *, device: torch.device) -> tuple[bytes, Inspection]:
    """Do what `inspect_upload` does, with tensors in place of a file.

    Raises:
        UnsupportedModel: As there.
    """
    if is_asked_by_rows(manifest):
        return write_state(state), inspect_rows(manifest, state)
    module, state = _assemble(manifest, state)
    refuse_non_finite(state)
    found = inspect(module.to(device), manifest)
    return write_state(state), found


def _assemble(manifest: Manifest, state: State) -> tuple[nn.Module, State]:
    state = adapted(manifest, state)
    module = build(manifest, state)
    state = fitted(module, state)
    put_in(module, state)
    return module.requires_grad_(False), state
