"""A runner's hands on the artifact store, and how results become bytes."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from jobs.artifact_names import ARTIFACTS
from jobs.artifacts import ArtifactStore
from jobs.errors import InternalError, NumericalError
from jobs.schemas import ArtifactReference

MOST_FILES = 8
"""As many as a result usually has."""


class Stopwatch:
    """Seconds per stage, in the order in which the stages came."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = time.perf_counter() - began


class Files:
    """Reads and writes the bytes of jobs."""

    def __init__(self, artifacts: ArtifactStore) -> None:
        self.artifacts = artifacts
        # Each file is synced to disk; at once, they wait for the disk together and not one after the other.
        self._writers = ThreadPoolExecutor(MOST_FILES, thread_name_prefix="write")

    @contextmanager
    def open(self, sha256: str) -> Iterator[Path]:
        """Yield a file with these bytes: the store's own where it is a folder, else a copy for the moment."""
        path = self.artifacts.local_path(sha256)
        if path is not None:
            yield path
            return
        with tempfile.NamedTemporaryFile() as copy, self.artifacts.open(sha256) as source:
            while portion := source.read(1 << 20):
                copy.write(portion)
            copy.flush()
            yield Path(copy.name)

    def put_all(self, files: Mapping[str, bytes]) -> tuple[ArtifactReference, ...]:
        """Store a result's files.

        Raises:
            InternalError: The method gave a file a name that `jobs.artifact_names` does not have.
        """
        if unknown := sorted(set(files) - set(ARTIFACTS)):
            raise InternalError(f"The method made files that no job can have: {', '.join(unknown)}.")
        return tuple(self._writers.map(self._put, files.keys(), files.values()))

    def _put(self, name: str, data: bytes) -> ArtifactReference:
        sha256 = self.artifacts.put(data)
        return ArtifactReference(name=name, sha256=sha256, size_bytes=len(data), media_type=ARTIFACTS[name])


def as_json(document: Any) -> bytes:
    """Return a document as JSON.

    Raises:
        NumericalError: It holds a number that is not finite.
    """
    try:
        return json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    except ValueError as error:
        raise NumericalError("The result holds numbers that are not finite.") from error


def as_npy(array: Any) -> bytes:
    """Return an array as a .npy file."""
    buffer = BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=False)
    return buffer.getvalue()
