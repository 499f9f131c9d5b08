"""What a runner does with an uploaded dataset: read it once from end to end, and keep what trainings need."""

from __future__ import annotations

import tempfile
from pathlib import Path

from jobs.datasets import Dataset
from jobs.settings import Settings
from worker.datasets import inspect_dataset
from worker.files import Files, Stopwatch
from worker.messages import Examined
from worker.progress import Meter


def examine(dataset: Dataset, files: Files, report: Meter, settings: Settings) -> Examined:
    """Read `dataset` and store its tensors.

    Raises:
        InvalidInput, InputTooLarge: It is no dataset that trainings could use; the detail says where and why.
        JobCanceled: Out of `report`.
    """
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        parsed = Path(folder) / "parsed"
        with watch.stage("read"), files.open(dataset.sha256) as upload:
            found = inspect_dataset(dataset.manifest, upload, parsed, report=report, max_pixels=settings.max_pixels)
        size = parsed.stat().st_size
        with watch.stage("store"):
            sha256 = files.artifacts.put_file(parsed)
    return Examined(data_sha256=sha256, data_bytes=size, inspection=found, timings=watch.seconds, device="cpu")
