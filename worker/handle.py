"""A parent's hold on one runner process: start it, talk to it, weigh it, and end it, by force where it must be."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from pydantic import ValidationError

from jobs.settings import Settings
from worker import messages
from worker.messages import Order, Ready, Reply
from worker.runner import OpenExecution, serve

TERMINATE_SECONDS = 1.0
"""From SIGTERM to SIGKILL. A runner has nothing to clean up, so this is only politeness to libraries it loaded."""

_spawn = multiprocessing.get_context("spawn")


class RunnerDied(Exception):
    """The process ended, or broke the protocol, while its parent was talking to it."""


class Runner:
    """One runner process at a time: `start()` gives this handle a fresh one whenever the last has ended.

    Not safe for two threads at once; a handle is borrowed by one job.

    Args:
        open_execution: What the runner computes with; it is pickled, as it crosses to a spawned process.
    """

    def __init__(self, settings: Settings, open_execution: OpenExecution) -> None:
        self._settings = settings
        self._open_execution = open_execution
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._jobs = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def worn_out(self) -> bool:
        """Whether it has computed as many jobs as one process should."""
        return self._jobs >= self._settings.runner_recycle_jobs

    def start(self) -> None:
        """Make sure that there is a living process; do not wait until it has loaded its libraries."""
        if self._process is not None and self._process.is_alive():
            return
        self.close()
        ours, theirs = _spawn.Pipe()
        process = _spawn.Process(
            target=serve, args=(theirs, self._settings, self._open_execution), name="interplay-runner", daemon=True
        )
        process.start()
        # Only the runner may hold its end: otherwise its death would not read as end-of-file here.
        theirs.close()
        self._process, self._connection, self._jobs = process, ours, 0

    def send(self, order: Order) -> None:
        """Write one order.

        Raises:
            RunnerDied: Nobody reads it.
        """
        self._jobs += not isinstance(order, messages.Cancel)
        try:
            messages.send(self._living_connection(), order)
        except OSError as error:
            raise RunnerDied(self._cause()) from error

    def receive(self, timeout: float) -> Reply | None:
        """Wait for the next reply, at most `timeout` seconds; None when time is up.

        Raises:
            RunnerDied: It ended, or said something that is no reply.
        """
        connection = self._living_connection()
        try:
            return messages.receive_reply(connection) if connection.poll(timeout) else None
        except (EOFError, OSError) as error:
            raise RunnerDied(self._cause()) from error
        except ValidationError as error:
            self.kill()
            raise RunnerDied("It sent a malformed message.") from error

    def wait_until_ready(self, timeout: float) -> bool:
        """Wait until a just started runner has loaded its libraries; False when time is up.

        Raises:
            RunnerDied: It could not.
        """
        return isinstance(self.receive(timeout), Ready)

    def resident_mib(self) -> float:
        """Resident memory of the process now, in MiB; 0 once it has ended."""
        return _resident_mib(self.pid) if self.pid is not None else 0.0

    def kill(self) -> None:
        """End the process whatever it does: SIGTERM, then SIGKILL."""
        if self._process is not None:
            self._process.terminate()
            self._process.join(TERMINATE_SECONDS)
            self._process.kill()
            self._process.join()
        self._disconnect()

    def close(self) -> None:
        """Let the process end: it does when its pipe closes. Kill it where it does not."""
        self._disconnect()
        if self._process is not None:
            self._process.join(TERMINATE_SECONDS)
        self.kill()
        self._process = None

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _living_connection(self) -> Connection:
        if self._connection is None:
            raise RunnerDied("It was not running.")
        return self._connection

    def _cause(self) -> str:
        if self._process is not None:
            self._process.join(TERMINATE_SECONDS)
        self.kill()
        code = self._process.exitcode if self._process is not None else None
        if code is not None and code < 0:
            return f"It was ended by {signal.Signals(-code).name}."
        return f"It ended with exit code {code}."


def _resident_mib(pid: int) -> float:
    try:
        if sys.platform == "linux":
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        answer = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, check=True)  # noqa: S603, S607
        return int(answer.stdout) / 2**10
    except (OSError, ValueError, IndexError, subprocess.CalledProcessError):
        return 0.0  # It ended between two looks; its pipe tells so at the next one.
