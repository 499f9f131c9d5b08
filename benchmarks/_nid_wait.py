"""How long NID of a network takes through HTTP, its pictures and report included: what a person waits for.

Networks of p features and hidden layers of 500, 400, 300, 200 and 100 units with random weights, as in the paper's
test at p = 1000; each question has a seed of its own, so that none is answered from an earlier one.
"""

from __future__ import annotations

import json
import statistics
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save

from benchmarks._rows import Rows

if TYPE_CHECKING:
    from benchmarks.service import Caller

FEATURES = (10, 100, 1000)
HIDDEN = (500, 400, 300, 200, 100)


def network(features: int) -> tuple[bytes, dict[str, Any]]:
    """Return a model file and its manifest."""
    random = np.random.default_rng(features)
    sizes = (features, *HIDDEN, 1)
    state, layers = {}, []
    for place, (inputs, outputs) in enumerate(pairwise(sizes)):
        layers += [{"type": "linear", "outputs": outputs}, {"type": "relu"}]
        state[f"{2 * place}.weight"] = (random.normal(size=(outputs, inputs)) / inputs**0.5).astype(np.float32)
        state[f"{2 * place}.bias"] = np.zeros(outputs, np.float32)
    architecture = {"family": "sequential", "layers": layers[:-1]}
    return save(state), {"architecture": architecture, "input": {"kind": "features", "shape": [features]}}


def seconds(caller: Caller, model: str, repeats: int) -> float:
    """Return the median time from the question to the finished job's document, after one question to warm up."""
    taken = []
    for seed in range(repeats + 1):
        body = json.dumps({"method": "nid", "model": model, "seed": seed}).encode()
        began = time.perf_counter()
        job = caller.ask("POST", "/v1/explanations", body, Content_Type="application/json", Prefer="wait=60")
        taken.append(time.perf_counter() - began)
        if job["status"] != "succeeded":
            raise RuntimeError(f"expected a succeeded job, got {job['status']}: {job['error']}")
    return statistics.median(taken[1:])


def measure(caller: Caller, rows: Rows, *, quick: bool) -> None:
    for features in FEATURES:
        model = caller.upload_model(*network(features), prefer="wait=60")["id"]
        value = seconds(caller, model, repeats=5 if quick else 30)
        rows.add(metric="nid_wait", case=f"{features} features", value=value, unit="s")
