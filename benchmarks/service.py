"""How fast the service is around its computations: `python -m benchmarks.service [--quick] [--part nid]`.

Starts the service as a user does, once over the embedded broker and once over a real Redis (skipped, with a word, where
there is none on PATH), and measures it through HTTP on one kept connection:

    submit_to_start_p50_ms      POST to the moment a runner's parent has claimed the job (the service's own times)
    submit_to_result_p50_ms     POST to the body of GET …/result in the caller's hands, of a job that computes ~1 ms
    status_reads_per_second     GET /v1/jobs/{id}, four connections, one gateway process
    upload_mb_per_second        POST /v1/models, until the bytes are checked, hashed and durable
    idle_cpu_percent            of one core, all processes together, nothing to do
    nid_wait                    POST of NID of a network with `Prefer: wait`, to the finished job; see `_nid_wait`

`--part nid` measures the last one only and leaves the other rows as they are.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import multiprocessing
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from safetensors.numpy import save

from benchmarks import _nid_wait
from benchmarks._rows import Rows

READERS = 4
MEGABYTE = 1e6
FEATURES = 4
WARM_UP_JOBS = 5


class Caller:
    """One kept connection to the service."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=120)
        # The client's part of a small request must not wait for a delayed acknowledgement.
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request(method, path, body, named)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {content.decode()}")
        return json.loads(content)

    def upload(self, features: int, outputs: int, *, prefer: str) -> Any:
        """Upload a linear model with random weights; return its document."""
        random = np.random.default_rng(0)
        tensors = {"0.weight": random.normal(size=(outputs, features)), "0.bias": random.normal(size=outputs)}
        artifact = save({name: tensor.astype(np.float32) for name, tensor in tensors.items()})
        return self.upload_bytes(artifact, features, outputs, prefer=prefer)

    def upload_bytes(self, artifact: bytes, features: int, outputs: int, *, prefer: str) -> Any:
        layer = {"type": "linear", "inputs": features, "outputs": outputs}
        manifest = {
            "architecture": {"family": "sequential", "layers": [layer]},
            "input": {"kind": "features", "shape": [features]},
        }
        return self.upload_model(artifact, manifest, prefer=prefer)

    def upload_model(self, artifact: bytes, manifest: dict[str, Any], *, prefer: str) -> Any:
        content_type, body = multipart({"manifest": json.dumps(manifest).encode(), "artifact": artifact})
        return self.ask("POST", "/v1/models", body, Content_Type=content_type, Prefer=prefer)

    def submit(self, model: str, seed: int) -> Any:
        """Explain four numbers, and wait for it."""
        request = {
            "method": "integrated-gradients",
            "model": model,
            "seed": seed,
            "params": {"path_steps": 4},
            "input": {"features": [1.0, 2.0, 3.0, float(seed)]},
        }
        body = json.dumps(request).encode()
        return self.ask("POST", "/v1/explanations", body, Content_Type="application/json", Prefer="wait=30")


def multipart(parts: dict[str, bytes]) -> tuple[str, bytes]:
    boundary = uuid.uuid4().hex
    chunks = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n'.encode() + part
        for name, part in parts.items()
    ]
    return f"multipart/form-data; boundary={boundary}", b"\r\n".join([*chunks, f"--{boundary}--\r\n".encode()])


@contextlib.contextmanager
def serving(folder: Path, broker: str | None) -> Iterator[tuple[str, int]]:
    """Run the service; yield its host:port and the supervisor's process id."""
    environment = {**os.environ, "INTERPLAY_LOG_LEVEL": "warning"}
    if broker is not None:
        environment["INTERPLAY_BROKER_URL"] = broker
    command = [sys.executable, "-m", "app.cli", "serve", "--port", "0", "--data-dir", str(folder / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as service:
        assert service.stdout is not None
        found = re.search(r"http://\S+", service.stdout.readline())
        assert found is not None
        assert service.stdout.readline().startswith("Ready")
        try:
            yield urlsplit(found[0]).netloc, service.pid
        finally:
            service.terminate()


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[str | None]:
    """Run a Redis server for this benchmark alone; yield its URL, or None where there is none."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        yield None
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as server:
        time.sleep(0.5)
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()


def latencies(caller: Caller, model: str, jobs: int) -> tuple[float, float]:
    """Return the median milliseconds from submission to start and to result."""
    starts, results = [], []
    for seed in range(WARM_UP_JOBS + jobs):
        began = time.perf_counter()
        job = caller.submit(model, seed)
        if job["status"] != "succeeded":
            raise RuntimeError(f"expected a succeeded job, got {job['status']}: {job['error']}")
        caller.ask("GET", f"/v1/jobs/{job['id']}/result")
        results.append((time.perf_counter() - began) * 1e3)
        waited = datetime.fromisoformat(job["started_at"]) - datetime.fromisoformat(job["created_at"])
        starts.append(waited.total_seconds() * 1e3)
    return statistics.median(starts[WARM_UP_JOBS:]), statistics.median(results[WARM_UP_JOBS:])


def reads_per_second(address: str, job_id: str, seconds: float) -> float:
    """Return the status reads that one gateway answers, asked by processes that do as little as possible."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(READERS) as pool:
        counts = pool.starmap(read_status, [(address, job_id, seconds)] * READERS)
    return sum(counts) / seconds


def read_status(address: str, job_id: str, seconds: float) -> int:
    """Read a job's status for so long; return how often."""
    host, port = address.split(":")
    request = f"GET /v1/jobs/{job_id} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode()
    with socket.create_connection((host, int(port))) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        until, count = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            connection.sendall(request)
            _read_answer(connection)
            count += 1
    return count


def _read_answer(connection: socket.socket) -> None:
    head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.decode())
    length = re.search(rb"content-length: (\d+)", head)
    missing = int(length[1]) - len(body) if length else 0
    while missing > 0:
        missing -= len(connection.recv(65536))


def upload_rate(caller: Caller, side: int) -> float:
    """Return megabytes a second of a model of `side`² float32 weights."""
    weights = np.random.default_rng(1).normal(size=(side, side)).astype(np.float32)
    artifact = save({"0.weight": weights, "0.bias": weights[0].copy()})
    began = time.perf_counter()
    caller.upload_bytes(artifact, side, side, prefer="respond-async")
    return len(artifact) / MEGABYTE / (time.perf_counter() - began)


def idle_cpu(supervisor: int, seconds: float) -> float:
    """Return the percentage of one core that the service's processes use together."""
    family = _family(supervisor)
    before = sum(map(_cpu_seconds, family))
    time.sleep(seconds)
    return (sum(map(_cpu_seconds, family)) - before) / seconds * 100


def _family(pid: int) -> list[int]:
    stats = {int(stat.parent.name): stat for stat in Path("/proc").glob("[0-9]*/stat")}
    parents = {child: int(_fields(stat)[1]) for child, stat in stats.items() if stat.exists()}
    family = [pid]
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    return family


def _cpu_seconds(pid: int) -> float:
    user, system = _fields(Path(f"/proc/{pid}/stat"))[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _fields(stat: Path) -> list[str]:
    return stat.read_text().rpartition(")")[2].split()


def measure(case: str, broker: str | None, rows: Rows, *, quick: bool) -> None:
    """Measure one running service and add its rows."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), broker) as (address, supervisor):
        caller = Caller(address)
        model = caller.upload(FEATURES, 3, prefer="wait=60")["id"]
        start, result = latencies(caller, model, jobs=30 if quick else 200)
        rows.add(metric="submit_to_start_p50_ms", case=case, value=start, unit="ms")
        rows.add(metric="submit_to_result_p50_ms", case=case, value=result, unit="ms")
        job = caller.submit(model, 0)["id"]
        reads = reads_per_second(address, job, seconds=2.0 if quick else 10.0)
        rows.add(metric="status_reads_per_second", case=case, value=reads, unit="1/s")
        rows.add(metric="idle_cpu_percent", case=case, value=idle_cpu(supervisor, 3.0 if quick else 20.0), unit="%")
        rate = upload_rate(caller, side=2048 if quick else 4096)
        rows.add(metric="upload_mb_per_second", case=case, value=rate, unit="MB/s")


def measure_nid(rows: Rows, *, quick: bool) -> None:
    """Measure NID of uploaded networks on a service of its own."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), None) as (address, _):
        _nid_wait.measure(Caller(address), rows, quick=quick)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions; noisier numbers")
    parser.add_argument("--part", choices=["all", "nid"], default="all")
    given = parser.parse_args()
    quick = given.quick
    if given.part == "nid":
        with Rows("service", keep=True) as rows:
            measure_nid(rows, quick=quick)
        return
    with Rows("service") as rows, tempfile.TemporaryDirectory() as folder, redis(Path(folder)) as broker:
        measure("embedded", None, rows, quick=quick)
        if broker is None:
            print("No redis-server or valkey-server on PATH: the case `redis` is left out.")
        else:
            measure("redis", broker, rows, quick=quick)
        measure_nid(rows, quick=quick)


if __name__ == "__main__":
    main()
