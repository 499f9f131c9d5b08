"""Connections to the database: short transactions, SQLite tuned, driver errors translated.

The only place that knows which database it talks to.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from jobs.errors import StoreUnavailable
from jobs.private_folder import make_private
from jobs.sqlite import BUSY_SECONDS, enter_wal
from jobs.store._tables import metadata

POOL = {"pool_size": 8, "max_overflow": 56}  # The gateway's 40 threads and the rest, with room; kept open: 8.


class Database:
    """One database, opened.

    Args:
        url: SQLAlchemy URL of a SQLite file (its folder is created, for this user only) or of PostgreSQL.

    Raises:
        StoreUnavailable: The database cannot be opened, its tables not be created, or they are another version's.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(make_url(url))
        self._writer = self._engine.execution_options(interplay_synchronous="FULL")
        self._hasty_writer = self._engine.execution_options(interplay_synchronous="NORMAL")
        with self.write() as connection:
            metadata.create_all(connection)
            _require_columns(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Lend a connection for a single SELECT, or for several that need not agree."""
        with _translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """Lend a connection inside one transaction, committed at the end of the block, rolled back on any error.

        Args:
            durable: Whether a power cut just after the commit must not undo it. What a worker says about a job in
                progress need not be: a power cut ends the worker too. (The end of a process undoes nothing.)

        Raises:
            IntegrityError: A unique key was taken; the caller knows what that means.
        """
        writer = self._writer if durable else self._hasty_writer
        with _translated(), writer.begin() as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except SQLAlchemyError as error:
        raise StoreUnavailable(f"The job store failed: {error}") from error


def _require_columns(connection: Connection) -> None:
    """Refuse the tables of another version, which would otherwise fail at the first statement that differs."""
    found = inspect(connection)
    for table in metadata.sorted_tables:
        there = {column["name"] for column in found.get_columns(table.name)}
        if missing := [column.name for column in table.columns if column.name not in there]:
            raise StoreUnavailable(
                f"The job store was made by another version: its table {table.name} lacks {', '.join(missing)}. Set "
                "INTERPLAY_DATA_DIR or INTERPLAY_DATABASE_URL to a new place, or move the old one away."
            )


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, **POOL)
    if not url.database or url.database == ":memory:":
        raise ValueError(f"expected the path of a SQLite file, got {url.render_as_string()!r}")
    _make_folder(Path(url.database))
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False}, **POOL)
    event.listen(engine, "connect", _tune)
    event.listen(engine, "begin", _begin)
    return engine


def _make_folder(database: Path) -> None:
    try:
        make_private(database.resolve().parent)
    except OSError as error:
        raise StoreUnavailable(f"The job store's folder cannot be created: {error}") from error


def _tune(connection: sqlite3.Connection, _: Any) -> None:
    # With autocommit on, the driver leaves BEGIN to us, and a lone SELECT costs no BEGIN and no ROLLBACK.
    connection.isolation_level = None
    enter_wal(connection)
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(connection: Connection) -> None:
    # IMMEDIATE: a transaction that starts as a reader and then writes can fail at once with "database is locked",
    # whatever the busy timeout; one that asks for the write lock first waits its turn.
    if synchronous := connection.get_execution_options().get("interplay_synchronous"):
        # FULL is one fsync per commit: 0.24 ms on an idle disk, 4 ms on a busy one, against 0.01 ms without.
        connection.exec_driver_sql(f"PRAGMA synchronous = {synchronous}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
