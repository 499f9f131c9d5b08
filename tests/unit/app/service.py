"""What the gateway's tests share: a catalogue, a queue that records, requests, and a worker played by hand."""

from __future__ import annotations

import base64
import io
import json
import struct
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from starlette.testclient import TestClient

from app.deps import Gateway
from jobs.datasets import Column, DatasetInspection
from jobs.errors import InterplayError
from jobs.queue import Queue
from jobs.schemas import ArtifactReference, Capability, Cost, Inspection, Job
from jobs.settings import Settings

BASE_URL = "http://127.0.0.1:8000"
SHAPE = (3, 8, 8)

CATALOG: Mapping[str, Any] = {
    "architectures": ["resnet18", "resnet34", "vit_b_16"],
    "methods": [
        {
            "id": "h-sets",
            "title": "H-Sets",
            "summary": "Sets of features that interact.",
            "source": "https://example.org/h-sets",
            "inputs": ["image"],
            "needs": ["gradient", "second-derivative"],
            "series": [],
            "presets": {"published": {"formula": "published", "subsets": 30}},
            "cost": {"forwards": "steps + 1", "backwards": "steps + 1", "hessian_rows": "rows"},
            "parameters": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "preset": {"enum": ["paper", "published"], "default": "paper"},
                    "formula": {"enum": ["paper", "published"], "default": "paper"},
                    "subsets": {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 50},
                    "steps": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 30},
                    "rows": {"type": "integer", "minimum": 1, "default": 10},
                    "prior": {
                        "enum": ["quickshift", "sam"],
                        "default": "quickshift",
                        "x-needs-setting": {"sam": "sam_model"},
                    },
                    "region": {"$ref": "#/$defs/Region"},
                },
                "$defs": {"Region": {"type": "object", "properties": {"size": {"type": "integer"}}}},
            },
        },
        {
            "id": "gradient",
            "title": "Gradient",
            "summary": "One backward.",
            "source": "https://example.org/gradient",
            "inputs": ["image", "features"],
            "needs": ["gradient"],
            "series": [],
            "presets": {},
            "cost": {"forwards": "1", "backwards": "1", "hessian_rows": "0"},
            "parameters": {"type": "object", "additionalProperties": False, "properties": {}},
        },
        {
            "id": "profile",
            "title": "Profile",
            "summary": "Follows a training over several inputs.",
            "source": "https://example.org/profile",
            "inputs": ["image", "features", "tokens"],
            "needs": ["forward"],
            "series": ["samples", "checkpoints"],
            "presets": {},
            "cost": {
                "forwards": "2 ** players * given_samples * (given_checkpoints + len(noise))",
                "backwards": "0",
                "hessian_rows": "0",
            },
            "parameters": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "players": {"type": "integer", "minimum": 1, "maximum": 20, "default": 3},
                    "noise": {
                        "type": "array",
                        "items": {"type": "number"},
                        "default": [],
                        "x-needs-capability": "gradient",
                        "x-needs-input": ["image", "features"],
                    },
                    "pairs": {"type": "integer", "minimum": 0, "default": 0},
                },
                "x-rules": [
                    {
                        "holds": "pairs <= (words if kind == 'tokens' else inputs)",
                        "expected": "no more pairs than there are inputs",
                        "fitting": "words if kind == 'tokens' else inputs",
                        "got": "pairs",
                        "parameter": "pairs",
                    },
                    {
                        "holds": "not contrast or pairs == 0",
                        "expected": "no pairs of a contrast",
                        "parameter": "pairs",
                    },
                ],
            },
        },
    ],
    "trainings": [
        {
            "id": "fitter",
            "title": "Fitter",
            "summary": "Fits.",
            "source": "https://example.org/fitter",
            "datasets": ["table", "images"],
            "tasks": ["regression", "binary"],
            "starts": ["model", "architecture"],
            "least_rows": 10,
            "most_inputs": 50,
            "longest_row": None,
            "presets": {},
            "parameters": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "epochs": {"type": "integer", "minimum": 1, "default": 30},
                    "ranges": {"type": "array", "default": []},
                },
                "x-rules": [
                    {
                        "holds": "low < high",
                        "expected": "low below high",
                        "got": "low",
                        "parameter": "low",
                        "each": "ranges",
                    },
                    {
                        "holds": "epochs <= (1000 * columns if dataset_kind == 'table' else height * width)",
                        "expected": "fewer epochs",
                        "parameter": "epochs",
                    },
                ],
            },
        },
        {
            "id": "own",
            "title": "Own",
            "summary": "Makes its own network.",
            "source": "https://example.org/own",
            "datasets": ["sets"],
            "tasks": ["binary"],
            "starts": ["none"],
            "least_rows": 2,
            "most_inputs": None,
            "longest_row": 5,
            "presets": {},
            "parameters": {"type": "object", "additionalProperties": False, "properties": {}},
        },
    ],
}


class RecordingQueue(Queue):
    """Rings for nobody, and remembers for what; `failure` is raised in place of a ring."""

    def __init__(self) -> None:
        self.rung: list[Job] = []
        self.failure: InterplayError | None = None

    def ring(self, job: Job) -> None:
        if self.failure is not None:
            raise self.failure
        self.rung.append(job)

    def ping(self) -> None:
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        pass


# ---------------------------------------------------------------- requests


def safetensors(values: int = 4) -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [values], "data_offsets": [0, 4 * values]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4 * values)


def image_manifest(**changes: object) -> dict[str, Any]:
    layers = [{"type": "flatten"}, {"type": "linear", "inputs": 192, "outputs": 10}]
    architecture = {"family": "sequential", "layers": layers}
    return {"architecture": architecture, "input": {"kind": "image", "shape": list(SHAPE)}, **changes}


def features_manifest(features: int = 4) -> dict[str, Any]:
    layers = [{"type": "linear", "inputs": features, "outputs": 10}]
    return {
        "architecture": {"family": "sequential", "layers": layers},
        "input": {"kind": "features", "shape": [features]},
    }


def upload(client: TestClient, manifest: object = None, *, artifact: bytes | None = None, prefer="wait=0", **headers):
    text = manifest if isinstance(manifest, str) else json.dumps(manifest or image_manifest())
    files = {"artifact": ("model", safetensors() if artifact is None else artifact), "manifest": (None, text)}
    return client.post("/v1/models", files=files, headers={"Prefer": prefer, **headers})


def png(width: int = 8, height: int = 8, shade: int = 0) -> bytes:
    rows = b"".join(b"\x00" + bytes([shade]) * (3 * width) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    framed = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def inline(picture: bytes | None = None) -> dict[str, str]:
    return {"image": base64.b64encode(png() if picture is None else picture).decode()}


def upload_dataset(
    client: TestClient, data: bytes = b"a,y\n1,2\n3,4\n", manifest: object = None, prefer="wait=0", **headers
):
    files = {"file": ("any", data)}
    if manifest is not None:
        files["manifest"] = (None, manifest if isinstance(manifest, str) else json.dumps(manifest))
    return client.post("/v1/datasets", files=files, headers={"Prefer": prefer, **headers})


# ---------------------------------------------------------------- the worker, by hand


def when(condition: Callable[[], object], act: Callable[[], object]) -> threading.Thread:
    """Act, in a thread, as soon as the condition holds; give up after some seconds, so that no test hangs."""

    def watch() -> None:
        until = time.monotonic() + 10
        while not condition() and time.monotonic() < until:
            time.sleep(0.002)
        act()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


INSPECTION = Inspection(
    parameters=100,
    outputs=10,
    capabilities=tuple(Capability),
    seconds_forward=0.5,
    seconds_backward=1.0,
    seconds_hessian_row=2.0,
    activation_bytes=1000,
)


def claimed(here: Gateway, job_id: str) -> Job:
    """Claim a job as a worker does."""
    job = here.store.claim(job_id, worker="test", lease_seconds=60, max_attempts=3)
    assert job is not None
    return job


def inspect(here: Gateway, model_id: str, inspection: Inspection = INSPECTION, tenant: str = "local") -> None:
    """Play the runner that inspects a model and finds it good."""
    model = here.store.model(model_id, tenant)
    assert model.job_id is not None
    job = claimed(here, model.job_id)
    here.store.model_ready(model_id, weights_sha256=model.sha256, inspection=inspection)
    succeed(here, job)


DATASET_INSPECTION = DatasetInspection(
    kind="table", format="csv", task="regression", rows=100, target="y",
    columns=(Column(name="a", type="numeric", mean=1.0), Column(name="y", type="numeric", mean=2.0)),
)  # fmt: skip


def read_dataset(
    here: Gateway, dataset_id: str, inspection: DatasetInspection = DATASET_INSPECTION, tenant: str = "local"
) -> None:
    """Play the runner that reads a dataset and finds it good."""
    dataset = here.store.dataset(dataset_id, tenant)
    assert dataset.job_id is not None
    job = claimed(here, dataset.job_id)
    here.store.dataset_ready(dataset_id, data_sha256=dataset.sha256, data_bytes=10, inspection=inspection)
    succeed(here, job)


def refuse(here: Gateway, model_id: str, error: InterplayError) -> None:
    """Play the runner that inspects a model and finds it unusable."""
    model = here.store.model(model_id, "local")
    assert model.job_id is not None
    job = claimed(here, model.job_id)
    here.store.fail(job.id, job.attempt, error.problem(), retention_seconds=60)


def succeed(here: Gateway, job: Job, files: Mapping[str, bytes] | None = None) -> None:
    """Record that a claimed job succeeded with these files."""
    artifacts = [
        ArtifactReference(name=name, sha256=here.artifacts.put(data), size_bytes=len(data), media_type="x/y")
        for name, data in (files or {}).items()
    ]
    done = here.store.succeed(
        job.id, job.attempt, artifacts=artifacts, timings={"compute": 1.5}, cost=Cost(forwards=31), device="cpu",
        retention_seconds=3600,
    )  # fmt: skip
    assert done


def finish(here: Gateway, job_id: str, files: Mapping[str, bytes] | None = None) -> None:
    """Play the runner that computes a queued job."""
    job = claimed(here, job_id)
    succeed(here, job, result_files() if files is None else files)


def fail(here: Gateway, job_id: str, error: InterplayError) -> None:
    """Play the runner that fails at a queued job."""
    job = claimed(here, job_id)
    assert here.store.fail(job_id, job.attempt, error.problem(), retention_seconds=60)


def result_files() -> dict[str, bytes]:
    gradients = np.random.default_rng(0).normal(size=(31, int(np.prod(SHAPE)))).astype(np.float32)
    result = {"players": {"kind": "pixel-channel", "shape": list(SHAPE)}, "unit": "logit per distance"}
    return {
        "result.json": json.dumps(result).encode(),
        "saliency.png": png(),
        "report.html": b"<!doctype html><title>Report</title>",
        "path_gradients.npy": npy(gradients),
        "difference.npy": npy(np.linspace(-1, 1, gradients.shape[1], dtype=np.float32)),
    }


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def spooled(settings: Settings) -> list[Path]:
    return list((settings.data_dir / "spool").iterdir())


def kept(settings: Settings) -> list[Path]:
    """Every file in the artifact store."""
    return [path for path in (settings.data_dir / "artifacts").rglob("*") if path.is_file()]
