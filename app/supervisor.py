"""The supervisor: one process that keeps a gateway and a worker running.

A child that dies is started again, at once the first time and then ever more slowly. Children die with the
supervisor, even when it is killed (`app.leash`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import FrameType

import structlog

log = structlog.get_logger()

FIRST_RESTART_SECONDS = 0.1
SLOWEST_RESTART_SECONDS = 30.0
HEALTHY_SECONDS = 60.0
"""A child that lived for so long is restarted fast again."""

STOP_SECONDS = 15.0
"""From SIGTERM to SIGKILL: a worker gives its jobs back in about three seconds, a gateway ends its replies in five."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass
class Child:
    """A process that should be running; the supervisor keeps the last four fields."""

    name: str
    command: Sequence[str]
    pass_fds: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    pause: float = FIRST_RESTART_SECONDS


class Supervisor:
    """Run children until a signal says stop.

    Args:
        environment: Of the children.
    """

    def __init__(self, children: Iterable[Child], environment: Mapping[str, str]) -> None:
        self._children = tuple(children)
        self._environment = dict(environment)
        self._stopping = False
        # SimpleQueue, because a signal handler may put into it while the main thread is inside get().
        self._wakeups: SimpleQueue[int] = SimpleQueue()

    def run(self) -> None:
        """Start everything, keep it running, and return once a signal came and every child has ended."""
        with self._signals_handled():
            while not self._stopping:
                for child in self._children:
                    self._tend(child)
                self._sleep()
            self._end_all()

    @contextmanager
    def _signals_handled(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._stop) for number in STOP_SIGNALS}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, self._wake)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, _: FrameType | None) -> None:
        self._stopping = True
        self._wakeups.put(number)

    def _wake(self, number: int, _: FrameType | None) -> None:
        self._wakeups.put(number)

    def _sleep(self) -> None:
        """Wait for a signal, a child's death, or the time of the next restart."""
        due = [child.start_at for child in self._children if child.process is None]
        try:
            self._wakeups.get(timeout=max(0.0, min(due) - time.monotonic()) if due else None)
        except Empty:
            return

    def _tend(self, child: Child) -> None:
        """Note a death; start what is not running once it is due."""
        if child.process is not None and child.process.poll() is not None:
            _note_death(child, time.monotonic())
        if child.process is None and time.monotonic() >= child.start_at:
            child.process, child.started_at = self._spawn(child), time.monotonic()
            log.info("child_started", child=child.name, pid=child.process.pid)

    def _spawn(self, child: Child) -> subprocess.Popen[bytes]:
        leash = [sys.executable, "-m", "app.leash", str(os.getpid())]
        # A session of its own: Ctrl-C reaches the supervisor alone, which then stops everything in order.
        return subprocess.Popen(  # noqa: S603
            [*leash, *child.command], env=self._environment, pass_fds=child.pass_fds, start_new_session=True
        )

    def _end_all(self) -> None:
        processes = [child.process for child in self._children if child.process is not None]
        for process in processes:
            process.terminate()
        until = time.monotonic() + STOP_SECONDS
        for process in processes:
            _end(process, until)
        log.info("stopped")


def _note_death(child: Child, now: float) -> None:
    if now - child.started_at > HEALTHY_SECONDS:
        child.pause = FIRST_RESTART_SECONDS
    exit_code = child.process.returncode if child.process is not None else None
    log.warning("child_ended", child=child.name, exit_code=exit_code, restart_in_seconds=child.pause)
    child.process, child.start_at = None, now + child.pause
    child.pause = min(child.pause * 3, SLOWEST_RESTART_SECONDS)


def _end(process: subprocess.Popen[bytes], until: float) -> None:
    try:
        process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        log.warning("child_killed", pid=process.pid, after_seconds=STOP_SECONDS)
        process.kill()
        process.wait()
