"""Start the service as a user would, on a free port, and stop it cleanly."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

START_SECONDS = 120.0
STOP_SECONDS = 30.0


class ServiceFailed(Exception):
    """The service did not start; the message says where its log is."""


@contextmanager
def local_service(folder: Path) -> Iterator[str]:
    """Run `interplay serve` on fresh data, yield its address, and stop it at the end, whatever ends it.

    Its log stays in `folder`; its data, of which the demo keeps what it downloads, goes.

    Raises:
        ServiceFailed: It was not ready in time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="data-", dir=folder) as data:
        url, log = f"http://127.0.0.1:{_free_port()}", folder / "service.log"
        process = _start(url, Path(data), log)
        try:
            _wait_until_ready(process, url, log)
            yield url
        finally:
            _stop(process)


def _start(url: str, data: Path, log: Path) -> subprocess.Popen[bytes]:
    port = url.rpartition(":")[2]
    command = [sys.executable, "-m", "app.cli", "serve", "--port", port, "--data-dir", str(data)]
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches the demo alone, which then stops the service in order.
        return subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True, env=_environment())


def _environment() -> dict[str, str]:
    """The embedded default, whatever the shell has set for another service."""
    return {name: value for name, value in os.environ.items() if not name.startswith("INTERPLAY_")}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        if _is_ready(url):
            return
        time.sleep(0.1)
    fault = f"was not ready within {START_SECONDS:.0f} s" if process.poll() is None else "ended at once"
    raise ServiceFailed(f"the service {fault}; its log is {log}")


def _is_ready(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{url}/readyz", timeout=5).is_success
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
