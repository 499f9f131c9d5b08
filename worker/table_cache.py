"""Tables of 2^n model outputs, kept between jobs in a folder of bounded size.

Evaluating a table is what an explanation costs; every index, every solver and every order profile follows from it. So
a table is kept under what decides it, and later jobs that need the same one run no model.

A file is the SHA-256 of the rest, then an array in NumPy's format. What does not fit that, because a disk lost its
end, is no table. Several runners share the folder without a lock: a file appears whole or not at all, and one that
another process has deleted was not there.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
import torch
from torch import Tensor

from jobs.private_folder import make_private
from worker.methods._games import content_key

log = structlog.get_logger()

MOST_TABLES = 8192
"""Files in the folder, which is listed at every put; tables of 8 players, 2 kB each, would otherwise be 100,000."""

_DIGEST_BYTES = hashlib.sha256().digest_size
_SUFFIX = ".table"


class TableCache:
    """The tables of all models, the least recently used out first.

    Args:
        folder: Made when the first table comes.
        budget_bytes: Of all files together, of which there are at most `MOST_TABLES`; 0 keeps none.
    """

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self._folder = folder
        self._budget = budget_bytes

    def of(self, *parts: str) -> ScopedTables:
        """Return the tables of one network and one owner.

        Args:
            parts: All that decides a table beside what a method knows: tenant, weights, manifest, versions, device.
        """
        return ScopedTables(self, content_key(*parts))

    def get(self, key: str) -> Tensor | None:
        """Return the table under a digest, which counts as used now; None where there is none, or a torn one."""
        path = self._path(key)
        try:
            data = path.read_bytes()
            with suppress(OSError):  # deleted since by another process, say; what was read is whole
                _touch(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("a table cannot be read", path=str(path), error=str(error))
            return None
        table = _unpacked(data)
        if table is None:
            log.warning("a torn table is deleted", path=str(path))
            _delete(path)
        return table

    def put(self, key: str, table: Tensor) -> None:
        """Keep a table and delete what exceeds the budget; a table that cannot be kept is not, and the log says so."""
        data = _packed(table)
        if len(data) > self._budget:
            return
        try:
            self._arrive(self._path(key), data)
            self._shrink()
        except OSError as error:
            log.warning("a table cannot be kept", folder=str(self._folder), error=str(error))

    def _arrive(self, path: Path, data: bytes) -> None:
        make_private(self._folder)
        # What a process leaves that dies here has the suffix too, so that it is deleted when its time comes.
        arriving = self._folder / f"{secrets.token_hex(16)}.arriving{_SUFFIX}"
        try:
            arriving.write_bytes(data)
            _touch(arriving)
            arriving.replace(path)
        finally:
            arriving.unlink(missing_ok=True)

    def _shrink(self) -> None:
        held = 0
        for place, file in enumerate(sorted(self._files(), key=lambda file: -file.used_at)):
            held += file.size
            if held > self._budget or place >= MOST_TABLES:
                _delete(file.path)

    def _files(self) -> Iterator[_File]:
        for path in self._folder.glob(f"*{_SUFFIX}"):
            with suppress(FileNotFoundError):
                found = path.stat()
                yield _File(path=path, size=found.st_size, used_at=found.st_mtime_ns)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{_SUFFIX}"


@dataclass(frozen=True)
class ScopedTables:
    """The tables of one network and one owner, as `worker.methods._registry.TableCache`."""

    cache: TableCache
    scope: str

    def get(self, key: str) -> Tensor | None:
        return self.cache.get(content_key(self.scope, key))

    def put(self, key: str, table: Tensor) -> None:
        self.cache.put(content_key(self.scope, key), table)


@dataclass(frozen=True, kw_only=True)
class _File:
    path: Path
    size: int
    used_at: int


def _packed(table: Tensor) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, table.detach().cpu().numpy(), allow_pickle=False)
    return hashlib.sha256(buffer.getbuffer()).digest() + buffer.getvalue()


def _unpacked(data: bytes) -> Tensor | None:
    digest, content = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        return None
    return torch.from_numpy(np.load(io.BytesIO(content), allow_pickle=False))


def _touch(path: Path) -> None:
    # The file system's own clock stands still for milliseconds, in which many tables may come.
    now = time.time_ns()
    os.utime(path, ns=(now, now))


def _delete(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
