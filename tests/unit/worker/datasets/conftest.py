"""Reads a file as a runner does: bytes and a manifest in, what was found and the tensors out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.datasets import DatasetInspection, DatasetManifest
from worker.datasets import inspect_dataset, load
from worker.trainings._data import Data

Read = Callable[..., tuple[DatasetInspection, Data]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(data: bytes | str, **manifest: object) -> tuple[DatasetInspection, Data]:
        upload, parsed = tmp_path / "upload", tmp_path / "parsed"
        upload.write_bytes(data.encode() if isinstance(data, str) else data)
        found = inspect_dataset(
            DatasetManifest.model_validate(manifest), upload, parsed, report=lambda *_: None, max_pixels=10_000
        )
        assert {path.name for path in tmp_path.iterdir()} == {"upload", "parsed"}
        return found, load(parsed, found)

    return read
