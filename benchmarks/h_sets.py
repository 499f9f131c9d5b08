"""H-Sets: speed against per-subset evaluation, seconds and memory per stage, distance to the floor.

    python -m benchmarks.h_sets [--quick] [--threads N] [--weights NAME=PATH] [--image PATH]

`speedup_vs_per_subset` evaluates every random subset of every set along its own path, as the published code does, and
compares with one shared path on the same subsets. `job_over_floor` divides a whole job without segmentation by what
no implementation can do without: 31 forwards and backwards and its Hessian rows, each timed alone. Networks have
random weights unless `--weights` gives them: what is measured here does not depend on training, but for the number of
rows that a set uses, which is printed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks._h_sets_job import clock, network, photograph, subject
from benchmarks._rows import ROOT, Rows
from jobs.set_scores import score, subset_blocks
from worker.devices import describe, pick, set_up
from worker.methods._paths import path_gradients
from worker.methods._registry import Subject
from worker.methods.h_sets import HSetsParams, explain

MODELS = ("resnet18", "mobilenet_v3_large", "vgg16", "vit_b_16")
BATCH_MODELS = ("vgg16", "resnet101")
SET_SIZE = 2001


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.h_sets", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small model at small sizes, in under a minute")
    parser.add_argument(
        "--weights", metavar="NAME=PATH", action="append", default=[], help="also measure these weights"
    )
    parser.add_argument("--threads", type=int, default=1, help="of the CPU's kernels; 1 keeps CPU time comparable")
    parser.add_argument("--image", metavar="PATH", help="explain this picture in place of a random scene")
    arguments = parser.parse_args()
    device = pick("auto")
    set_up(device, threads=arguments.threads)
    with Rows("h_sets", device=describe(device), threads=arguments.threads) as rows:
        for size in (32,) if arguments.quick else (32, 64):
            add_speedup(rows, device, size=size, sets=1 if arguments.quick else 5, subsets=8 if arguments.quick else 30)
        for case in cases(arguments):
            add_job(rows, case, device=device, threads=arguments.threads, image=arguments.image)
        if device.type == "cuda":
            for name in BATCH_MODELS:
                add_throughput(rows, name, device, jobs=4 if arguments.quick else 20)


# ---------------------------------------------------------------- shared path against one path a subset


def add_speedup(rows: Rows, device: torch.device, *, size: int, sets: int, subsets: int) -> None:
    """Score the same random subsets of the same sets in both ways."""
    model = network("resnet18", None, size, device)
    given = subject(model, photograph(None, size), device=device, chunk=8)
    random = np.random.default_rng(0)
    chosen = [np.sort(random.choice(given.input.numel(), SET_SIZE, replace=False)) for _ in range(sets)]
    with torch.no_grad():
        model(given.input[None])  # the first call loads kernels
    case = f"resnet18 {size}px, {sets} x {subsets} subsets"

    start = clock(device)
    shared = shared_scores(given, chosen, subsets)
    ours = clock(device) - start
    start = clock(device)
    alone = per_subset_scores(given, chosen, subsets)
    naive = clock(device) - start

    difference = max(abs(one - other) / other for one, other in zip(shared, alone, strict=True))
    metric = "seconds" if device.type == "cuda" else "cpu_seconds"
    rows.add(metric=metric, case=f"{case}, shared path", value=ours, unit="s")
    rows.add(metric=metric, case=f"{case}, a path each", value=naive, unit="s")
    rows.add(
        metric="speedup_vs_per_subset", case=case, value=naive / ours, unit="x", peer="a path per subset",
        ratio=naive / ours,
    )  # fmt: skip
    rows.add(metric="score_difference", case=case, value=difference, unit="relative")


def shared_scores(given: Subject, chosen: list[np.ndarray], subsets: int) -> list[float]:
    """Score by one path of 31 points."""
    path = path_gradients(
        given.model, given.input, torch.zeros_like(given.input), steps=30, path_class="per-point", chunk=given.chunk
    )
    gradients, difference = path.gradients.flatten(1).cpu().numpy(), path.difference.flatten().cpu().numpy()
    return [
        score(gradients, difference, members, formula="published", subsets=subsets, seed=0).value for members in chosen
    ]


def per_subset_scores(given: Subject, chosen: list[np.ndarray], subsets: int) -> list[float]:
    """Score by 31 points for every subset, one point at a time."""
    scores = []
    for members in chosen:
        total = 0.0
        for kept in np.concatenate(list(subset_blocks(members, subsets=subsets, seed=0))):
            mask = torch.zeros(given.input.numel(), device=given.input.device)
            mask[torch.from_numpy(members[kept > 0])] = 1
            total += per_subset_score(given.model, given.input, mask.view_as(given.input))
        scores.append(total)
    return scores


def per_subset_score(model: nn.Module, x: Tensor, mask: Tensor) -> float:
    """Return the length of v times the mean |gradient| of the class predicted at each of 31 points."""
    v = x * mask
    v = v / v.norm()
    total = torch.zeros_like(x)
    for j in range(31):
        point = (j / 30 * x)[None].requires_grad_()
        gradient = torch.autograd.grad(model(point).max(), point)[0][0]
        total += v * gradient.abs()
    return float((total / 31).norm())


# ---------------------------------------------------------------- whole jobs


def cases(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return what to run: every model with both presets, growth bounded so that VGG16 on a CPU ends in minutes."""
    if arguments.quick:
        return [{"model": "resnet18", "size": 64, "params": {"max_rows": 2}, "weights": None}]
    given = [pair.partition("=")[::2] for pair in arguments.weights]
    networks = [(name, None) for name in MODELS] + given
    return [
        {"model": name, "size": 224, "params": params, "weights": weights}
        for name, weights in networks
        for params in ({"preset": "published"}, {"max_rows": 8})
    ]


def add_job(rows: Rows, case: dict[str, Any], *, device: torch.device, threads: int, image: str | None) -> None:
    """Measure one job in a process of its own."""
    command = [sys.executable, "-m", "benchmarks._h_sets_job", "--model", case["model"], "--size", str(case["size"])]
    command += ["--params", json.dumps(case["params"]), "--device", str(device), "--threads", str(threads)]
    for name, value in (("--weights", case["weights"]), ("--image", image)):
        command += [name, value] if value else []
    found = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    name = f"{case['model']} {case['size']}px {label(case)}, {found['rows']} rows"
    for metric in ("cpu_seconds", "seconds"):
        for stage, value in found[metric].items():
            rows.add(metric=metric, case=f"{name}: {stage}", value=value, unit="s")
        rows.add(metric=metric, case=f"{name}: job", value=sum(found[metric].values()), unit="s")
    rows.add(metric="peak_mib", case=name, value=found["peak_mib"], unit="MiB")
    on_gpu = device.type == "cuda"
    spent = found["seconds" if on_gpu else "cpu_seconds"]
    job = sum(value for stage, value in spent.items() if stage not in ("segmentation", "rendering"))
    floor = sum(found["floor"].values())
    rows.add(
        metric="job_over_floor", case=name, value=job / floor, unit="x", peer="31 F+B and its rows", ratio=job / floor
    )


def label(case: dict[str, Any]) -> str:
    """Name the preset, what departs from it, and whose the weights are."""
    params = dict(case["params"])
    preset = params.pop("preset", "paper")
    weights = "given weights" if case["weights"] else "random weights"
    return ", ".join([preset, *(f"{key}={value}" for key, value in params.items()), weights])


def add_throughput(rows: Rows, name: str, device: torch.device, *, jobs: int) -> None:
    """Count images per second on an accelerator, the first job after warm-up alone, then many one after another."""
    model = network(name, None, 224, device)
    given = subject(model, photograph(None, 224), device=device, chunk=32)
    params = HSetsParams(preset="published", prior="grid")
    explain(given, params)
    for case, count in (("one job", 1), (f"{jobs} jobs", jobs)):
        torch.cuda.synchronize(device)
        start = time.perf_counter()
        for _ in range(count):
            explain(given, params)
        torch.cuda.synchronize(device)
        rows.add(
            metric="images_per_second", case=f"{name} 224px published, prior=grid, {case}", unit="1/s",
            value=count / (time.perf_counter() - start),
        )  # fmt: skip


if __name__ == "__main__":
    main()
