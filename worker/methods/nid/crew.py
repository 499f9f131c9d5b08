"""Threads that compute side by side, each on one core.

Small matrices gain nothing from being shared among cores: the threads would mostly wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event
from types import TracebackType
from typing import TypeVar

import torch

T = TypeVar("T")

_SECONDS = 0.1
"""Between two looks at whether to go on: a canceled job should end at once for a person."""


class Crew:
    """As many threads as PyTorch may use, for as long as the context is open."""

    def __init__(self) -> None:
        self.threads = torch.get_num_threads()
        self._stop = Event()
        self._pool = ThreadPoolExecutor(self.threads, initializer=_settle)

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self.threads)  # for threads that others start from now on

    def run(self, tasks: Sequence[Callable[[Callable[[], None]], T]], beat: Callable[[], None]) -> list[T]:
        """Do all tasks; return what they return, in their order.

        Args:
            tasks: Each gets a function that it must call often, which raises when the others have failed.
            beat: Called by this thread, at once and then often; may raise.
        """
        futures = [self._pool.submit(task, self._check) for task in tasks]
        beat()
        while wait(futures, timeout=_SECONDS).not_done:
            beat()
        return [future.result() for future in futures]

    def _check(self) -> None:
        if self._stop.is_set():
            raise InterruptedError("the crew was told to stop")


def _settle() -> None:
    """Prepare a new thread."""
    torch.set_num_threads(1)
    # Adam's means of a dead unit fall for ever, and arithmetic on numbers below 1e-38 takes a hundred times as long.
    torch.set_flush_denormal(True)
