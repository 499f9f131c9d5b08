"""The service as a user starts it, for tests: `interplay serve` in a folder of its own, and what can hurt it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save
from torch import nn

T = TypeVar("T")

SIDE = 40
CHANNELS = 24
PATIENCE_SECONDS = 60.0
RECOVERY_SECONDS = 30.0
"""What the issue grants to a killed part, counted from its restart."""

LEASE_SECONDS = 3.0
REAPER_SECONDS = 0.5
"""Shorter than the defaults, so that the tests are quick. With the defaults, a lease of 15 s and a reaper every 5 s, a
job whose worker was killed is put back after at most 20 s, inside the same bound."""

MANIFEST = {
    "name": "tiny",
    "architecture": {
        "family": "sequential",
        "layers": [
            {"type": "conv2d", "inputs": 1, "outputs": CHANNELS, "kernel": 3, "padding": 1},
            {"type": "silu"},
            {"type": "conv2d", "inputs": CHANNELS, "outputs": CHANNELS, "kernel": 3, "padding": 1},
            {"type": "silu"},
            {"type": "flatten"},
            {"type": "linear", "inputs": CHANNELS * SIDE * SIDE, "outputs": 3},
        ],
    },
    "input": {"kind": "image", "shape": [1, SIDE, SIDE]},
    "preprocessing": {"mean": [0.5], "std": [0.5]},
}

QUICK = {"method": "integrated-gradients", "params": {"path_steps": 4}}
SLOW = {
    "method": "h-sets",
    "params": {"prior": "grid", "grid_cells": 6, "sets": 36, "threshold": 0.0, "max_rows": 1000, "subsets": 10},
}
"""A few seconds of Hessian rows: every entry passes the threshold, so every set grows to its whole region."""

LONG = {"method": "h-sets", "params": {**SLOW["params"], "growth": "anywhere", "sets": 6}}
"""Four times as many rows: what is left of it outlasts the two seconds that a stopping worker grants."""


def weights() -> bytes:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, CHANNELS, 3, padding=1), nn.SiLU(), nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.SiLU(),
        nn.Flatten(), nn.Linear(CHANNELS * SIDE * SIDE, 3),
    )  # fmt: skip
    return save(net.state_dict())


def picture(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def wait_for(find: Callable[[], T | None], seconds: float = PATIENCE_SECONDS) -> T:
    """Return the first true value that `find` gives."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := find():
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s in vain for {find}")


class Service:
    """One running `interplay serve`."""

    def __init__(self, folder: Path, **environment: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "log"
        self._environment = {
            **os.environ,
            "INTERPLAY_LEASE_SECONDS": str(LEASE_SECONDS),
            "INTERPLAY_REAPER_INTERVAL_SECONDS": str(REAPER_SECONDS),
            "INTERPLAY_TORCH_THREADS": "1",
            "INTERPLAY_LOG_FORMAT": "json",
            **environment,
        }
        command = [sys.executable, "-m", "app.cli", "serve", "--port", "0", "--data-dir", str(folder / "data")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment
            )
        try:
            self.url = self._read_url()
        except AssertionError:
            self._kill()
            raise
        self.client = httpx.Client(base_url=self.url, timeout=PATIENCE_SECONDS, trust_env=False)

    def _read_url(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, f"expected an address, got {line!r}; log:\n{self.log.read_text()}"
        return found[0]

    def wait_until_ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith("Ready"), self.log.read_text()

    def pid(self, child: str) -> int:
        """Process id of the gateway or worker that runs now."""
        lines = (line for line in self.log.read_text().splitlines() if line.startswith("{"))
        started = [json.loads(line) for line in lines if '"child_started"' in line]
        return int([event["pid"] for event in started if event["child"] == child][-1])

    def runner_pid(self) -> int:
        """Process id of the worker's one runner."""
        worker = self.pid("worker")
        return wait_for(lambda: next((pid for pid in children(worker) if "spawn_main" in command_line(pid)), None))

    def kill(self, child: str) -> None:
        """Kill -9 the gateway or worker, and wait until the supervisor has started another."""
        pid = self.pid(child)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self.pid(child) != pid)

    def _kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def stop(self) -> int:
        """Stop as a service manager does; return the exit code."""
        self.process.terminate()
        return self.ended()

    def ended(self) -> int:
        self.client.close()
        code = self.process.wait(PATIENCE_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def upload(self) -> str:
        files = {"artifact": ("tiny.safetensors", weights()), "manifest": (None, json.dumps(MANIFEST))}
        answer = self.client.post("/v1/models", files=files, headers={"Prefer": "wait=60"})
        assert answer.status_code in (200, 201), answer.text
        assert answer.json()["status"] == "ready", answer.text
        return str(answer.json()["id"])

    def explain(self, model: str, request: dict[str, Any], *, seed: int = 0, **headers: str) -> dict[str, Any]:
        """Submit; the picture depends on the seed too, so that two seeds are two jobs."""
        body = {**request, "model": model, "seed": seed}
        files = {"image": ("x.png", picture(seed)), "request": (None, json.dumps(body))}
        answer = self.client.post("/v1/explanations", files=files, headers={"Cache-Control": "no-cache", **headers})
        assert answer.status_code in (200, 202), answer.text
        return dict(answer.json())

    def job(self, job_id: str) -> dict[str, Any]:
        return dict(self.client.get(f"/v1/jobs/{job_id}").json())

    def finished(self, job_id: str, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        def find() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["status"] not in ("queued", "running") else None

        return wait_for(find, seconds)

    def working(self, job_id: str) -> dict[str, Any]:
        """Wait until the job is in the middle of its computation."""

        def find() -> dict[str, Any] | None:
            job = self.job(job_id)
            assert job["status"] in ("queued", "running"), f"the job was too fast: {job}"
            return job if job["progress"]["done"] > 0 else None

        return wait_for(find)

    def answer(self, job_id: str) -> dict[str, Any]:
        """What the job found: its result without what differs from run to run."""
        result = self.client.get(f"/v1/jobs/{job_id}/result").json()
        return {key: value for key, value in result.items() if key not in ("seconds", "provenance", "cost")}


@contextlib.contextmanager
def running(folder: Path, **environment: str) -> Iterator[Service]:
    service = Service(folder, **environment)
    try:
        service.wait_until_ready()
        yield service
    finally:
        if service.process.poll() is None:
            service.stop()


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie only waits for its parent to look."""
    stat = Path(f"/proc/{pid}/stat")
    with contextlib.suppress(OSError):
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def children(pid: int) -> list[int]:
    return [int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if _parent(stat) == pid]


def _parent(stat: Path) -> int | None:
    with contextlib.suppress(OSError):
        return int(stat.read_text().rpartition(")")[2].split()[1])
    return None


def descendants(pid: int) -> list[int]:
    return [each for child in children(pid) for each in (child, *descendants(child))]


def command_line(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""
