"""Tables kept between jobs: found by what decides them, bounded, and never in the way."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from worker.table_cache import TableCache

MIB = 1 << 20
SCOPE = ("tenant", "weights", "manifest", "cpu")


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_a_table_comes_back_as_it_was(tmp_path):
    tables = TableCache(tmp_path / "tables", MIB).of(*SCOPE)
    table = torch.randn(1 << 10, dtype=torch.float64)

    assert tables.get("key") is None
    tables.put("key", table)

    found = TableCache(tmp_path / "tables", MIB).of(*SCOPE).get("key")
    assert found is not None
    assert torch.equal(found, table)
    assert found.dtype == torch.float64
    found += 1  # a method may write into what it gets
    assert torch.equal(tables.get("key"), table)


@pytest.mark.parametrize("changed", range(len(SCOPE)))
def test_another_owner_model_or_device_finds_nothing(tmp_path, changed):
    cache = TableCache(tmp_path, MIB)
    cache.of(*SCOPE).put("key", torch.zeros(4))
    other = [f"other {part}" if place == changed else part for place, part in enumerate(SCOPE)]

    assert cache.of(*other).get("key") is None
    assert cache.of(*SCOPE).get("other key") is None


def test_parts_that_only_read_alike_together_are_different(tmp_path):
    cache = TableCache(tmp_path, MIB)
    cache.of("ab", "c").put("key", torch.zeros(4))

    assert cache.of("a", "bc").get("key") is None


def test_the_least_recently_used_table_goes_first(tmp_path):
    table = torch.zeros(1 << 10, dtype=torch.float64)  # 8 KiB
    tables = TableCache(tmp_path, 20_000).of(*SCOPE)
    for age, key in ((3, "a"), (2, "b")):
        before = set(tmp_path.iterdir())
        tables.put(key, table)
        (made,) = set(tmp_path.iterdir()) - before
        os.utime(made, (made.stat().st_atime, made.stat().st_mtime - age))

    assert tables.get("a") is not None  # used now: newer than b
    tables.put("c", table)

    assert [tables.get(key) is not None for key in "abc"] == [True, False, True]
    assert sum(file.stat().st_size for file in files(tmp_path)) <= 20_000


def test_small_tables_are_bounded_in_number(tmp_path, monkeypatch):
    monkeypatch.setattr("worker.table_cache.MOST_TABLES", 3)
    tables = TableCache(tmp_path, MIB).of(*SCOPE)

    for key in range(6):
        tables.put(str(key), torch.zeros(4))

    assert len(files(tmp_path)) == 3
    assert tables.get("5") is not None


def test_a_table_above_the_budget_is_not_kept_and_displaces_nothing(tmp_path):
    tables = TableCache(tmp_path, 1000).of(*SCOPE)
    tables.put("small", torch.zeros(8))

    tables.put("large", torch.zeros(1000))

    assert tables.get("large") is None
    assert tables.get("small") is not None


def test_a_budget_of_nothing_makes_no_folder(tmp_path):
    TableCache(tmp_path / "tables", 0).of(*SCOPE).put("key", torch.zeros(4))

    assert not (tmp_path / "tables").exists()


@pytest.mark.parametrize("tear", [lambda data: data[:-1], lambda data: b"", lambda data: data[:-8] + bytes(8)])
def test_a_torn_file_is_no_table_and_goes(tmp_path, tear):
    tables = TableCache(tmp_path, MIB).of(*SCOPE)
    tables.put("key", torch.ones(16, dtype=torch.float64))
    (file,) = files(tmp_path)
    file.write_bytes(tear(file.read_bytes()))

    assert tables.get("key") is None
    assert files(tmp_path) == []
    tables.put("key", torch.ones(16))
    assert tables.get("key") is not None


def test_a_full_disk_leaves_nothing_and_fails_nobody(tmp_path, monkeypatch):
    tables = TableCache(tmp_path, MIB).of(*SCOPE)

    def full(path: Path, data: bytes) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        tables.put("key", torch.zeros(4))

    assert files(tmp_path) == []
    assert tables.get("key") is None


def test_a_file_that_cannot_be_read_is_no_table(tmp_path, monkeypatch):
    tables = TableCache(tmp_path, MIB).of(*SCOPE)
    tables.put("key", torch.zeros(4))

    def broken(path: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", broken)

    assert tables.get("key") is None


def test_a_table_in_a_folder_that_cannot_be_written_is_read_all_the_same(tmp_path, monkeypatch):
    tables = TableCache(tmp_path, MIB).of(*SCOPE)
    tables.put("key", torch.zeros(4))

    def refused(path: Path, **times: object) -> None:
        raise PermissionError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "utime", refused)

    assert tables.get("key") is not None


def test_a_table_that_another_process_deletes_meanwhile_is_read_all_the_same(tmp_path, monkeypatch):
    tables = TableCache(tmp_path, MIB).of(*SCOPE)
    tables.put("key", torch.zeros(4))
    read = Path.read_bytes

    def read_and_delete(path: Path) -> bytes:
        data = read(path)
        path.unlink()
        return data

    monkeypatch.setattr(Path, "read_bytes", read_and_delete)

    assert tables.get("key") is not None


def test_what_a_dead_process_left_half_written_goes_in_its_turn(tmp_path):
    tables = TableCache(tmp_path, 10_000).of(*SCOPE)
    tables.put("a", torch.zeros(4))
    left = tmp_path / "0.arriving.table"
    left.write_bytes(bytes(5000))
    os.utime(left, (0, 0))

    tables.put("b", torch.zeros(800, dtype=torch.float64))

    assert not left.exists()
    assert tables.get("a") is not None


def _churn(folder: Path, seed: int) -> int:
    """Put and get tables among others that do so too; return how many that were found had another's content."""
    tables = TableCache(folder, 30_000).of(*SCOPE)
    wrong = 0
    for step in range(60):
        key = (seed + step) % 7
        found = tables.get(str(key))
        wrong += found is not None and not bool((found == key).all())
        tables.put(str(key), torch.full((1000,), float(key), dtype=torch.float64))
    return wrong


def test_caches_that_evict_at_once_never_see_a_wrong_table(tmp_path):
    """Threads in the place of processes: they share nothing but the folder either, and start faster."""
    with ThreadPoolExecutor(3) as pool:
        wrong = list(pool.map(_churn, [tmp_path] * 3, range(3)))

    assert wrong == [0, 0, 0]
    assert sum(file.stat().st_size for file in files(tmp_path)) <= 30_000
    assert not list(tmp_path.glob("*arriving*"))
