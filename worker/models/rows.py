"""Models that are asked by rows: their tensors are checked by the predictor that will serve them, and it is timed."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jobs.errors import UnsupportedModel
from jobs.predictors import predictor_of
from jobs.row_models import AdditiveArchitecture, L0SignArchitecture
from jobs.schemas import Capability, Inspection, Manifest
from worker.models.formats import State, named

_NO_NETWORK = "rows are answered by POST /v1/models/{id}:predict and :explain; no network runs"


def is_asked_by_rows(manifest: Manifest) -> bool:
    """Tell whether the model is of a family that the gateway answers for."""
    return isinstance(manifest.architecture, (AdditiveArchitecture, L0SignArchitecture))


def inspect_rows(manifest: Manifest, state: State) -> Inspection:
    """Check the tensors, and predict a row.

    Raises:
        UnsupportedModel: The tensors do not fit the manifest, or the prediction is not finite.
    """
    predictor = predictor_of(manifest, {name: _array(name, tensor) for name, tensor in state.items()})
    began = time.perf_counter()
    margins = predictor.predict([predictor.probe()]).margins
    seconds = time.perf_counter() - began
    if not np.isfinite(margins).all():
        raise UnsupportedModel("the model's prediction of a row is NaN or infinite")
    return Inspection(
        parameters=sum(tensor.numel() for tensor in state.values() if tensor.is_floating_point()),
        outputs=margins.shape[1],
        capabilities=(),
        obstacles=dict.fromkeys(Capability, _NO_NETWORK),
        seconds_forward=seconds,
        activation_bytes=0,
    )


def _array(name: str, tensor: Tensor) -> NDArray[Any]:
    if tensor.dtype not in (torch.float32, torch.float64, torch.int64):
        raise UnsupportedModel(f"expected float32, float64 or int64 of {named(name)}, got {tensor.dtype}")
    return tensor.contiguous().numpy()
