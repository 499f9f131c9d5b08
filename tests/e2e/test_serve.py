"""`interplay serve` itself: how it stops, what it leaves behind, and what it refuses."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.service import LONG, PATIENCE_SECONDS, SLOW, alive, descendants, running, wait_for

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@linux
def test_a_killed_supervisor_leaves_no_process_behind(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        service.explain(service.upload(), SLOW)
        family = descendants(service.process.pid)
        assert len(family) >= 3  # gateway, worker, runner

        service.process.kill()
        service.ended()

        assert wait_for(lambda: not any(alive(pid) for pid in family), seconds=10.0)


@linux
def test_a_stopped_service_ends_well_and_its_next_start_finishes_the_job(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        job = service.explain(service.upload(), LONG)
        service.working(job["id"])
        family = descendants(service.process.pid)

        assert service.stop() == 0

        assert not any(alive(pid) for pid in family)

    with running(tmp_path) as service:
        ended = service.finished(job["id"])

    # Given back by the first service itself: the second did not have to wait for a lease to run out.
    assert (ended["status"], ended["attempt"]) == ("succeeded", 2)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        capture_output=True, text=True, timeout=PATIENCE_SECONDS, env={**os.environ, **environment},
    )  # fmt: skip


def test_a_busy_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        refused = run("serve", "--port", port, "--data-dir", str(tmp_path))

    assert refused.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in refused.stderr
    assert "--port 0" in refused.stderr


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    refused = run("serve", "--port", "0", "--data-dir", str(tmp_path / "file" / "data"))

    assert refused.returncode == 2
    assert "cannot write to the data folder" in refused.stderr
    assert "INTERPLAY_DATA_DIR" in refused.stderr


@pytest.mark.parametrize("command", ["serve", "gateway"])
def test_an_open_address_without_keys_is_refused(command: str, tmp_path: Path) -> None:
    refused = run(command, "--host", "0.0.0.0", "--port", "0", "--data-dir", str(tmp_path))

    assert refused.returncode == 2
    assert "INTERPLAY_API_KEYS" in refused.stderr


def test_a_setting_that_is_not_valid_is_named(tmp_path: Path) -> None:
    refused = run("serve", "--data-dir", str(tmp_path), INTERPLAY_SLOTS="none")

    assert refused.returncode == 2
    assert "INTERPLAY_SLOTS" in refused.stderr
    assert "Traceback" not in refused.stderr


@linux
def test_health_tells_of_gateway_and_worker(tmp_path: Path) -> None:
    folder = str(tmp_path / "data")
    assert run("health", "--worker", "--data-dir", folder).returncode == 1

    with running(tmp_path) as service:
        port = service.url.rpartition(":")[2]
        assert run("health", "--port", port, "--data-dir", folder).returncode == 0
        assert wait_for(lambda: run("health", "--worker", "--data-dir", folder).returncode == 0)

    assert run("health", "--port", port, "--data-dir", folder).returncode == 1
