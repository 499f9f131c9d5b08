"""Datasets: from an uploaded file to what a runner found in it, and to the tensors that trainings read.

Whatever the format, a dataset is read from the first row to the last in portions of a few MiB, and written as one
file of tensors (safetensors) that trainings map into memory. Nothing is dropped: what cannot be used is an error that
names its row and column, and what was guessed is a warning.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jobs.datasets import DatasetFormat, DatasetInspection, DatasetManifest
from worker.datasets._formats import recognised
from worker.datasets._reading import ReadReport, check_rows
from worker.datasets.arrays import read_arrays
from worker.datasets.pictures import read_pictures
from worker.datasets.sets import read_sets
from worker.datasets.tables import read_table
from worker.datasets.tensors import load, open_spill

__all__ = ["inspect_dataset", "load"]

_READERS: dict[DatasetFormat, Callable[..., DatasetInspection]] = {
    "csv": read_table,
    "parquet": read_table,
    "npz": read_arrays,
    "images": read_pictures,
    "libfm": read_sets,
    "sets": read_sets,
}


def inspect_dataset(
    manifest: DatasetManifest, upload: Path, parsed: Path, *, report: ReadReport, max_pixels: int
) -> DatasetInspection:
    """Read all of `upload`, write what trainings need to the new file `parsed`, and say what was found.

    Args:
        report: Called after every portion, with rows read and 0; raises where nobody wants the answer any more.
        max_pixels: Of a single picture.

    Raises:
        InvalidInput: The file is no such dataset; the detail names the row and column where it can.
        InputTooLarge: It has more columns, cells or categories than are taken.
    """
    kind = recognised(manifest, upload)
    with open_spill(upload_folder=parsed.parent) as spill:
        found = _READERS[kind](manifest.model_copy(update={"format": kind}), upload, spill, report, max_pixels)
        check_rows(found.rows)
        spill.finish(parsed)
    return found
