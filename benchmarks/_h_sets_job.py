"""One H-Sets job on one model, measured in a process of its own: `python -m benchmarks._h_sets_job …` prints JSON.

The process is the measure of peak memory, so that one model's does not hide in another's.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torchvision.models import get_model

from jobs.schemas import Explanation, Manifest
from worker import devices, models, render
from worker.images import as_seen_by_model, decode, normalise
from worker.methods._registry import Subject
from worker.methods.h_sets import HSetsParams, explain
from worker.methods.h_sets.rows import hessian_rows
from worker.models.surgery import twice_differentiable

ACTIVATION_BUDGET = 1024 * 2**20
ACTIVATIONS_PER_INPUT = 8 * 24 * 2**20
"""Budget and need that give chunks of 5: what `worker.devices.chunk_size` allots to resnet18 at 224 px by default."""
STAGES = {"regions": "segmentation", "path": "path", "graph": "graph", "rows": "rows and growth", "scores": "scoring"}


class Stopwatch:
    """Seconds and CPU seconds per stage, from the progress that a method reports."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.cpu_seconds: dict[str, float] = defaultdict(float)
        self._device = device
        self._stage: str | None = None
        self._since = (0.0, 0.0)

    def __call__(self, stage: str | None, *_: int) -> None:
        """Take a report of a `Subject`; None ends the last stage."""
        if stage == self._stage:
            return
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        now = time.perf_counter(), time.process_time()
        if self._stage is not None:
            self.seconds[self._stage] += now[0] - self._since[0]
            self.cpu_seconds[self._stage] += now[1] - self._since[1]
        self._stage, self._since = stage, now


def subject(model: nn.Module, pixels: torch.Tensor, *, device: torch.device, chunk: int) -> Subject:
    """Return a subject over `(3, height, width)` pixels in [0, 1], normalised as ImageNet models take them."""
    preprocessing = Manifest(architecture="resnet18").preprocessing
    return Subject(
        model=model, input=normalise(pixels, preprocessing).to(device), pixels=pixels.permute(1, 2, 0).contiguous(),
        mean=preprocessing.mean, std=preprocessing.std, chunk=chunk,
    )  # fmt: skip


def photograph(path: str | None, size: int) -> torch.Tensor:
    """Return `(3, size, size)` pixels of a picture file, or of a smooth random scene where none is given."""
    if path is not None:
        picture = decode(Path(path).read_bytes(), max_pixels=25_000_000)
        preprocessing = Manifest(architecture="resnet18").preprocessing
        return as_seen_by_model(picture, (3, size, size), preprocessing, max_pixels=25_000_000)
    coarse = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")[0].clamp(0, 1)


def network(name: str, weights: str | None, size: int, device: torch.device) -> nn.Module:
    """Return one of torchvision's models, frozen, with given weights or with random ones."""
    if weights is not None:
        return models.load(Manifest(architecture=name), Path(weights), device=device)
    torch.manual_seed(0)
    changes = {"image_size": size} if name.startswith("vit") else {}
    model: nn.Module = get_model(name, **changes)
    if name.startswith("vit"):
        nn.init.normal_(model.heads[-1].weight, std=0.02)  # torchvision's are zeros: nothing would depend on anything
    return model.eval().requires_grad_(False).to(device)


def clock(device: torch.device) -> float:
    """Return seconds once the device is idle: CPU time on a CPU, as neighbours disturb it less, else wall time."""
    if device.type != "cuda":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def best_of(repeats: int, run: Callable[[], object], device: torch.device) -> float:
    """Return the fewest seconds of several runs, by `clock`."""
    times = []
    for _ in range(repeats):
        start = clock(device)
        run()
        times.append(clock(device) - start)
    return min(times)


def floor(given: Subject, *, points: int, rows: int, target: Any) -> dict[str, float]:
    """Time what no implementation can do without: the path's forwards and backwards, and the Hessian rows, alone."""
    device = given.input.device

    def path() -> None:
        for start in range(0, points, given.chunk):
            batch = given.input.expand(min(given.chunk, points - start), -1, -1, -1).clone().requires_grad_()
            torch.autograd.grad(given.model(batch)[:, target.index].sum(), batch)

    path_seconds = best_of(2, path, device)
    chunk = given.chunk if device.type == "cuda" else 1
    with hessian_rows(twice_differentiable(given.model), given.input, target, chunk=chunk) as rows_of:
        few = min(rows, 8)
        row_seconds = best_of(2, lambda: rows_of(list(range(few))), device) / few
    return {"path": path_seconds, "rows": row_seconds * rows}


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one job, then its floor."""
    device = torch.device(arguments.device)
    devices.set_up(device, threads=arguments.threads)
    model = network(arguments.model, arguments.weights, arguments.size, device)
    chunk = devices.chunk_size(ACTIVATIONS_PER_INPUT, ACTIVATION_BUDGET)
    given = subject(model, photograph(arguments.image, arguments.size), device=device, chunk=chunk)
    with torch.no_grad():
        model(given.input[None])  # the first call loads kernels
    watch = Stopwatch(device)
    params = HSetsParams.model_validate(json.loads(arguments.params))
    answer = explain(Subject(**{**vars(given), "report": watch}), params)
    watch(None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds, cpu_seconds = named(watch.seconds), named(watch.cpu_seconds)
    start = time.perf_counter(), time.process_time()
    pictures = draw(answer, given)
    seconds["rendering"], cpu_seconds["rendering"] = time.perf_counter() - start[0], time.process_time() - start[1]
    target = answer.explained
    least = floor(given, points=params.path_steps + 1, rows=answer.cost.hessian_rows, target=target)
    on_gpu = device.type == "cuda"
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_mib": torch.cuda.max_memory_allocated(device) / 2**20 if on_gpu else peak,
        "host_peak_mib": peak,
        "rows": answer.cost.hessian_rows,
        "sizes": [found.order for found in answer.interactions],
        "floor": least,
        "device": devices.describe(device),
        "pictures": len(pictures),
    }


def draw(answer: Explanation, given: Subject) -> dict[str, bytes]:
    """Render the pictures of an answer."""
    assert given.pixels is not None
    return render.pictures(answer, given.pixels.cpu().numpy().astype(np.float64))


def named(stages: dict[str, float]) -> dict[str, float]:
    """Call the stages as people do."""
    return {STAGES[stage]: value for stage, value in stages.items()}


def main() -> None:
    """Print the measurement as one line of JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--params", default="{}")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--weights")
    parser.add_argument("--image")
    print(json.dumps(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
