"""The supervisor, with children that are one line of shell."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from app import supervisor
from app.supervisor import Child, Supervisor

PATIENCE_SECONDS = 30.0


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


@contextmanager
def stopped_when(condition: Callable[[], bool]) -> Iterator[None]:
    """Send this process SIGTERM once the condition holds; the supervisor runs in the main thread."""

    def wait() -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while not condition() and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    watcher = Thread(target=wait)
    watcher.start()
    yield
    watcher.join()


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    child = Child("short", shell(f"echo started >> {starts}; exit 3"))

    with stopped_when(lambda: len(lines(starts)) >= 3):
        Supervisor([child], os.environ).run()

    assert len(lines(starts)) >= 3


def test_restarts_become_slower_and_slower_up_to_a_bound() -> None:
    child = Child("short", shell("exit 1"), started_at=time.monotonic())
    pauses = []
    for _ in range(8):
        pauses.append(child.pause)
        supervisor._note_death(child, time.monotonic())

    assert pauses == sorted(pauses)
    assert pauses[0] == supervisor.FIRST_RESTART_SECONDS
    assert pauses[-1] == supervisor.SLOWEST_RESTART_SECONDS


def test_a_child_that_lived_long_is_restarted_fast_again() -> None:
    child = Child("long", shell("exit 1"), started_at=0.0, pause=supervisor.SLOWEST_RESTART_SECONDS)

    supervisor._note_death(child, supervisor.HEALTHY_SECONDS + 1.0)

    assert child.start_at == supervisor.HEALTHY_SECONDS + 1.0 + supervisor.FIRST_RESTART_SECONDS


def test_children_are_told_to_stop_and_waited_for(tmp_path: Path) -> None:
    said = tmp_path / "said"
    script = f"trap 'echo goodbye >> {said}; exit 0' TERM; echo hello >> {said}; while :; do sleep 0.05; done"

    with stopped_when(lambda: lines(said) == ["hello"]):
        Supervisor([Child("polite", shell(script))], os.environ).run()

    assert lines(said) == ["hello", "goodbye"]


def test_a_child_that_does_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "STOP_SECONDS", 0.3)
    said = tmp_path / "said"
    child = Child("deaf", shell(f"trap '' TERM; echo hello >> {said}; while :; do sleep 0.05; done"))

    with stopped_when(lambda: lines(said) == ["hello"]):
        Supervisor([child], os.environ).run()

    assert child.process is not None
    assert child.process.returncode == -signal.SIGKILL


def test_children_get_the_environment_and_the_socket_they_were_promised(tmp_path: Path) -> None:
    said, (read, write) = tmp_path / "said", os.pipe()
    try:
        inherit = [sys.executable, "-c", f"import os; os.write({write}, os.environ['GIFT'].encode())"]
        child = Child("heir", shell(f"{shlex.join(inherit)}; echo done > {said}; sleep 60"), pass_fds=(write,))
        with stopped_when(lambda: bool(lines(said))):
            Supervisor([child], {**os.environ, "GIFT": "a present"}).run()

        assert os.read(read, 100) == b"a present"
    finally:
        os.close(read)
        os.close(write)


def test_signal_handlers_are_put_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)

    with stopped_when(lambda: bool(lines(tmp_path / "said"))):
        Supervisor([Child("quiet", shell(f"echo hello > {tmp_path}/said; sleep 60"))], os.environ).run()

    assert signal.getsignal(signal.SIGTERM) is before
