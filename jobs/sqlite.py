"""How every SQLite file of Interplay is opened: in WAL mode, where readers and a writer do not wait for each other."""

from __future__ import annotations

import sqlite3
import time

BUSY_SECONDS = 15.0
"""Several processes write; none holds the lock for longer than a few milliseconds."""

_RETRY_SECONDS = 0.005


def enter_wal(connection: sqlite3.Connection) -> None:
    """Put the file into WAL mode, whoever else does the same at this moment.

    SQLite does not wait for its busy timeout here: of two connections that leave the rollback journal at once,
    one gets "database is locked" straight away, because waiting for each other's read lock would last for ever.

    Raises:
        sqlite3.OperationalError: The file stayed locked for `BUSY_SECONDS`, or is no database.
    """
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(_RETRY_SECONDS)
