"""The embedded broker: a kombu virtual transport that keeps its messages in a SQLite file.

Putting a message is one INSERT, getting one is one DELETE … RETURNING: the database's lock is what makes sure that
each message is delivered to exactly one of several processes. (kombu's own file transport can read half-written
files, and its SQL transport polls once a second.) Fanout is not supported, so Celery's remote control is off.

A message is gone once it is delivered: a worker that dies with it loses it, and the reaper rings for its job again.
"""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from queue import Empty
from threading import Lock
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, virtual

from jobs.private_folder import make_private
from jobs.sqlite import BUSY_SECONDS, enter_wal

EAGER_SECONDS = 1.0
EAGERNESS = 5

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, payload TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS messages_by_queue ON messages (queue, id);
"""
_PUT = "INSERT INTO messages (queue, payload) VALUES (?, ?)"
_PEEK = "SELECT 1 FROM messages WHERE queue = ? LIMIT 1"
_GET = """
DELETE FROM messages WHERE id = (SELECT id FROM messages WHERE queue = ? ORDER BY id LIMIT 1) RETURNING payload
"""
_SIZE = "SELECT count(*) FROM messages WHERE queue = ?"
_PURGE = "DELETE FROM messages WHERE queue = ?"


class Channel(virtual.Channel):
    """A channel with its own connection to the file; threads may share it."""

    def __init__(self, connection: Any, **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)  # type: ignore[no-untyped-call]
        self._lock = Lock()
        self._database = _open(_path(connection.client.hostname))

    def _execute(self, statement: str, *parameters: str) -> tuple[list[tuple[Any, ...]], int]:
        """Run one statement, which is one transaction; return its rows and how many rows it changed."""
        with self._lock:
            cursor = self._database.execute(statement, parameters)
            # A statement with RETURNING commits when its last row has been fetched, not when its first has.
            return cursor.fetchall(), cursor.rowcount

    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        self._execute(_PUT, queue, json.dumps(message))

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:  # noqa: ARG002
        # Reading first: a DELETE takes the write lock even where there is nothing to delete, fifty times a second.
        if not self._execute(_PEEK, queue)[0]:
            raise Empty
        rows = self._execute(_GET, queue)[0]
        if not rows:
            raise Empty  # another process was faster
        message: dict[str, Any] = json.loads(rows[0][0])
        return message

    def _size(self, queue: str) -> int:
        return int(self._execute(_SIZE, queue)[0][0][0])

    def _purge(self, queue: str) -> int:
        return self._execute(_PURGE, queue)[1]

    def close(self) -> None:
        """Put unacknowledged messages back, then close the connection."""
        super().close()  # type: ignore[no-untyped-call]
        self._database.close()


class Transport(virtual.Transport):
    """`interplay+sqlite:///PATH`; the transport option `polling_interval` is the pause between looks, in seconds.

    Messages come in bursts: for a second after one, it looks `EAGERNESS` times as often.
    """

    Channel = Channel

    driver_type = "sqlite"
    driver_name = "sqlite3"
    can_parse_url = True

    # What Celery answers by connecting again, and a producer by trying again.
    connection_errors: tuple[type[Exception], ...] = (*virtual.Transport.connection_errors, sqlite3.Error, OSError)  # type: ignore[assignment]

    _pause = 1.0
    _eager_until = 0.0

    @property
    def polling_interval(self) -> float:
        """Pause between two looks, in seconds; kombu reads it anew after every message and every second."""
        return self._pause / EAGERNESS if time.monotonic() < self._eager_until else self._pause

    @polling_interval.setter
    def polling_interval(self, seconds: float) -> None:
        self._pause = seconds

    def _deliver(self, message: dict[str, Any], queue: str) -> None:
        self._eager_until = time.monotonic() + EAGER_SECONDS
        super()._deliver(message, queue)  # type: ignore[no-untyped-call]

    def driver_version(self) -> str:
        return sqlite3.sqlite_version


def _path(url: str) -> Path:
    """The file of `sqlite:///PATH`, which kombu leaves of `interplay+sqlite:///PATH`."""
    return Path(url.removeprefix("sqlite:///"))


def _open(path: Path) -> sqlite3.Connection:
    make_private(path.parent)
    database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    enter_wal(database)
    # A power cut may take the last messages, never the file; the reaper rings for their jobs again.
    database.execute("PRAGMA synchronous = NORMAL")
    database.executescript(_SCHEMA)
    return database


def register() -> None:
    """Let kombu find the transport by its URL."""
    TRANSPORT_ALIASES["interplay"] = f"{__name__}:{Transport.__name__}"
