"""Pytest plugin: a real Redis (or Valkey) server, private to the session, as the fixture `redis_url`.

It takes the server that is on PATH; where there is none, `tests/install_redis.sh` installs one with the system's
package manager, if it may. Where neither is possible, the tests that need it are skipped, and say so.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

INSTALL = Path(__file__).parent / "install_redis.sh"
INSTALL_SECONDS = 180
START_SECONDS = 20.0


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Redis server that keeps nothing on disk and ends with the session."""
    program = _on_path() or _installed()
    port = _free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    folder = tmp_path_factory.mktemp("redis")
    with (folder / "log").open("wb") as log, subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as server:
        try:
            _wait_until_it_answers(port, server)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()


def _on_path() -> str | None:
    return shutil.which("redis-server") or shutil.which("valkey-server")


def _installed() -> str:
    try:
        done = subprocess.run(["sh", INSTALL], capture_output=True, text=True, timeout=INSTALL_SECONDS)
        said = (done.stdout + done.stderr).strip().splitlines()
    except subprocess.TimeoutExpired:
        said = [f"it took more than {INSTALL_SECONDS} s"]
    program = _on_path()
    if program is None:
        pytest.skip(f"NO REDIS SERVER on PATH, and {INSTALL.name} could not install one: {' / '.join(said[-3:])}")
    return program


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _wait_until_it_answers(port: int, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(16).startswith(b"+PONG"):
                    return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"the Redis server did not answer on port {port}; exit code {server.poll()}")
