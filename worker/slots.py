"""The runners of one worker, one per slot; a job borrows one for as long as it computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from queue import LifoQueue
from threading import Event

import structlog

from worker.handle import Runner

log = structlog.get_logger()


class Slots:
    """A stack of idle runners: the one used last is the warmest, so it is the next to be used."""

    def __init__(self, runners: list[Runner]) -> None:
        self._runners = tuple(runners)
        self._closing = Event()
        self._idle: LifoQueue[Runner] = LifoQueue()
        for runner in runners:
            self._idle.put(runner)

    def start(self) -> None:
        """Spawn every runner now, so that the first job does not wait for torch to be imported."""
        for runner in self._runners:
            runner.start()

    @contextmanager
    def borrow(self) -> Iterator[Runner]:
        """Wait for an idle runner; afterwards replace it where it died or has computed enough."""
        runner = self._idle.get()
        try:
            runner.start()
            yield runner
        finally:
            if runner.worn_out:
                log.info("runner_recycled", pid=runner.pid)
                runner.close()
            if not self._closing.is_set():
                runner.start()
            self._idle.put(runner)

    def stop_replacing(self) -> None:
        """Spawn no more runners: the worker is shutting down."""
        self._closing.set()

    def close(self) -> None:
        """End every runner."""
        self.stop_replacing()
        for runner in self._runners:
            runner.close()
