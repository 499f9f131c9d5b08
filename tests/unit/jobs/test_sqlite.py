import sqlite3
from pathlib import Path
from threading import Timer

import pytest

from jobs import sqlite
from jobs.sqlite import enter_wal

HELD_SECONDS = 0.1


def impatient(file: Path) -> sqlite3.Connection:
    """A connection that SQLite itself lets wait for nothing, as it does for two that leave the journal at once."""
    return sqlite3.connect(file, timeout=0.0, isolation_level=None, check_same_thread=False)


@pytest.fixture
def read_locked(tmp_path: Path):
    file = tmp_path / "new.db"
    reader = impatient(file)
    reader.execute("CREATE TABLE any (number INTEGER)")
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM any").fetchall()
    yield file, reader
    reader.close()


def test_entering_wal_waits_for_who_reads(read_locked: tuple[Path, sqlite3.Connection]):
    file, reader = read_locked
    release = Timer(HELD_SECONDS, lambda: reader.execute("COMMIT"))
    release.start()
    other = impatient(file)

    enter_wal(other)

    release.join()
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()


def test_entering_wal_gives_up_in_the_end(
    read_locked: tuple[Path, sqlite3.Connection], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", HELD_SECONDS)
    other = impatient(read_locked[0])

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        enter_wal(other)

    other.close()


def test_what_is_no_database_is_refused_at_once(tmp_path: Path):
    file = tmp_path / "text.db"
    file.write_text("no database at all, and longer than a header would be\n" * 40)
    other = impatient(file)

    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        enter_wal(other)

    other.close()
