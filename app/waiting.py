"""Waiting for a row to change, by reading it again: ever more slowly, and the more slowly the more requests wait.

Nothing is held meanwhile: no thread, no connection, no transaction.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

Row = TypeVar("Row")

FIRST_PAUSE_SECONDS: Final = 0.002
LONGEST_PAUSE_SECONDS: Final = 0.25
PAUSE_GROWTH: Final = 0.05  # of the time waited so far: an answer comes at most 5 % late
READS_PER_SECOND: Final = 500  # of all waiting requests together: about a tenth of one core


class Waiting:
    """The waiting room of one gateway process."""

    def __init__(self) -> None:
        self._waiting = 0

    async def until(self, read: Callable[[], Awaitable[Row]], done: Callable[[Row], bool], *, seconds: float) -> Row:
        """Read until `done` says so or the time is up, and return what was read last."""
        begun = time.monotonic()
        self._waiting += 1
        try:
            while not done(row := await read()):
                waited = time.monotonic() - begun
                if waited >= seconds:
                    break
                await asyncio.sleep(min(self._pause(waited), seconds - waited))
            return row
        finally:
            self._waiting -= 1

    def _pause(self, waited: float) -> float:
        own = min(max(FIRST_PAUSE_SECONDS, PAUSE_GROWTH * waited), LONGEST_PAUSE_SECONDS)
        return max(own, self._waiting / READS_PER_SECOND)
