"""The images without an engine: virtual environments that hold only what the Dockerfile's stages copy and install.

The worker's needs a second installation of torch (some minutes, 5 GB), so it is tried where INTERPLAY_TEST_WORKER_IMAGE
is set, and skipped otherwise.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.service import MANIFEST, QUICK, picture, wait_for, weights

ROOT = Path(__file__).parents[2]
START_SECONDS = 30


def stage_lines(stage: str) -> list[str]:
    """The instructions of `base` and of one stage, continued lines joined."""
    dockerfile = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    stages = dict(re.findall(r"^FROM \S+ AS (\w+)\n(.*?)(?=^FROM |\Z)", dockerfile, re.MULTILINE | re.DOTALL))
    return (stages["base"] + stages[stage]).splitlines()


def copied(stage: str) -> list[str]:
    return [name for line in stage_lines(stage) if line.startswith("COPY ") for name in line.split()[1:-1]]


def requirement(stage: str) -> str:
    return next(found[1] for line in stage_lines(stage) if (found := re.search(r'pip install .*"(\.\[.*\])"', line)))


def command(stage: str) -> list[str]:
    return json.loads(next(line for line in stage_lines(stage) if line.startswith("CMD ")).removeprefix("CMD "))


@pytest.fixture(scope="module")
def gateway_image(tmp_path_factory):
    return built("gateway", tmp_path_factory.mktemp("gateway"))


@pytest.fixture(scope="module")
def worker_image(tmp_path_factory):
    if "INTERPLAY_TEST_WORKER_IMAGE" not in os.environ:
        pytest.skip("installs torch a second time; set INTERPLAY_TEST_WORKER_IMAGE=1 to try it")
    return built("worker", tmp_path_factory.mktemp("worker"))


def built(stage: str, folder: Path) -> Path:
    """Make what the stage's image would hold in `folder`; return its virtual environment."""
    source, environment = folder / "source", folder / "environment"
    for name in copied(stage):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    for name in {"app", "worker"} - set(copied(stage)):
        (source / name).mkdir()
    venv.create(environment, with_pip=True)
    install = [environment / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    done = subprocess.run(
        [*install, "-c", "constraints.txt", requirement(stage)], cwd=source, capture_output=True, text=True
    )
    if done.returncode and ("NewConnectionError" in done.stderr or "No matching distribution" in done.stderr):
        pytest.skip(f"the package index cannot be reached: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    return environment


@contextmanager
def running(stage: str, image: Path, folder: Path, **settings: str) -> Iterator[dict[str, str]]:
    """Run the stage's command from its image in `folder`; yield its environment."""
    environment = {"PATH": f"{image / 'bin'}:{os.environ['PATH']}", "INTERPLAY_DATA_DIR": str(folder), **settings}
    with (folder / f"{stage}.log").open("w") as log:
        process = subprocess.Popen(command(stage), env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        yield environment
    finally:
        process.terminate()
        process.wait(timeout=60)


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


def test_the_gateway_image_holds_no_torch(gateway_image):
    tried = subprocess.run([gateway_image / "bin/python", "-c", "import torch"], capture_output=True, text=True)

    assert "No module named 'torch'" in tried.stderr


def test_the_gateway_image_serves_and_reaches_redis(gateway_image, redis_url, tmp_path):
    port = free_port()
    with (
        running("gateway", gateway_image, tmp_path, INTERPLAY_PORT=port, INTERPLAY_BROKER_URL=redis_url) as environment,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        methods = wait_for(lambda: answered(client), seconds=START_SECONDS)
        healthy = subprocess.run(["interplay", "health"], env=environment, cwd=tmp_path)

    assert "h-sets" in [method["id"] for method in methods["items"]]
    assert healthy.returncode == 0


def test_the_images_explain_together_over_redis(gateway_image, worker_image, redis_url, tmp_path):
    port = free_port()
    settings = {"INTERPLAY_PORT": port, "INTERPLAY_BROKER_URL": redis_url}
    with (
        running("gateway", gateway_image, tmp_path, **settings),
        running("worker", worker_image, tmp_path, **settings),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=90) as client,
    ):
        wait_for(lambda: answered(client), seconds=START_SECONDS)
        parts = {"manifest": (None, json.dumps(MANIFEST)), "artifact": weights()}
        model = client.post("/v1/models", files=parts, headers={"Prefer": "wait=60"}).json()
        request = {"request": (None, json.dumps({**QUICK, "model": model["id"]})), "image": picture()}
        job = client.post("/v1/explanations", files=request, headers={"Prefer": "wait=60"}).json()

    assert job["status"] == "succeeded"


def answered(client: httpx.Client) -> Any:
    try:
        return client.get("/v1/methods").json()
    except httpx.TransportError:
        return None


def test_python_of_the_images_is_supported():
    (version,) = re.findall(r"^FROM python:(\d+\.\d+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    assert (3, 11) <= tuple(map(int, version.split("."))) <= (3, 14)
