"""Content-addressed bytes: models, inputs and results, each stored once under its SHA-256, behind fsspec.

Bytes are shared by whatever has the same digest, and rows of the job store say who needs them. Nobody may delete
bytes that a new row is about to need, so both sides keep a protocol:

    to add     put(bytes) → commit the row → if not exists(sha256): put(bytes) again;
               or, where the bytes are not at hand any more, let `store.succeed(…, exists=artifacts.exists)` look
    to delete  store.discard(sha256s, artifacts.delete), which looks for rows and deletes while no row can be committed

Whichever commits first, the other one sees it: a row that comes first is found by `discard`; bytes that are deleted
first are found missing by the second look, and are put again.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from jobs.errors import ArtifactsUnavailable, NotFound
from jobs.private_folder import make_private

_DIGEST = re.compile(r"[0-9a-f]{64}")
_ARRIVING = "arriving"


class ArtifactStore:
    """Bytes by digest, in a folder or in any store that fsspec knows.

    What stands under a digest is always whole: a folder's files arrive under another name, and object stores show
    an object only when it is complete.

    Args:
        url: fsspec URL, such as `file:///srv/interplay/artifacts` or `memory://artifacts`.

    Raises:
        ArtifactsUnavailable: Any method, when the store cannot be reached or written, or its disk is full.
    """

    def __init__(self, url: str) -> None:
        with _translated("opened"):
            self._files, self._root = fsspec.core.url_to_fs(url)
            self._folder = Path(self._root) if isinstance(self._files, LocalFileSystem) else None
            if self._folder is not None:
                make_private(self._folder / _ARRIVING)

    def put(self, data: bytes) -> str:
        """Store the bytes and return their digest; bytes that are there already are left alone."""
        sha256 = hashlib.sha256(data).hexdigest()
        with _translated("written"):
            if self._folder is not None:
                self._arrive(self._folder, sha256, lambda arriving: _write_durably(arriving, data))
            elif not self._files.exists(self._path(sha256)):
                self._files.pipe_file(self._path(sha256), data)
        return sha256

    def put_file(self, path: Path, *, sha256: str | None = None) -> str:
        """Take over a file, such as a spooled upload, and return its digest; afterwards `path` may be gone.

        Args:
            sha256: The digest, where the caller has computed it while writing the file.
        """
        with _translated("written"):
            sha256 = sha256 or _digest_of(path)
            if self._folder is not None:
                self._arrive(self._folder, sha256, lambda arriving: _move_durably(path, arriving))
            elif not self._files.exists(self._path(sha256)):
                self._files.put_file(str(path), self._path(sha256))
        return sha256

    def _arrive(self, folder: Path, sha256: str, write: Callable[[Path], None]) -> None:
        """Let `write` make a file under a passing name, and give it its digest's name when it is whole."""
        target = Path(self._path(sha256))
        with suppress(FileNotFoundError):
            os.utime(target)  # It counts as new again, so that `older_than` gives its row time to come.
            return
        make_private(target.parent)
        arriving = folder / _ARRIVING / secrets.token_hex(16)
        try:
            write(arriving)
            arriving.replace(target)
        finally:
            arriving.unlink(missing_ok=True)

    def get(self, sha256: str) -> bytes:
        """Return the bytes.

        Raises:
            NotFound: There are none under this digest.
        """
        with _translated("read"):
            return cast(bytes, self._files.cat_file(self._path(sha256)))

    def open(self, sha256: str) -> BinaryIO:
        """Open the bytes for reading in portions; the caller closes. Raises as `get` does."""
        with _translated("read"):
            return cast(BinaryIO, self._files.open(self._path(sha256), "rb"))

    def local_path(self, sha256: str) -> Path | None:
        """Return the file that holds the bytes, to be mapped into memory; None where the store is no folder.

        Raises:
            NotFound: There are no bytes under this digest.
        """
        if self._folder is None:
            return None
        self.size(sha256)
        return Path(self._path(sha256))

    def size(self, sha256: str) -> int:
        """Return the number of bytes. Raises as `get` does."""
        with _translated("read"):
            return int(self._files.size(self._path(sha256)))

    def exists(self, sha256: str) -> bool:
        """Tell whether there are bytes under this digest."""
        with _translated("read"):
            return bool(self._files.exists(self._path(sha256)))

    def delete(self, sha256: str) -> None:
        """Delete the bytes, if they are there. Only for `JobStore.discard` to call: others may need them."""
        with _translated("deleted"):
            try:
                self._files.rm_file(self._path(sha256))
            except FileNotFoundError:
                return

    def older_than(self, seconds: float) -> Iterator[str]:
        """Yield the digests of bytes that were stored so long ago, and delete what is half arrived since as long.

        For `JobStore.discard`: bytes without a row, which a process left that died between the two.
        """
        before = datetime.now(UTC) - timedelta(seconds=seconds)
        with _translated("listed"):
            for path in self._files.find(self._root):
                name = path.rpartition("/")[2]
                if self._modified(path) > before:
                    continue
                if _DIGEST.fullmatch(name):
                    yield name
                else:
                    self._files.rm_file(path)

    def _modified(self, path: str) -> datetime:
        return cast(datetime, self._files.modified(path))

    def ping(self) -> None:
        """Raise `ArtifactsUnavailable` unless bytes can be written and removed."""
        probe = f"{self._root}/{_ARRIVING}/{secrets.token_hex(16)}"
        with _translated("written"):
            self._files.pipe_file(probe, b"probe")
            self._files.rm_file(probe)

    def _path(self, sha256: str) -> str:
        if not _DIGEST.fullmatch(sha256):
            raise ValueError(f"expected a SHA-256 in 64 lower-case hexadecimal digits, got {sha256!r}")
        return f"{self._root}/{sha256[:2]}/{sha256}"


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        _sync(file)


def _move_durably(source: Path, target: Path) -> None:
    shutil.move(source, target)  # a rename, or a copy where `source` is on another file system
    with target.open("rb") as file:
        _sync(file)


def _sync(file: Any) -> None:
    # The row that names these bytes is committed with an fsync; the bytes must not be less durable than the row.
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def _translated(verb: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound("There are no such bytes in the artifact store.") from error
    except OSError as error:
        raise ArtifactsUnavailable(f"The artifact store cannot be {verb}: {error}") from error
