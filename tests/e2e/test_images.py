"""The gateway's image without an engine: a virtual environment and a folder that hold only what its stages copy.

The worker's image differs by torch alone, whose second installation is left to `deploy/check_images.sh`.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import time
import venv
from contextlib import closing
from pathlib import Path

import pytest

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
def image(tmp_path_factory):
    """Folder of a virtual environment that holds what the gateway's image would."""
    source, environment = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("image")
    for name in copied("gateway"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    (source / "worker").mkdir()
    venv.create(environment, with_pip=True)
    install = [environment / "bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    done = subprocess.run(
        [*install, "-c", "constraints.txt", requirement("gateway")], cwd=source, capture_output=True, text=True
    )
    if done.returncode and ("NewConnectionError" in done.stderr or "No matching distribution" in done.stderr):
        pytest.skip(f"the package index cannot be reached: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    return environment


def test_the_gateway_image_holds_no_torch(image):
    tried = subprocess.run([image / "bin/python", "-c", "import torch"], capture_output=True, text=True)

    assert "No module named 'torch'" in tried.stderr


def test_the_gateway_image_serves_and_is_healthy(image, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {
        "PATH": f"{image / 'bin'}:{os.environ['PATH']}",
        "INTERPLAY_DATA_DIR": str(tmp_path),
        "INTERPLAY_PORT": str(port),
    }
    gateway = subprocess.Popen(command("gateway"), env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        methods = wait_for_methods(port, gateway)
        healthy = subprocess.run(["interplay", "health"], env=environment, cwd=tmp_path)
    finally:
        gateway.terminate()
        _, log = gateway.communicate(timeout=20)

    assert "h-sets" in methods, log
    assert healthy.returncode == 0


def wait_for_methods(port: int, gateway: subprocess.Popen[str]) -> list[str]:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and gateway.poll() is None:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
                connection.request("GET", "/v1/methods")
                return re.findall(r'"id": ?"([\w-]+)"', connection.getresponse().read().decode())
        except OSError:
            time.sleep(0.1)
    return []


def test_python_of_the_images_is_supported():
    (version,) = re.findall(r"^FROM python:(\d+\.\d+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    assert (3, 11) <= tuple(map(int, version.split("."))) <= (3, 14)
