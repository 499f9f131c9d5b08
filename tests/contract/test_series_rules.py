"""What a request for a series demands of its parameters: the gateway refuses what the worker would."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from app.validation import check_explanation
from jobs.errors import InvalidParameters
from jobs.schemas import Capability, ExplanationRequest, Inspection, Manifest, Model, ModelStatus
from jobs.settings import Settings
from worker.methods._registry import Checkpoint, Subject
from worker.methods.and_or import AndOrParams, explain

FEATURES = [0.1, 0.2, 0.3]
NET = nn.Sequential(nn.Linear(3, 2)).requires_grad_(False)


def ready(model_id: str, **changed: Any) -> Model:
    manifest = {
        "architecture": {"family": "sequential", "layers": [{"type": "linear", "inputs": 3, "outputs": 2}]},
        "input": {"kind": "features", "shape": [3]},
        **changed,
    }
    inspection = Inspection(
        parameters=8, outputs=2, capabilities=tuple(Capability), seconds_forward=1.0, activation_bytes=1
    )
    return Model(
        id=model_id, tenant="local", status=ModelStatus.READY, manifest=Manifest.model_validate(manifest),
        sha256="0" * 64, size_bytes=1, created_at=0.0, inspection=inspection,
    )  # fmt: skip


def gateway(params: dict[str, Any], *, samples: int = 0, checkpoints: int = 0) -> None:
    body = {
        "method": "and-or", "model": "model_last", "input": {"features": FEATURES}, "params": params,
        "samples": [{"features": FEATURES}] * samples, "checkpoints": [f"model_{at}" for at in range(checkpoints)],
    }  # fmt: skip
    request = ExplanationRequest.model_validate_json(json.dumps(body))
    check_explanation(request, None, find_model=ready, settings=Settings())


def worker(params: dict[str, Any], *, samples: int = 0, checkpoints: int = 0) -> None:
    one = Subject(model=NET, input=torch.tensor(FEATURES))
    earlier = tuple(Checkpoint(id=str(at), name=str(at), load=lambda: NET) for at in range(checkpoints))
    explain(replace(one, samples=(one,) * samples, checkpoints=earlier), AndOrParams.model_validate(params))


@pytest.mark.parametrize(
    ("params", "given", "parameter"),
    [
        ({"reference": 0}, {}, "reference"),
        ({"reference": 0}, {"samples": 2}, "reference"),
        ({"reference": 3}, {"checkpoints": 2}, "reference"),
        ({"decay_from": "later"}, {"samples": 2}, "decay_from"),
        ({"compare_first": 1}, {"checkpoints": 2}, "compare_first"),
        ({"compare_first": 3}, {"samples": 2}, "compare_first"),
    ],
)
def test_gateway_and_worker_refuse_alike(params: dict[str, Any], given: dict[str, int], parameter: str) -> None:
    for check in (gateway, worker):
        with pytest.raises(InvalidParameters) as refused:
            check(params, **given)
        assert refused.value.errors[0].pointer == f"/params/{parameter}"


@pytest.mark.parametrize(
    ("params", "given"),
    [
        ({"reference": 2, "decay_from": "later"}, {"checkpoints": 2}),
        ({"compare_first": 2}, {"samples": 2}),
        ({"weight_noise": [0.1], "fgsm": [0.1]}, {}),
    ],
)
def test_gateway_and_worker_take_alike(params: dict[str, Any], given: dict[str, int]) -> None:
    for check in (gateway, worker):
        check(params, **given)


@pytest.mark.parametrize("name", ["weight_noise", "fgsm"])
@pytest.mark.parametrize("sizes", [[0.0], [-1.0], [0.1] * 9, 0.1, ["0.1"]])
def test_sizes_of_disturbances_are_a_few_positive_numbers(name: str, sizes: object) -> None:
    with pytest.raises(InvalidParameters) as refused:
        gateway({name: sizes})

    assert refused.value.errors[0].pointer.startswith(f"/params/{name}")


def test_fast_gradient_steps_are_refused_for_texts() -> None:
    tokens = {
        "architecture": {
            "family": "sequential",
            "layers": [
                {"type": "embedding", "inputs": 10, "outputs": 4},
                {"type": "token-mean"},
                {"type": "linear", "inputs": 4, "outputs": 2},
            ],
        },
        "input": {"kind": "tokens", "shape": [3], "vocabulary": 10, "mask_id": 0},
    }
    body = {
        "method": "and-or", "model": "model_text", "input": {"tokens": {"ids": [1, 2, 3]}}, "params": {"fgsm": [0.1]}
    }  # fmt: skip
    request = ExplanationRequest.model_validate(body)

    with pytest.raises(InvalidParameters) as refused:
        check_explanation(request, None, find_model=lambda name: ready(name, **tokens), settings=Settings())

    assert refused.value.errors[0].pointer == "/params/fgsm"
