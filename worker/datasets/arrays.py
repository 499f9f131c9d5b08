"""NPZ: pictures (`x` or `images`) or rows of numbers (`x`), with labels (`y` or `labels`); no pickle is ever loaded."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.datasets import DatasetInspection, DatasetManifest, Task
from jobs.errors import InputTooLarge, InvalidInput
from worker.datasets._reading import (
    ReadReport,
    check_cells,
    classes_of,
    coded,
    counts_of,
    distinct_of,
    task_of,
    warn_of_classes,
)
from worker.datasets.csv_text import MAX_COLUMNS
from worker.datasets.tables import Source, write_table
from worker.datasets.tensors import Spill

CHANNELS: Final = (1, 3)
MAX_BYTES: Final = 2**32

_PORTION = 1 << 10


def read_arrays(
    manifest: DatasetManifest, path: Path, spill: Spill, report: ReadReport, max_pixels: int
) -> DatasetInspection:
    """Read an NPZ file; see `inspect_dataset`. Memory holds the uncompressed array."""
    inputs, labels = _arrays(path)
    check_cells(len(inputs), int(np.prod(inputs.shape[1:])))
    if inputs.ndim == 2:
        return _table(inputs, labels, manifest, spill, report)
    pictures = _in_channels_first(inputs, manifest)
    if pictures.shape[2] * pictures.shape[3] > max_pixels:
        raise InputTooLarge(f"expected pictures of at most {max_pixels} pixels, got {list(pictures.shape[2:])}")
    return _pictures(pictures, labels, manifest, spill, report)


def _arrays(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            inputs = _member(archive, ("x", "images"))
            labels = _member(archive, ("y", "labels"))
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError) as error:
        raise InvalidInput(f"the NPZ file cannot be read: {str(error)[:200]}") from error
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or len(labels) != len(inputs):
        raise InvalidInput(
            f"expected one label for each of the {len(inputs)} inputs, got labels of shape {list(labels.shape)}"
        )
    return inputs, _finite(labels.astype(np.float64), "label")


def _member(archive: Any, names: tuple[str, ...]) -> NDArray[Any]:
    found = [name for name in names if name in archive.files]
    if len(found) != 1:
        raise InvalidInput(f"expected one array {' or '.join(names)} in the NPZ, it holds {', '.join(archive.files)}")
    values: NDArray[Any] = archive[found[0]]
    if values.dtype.kind not in "fiub" or values.ndim == 0 or values.nbytes > MAX_BYTES:
        raise InvalidInput(f"expected numbers in {found[0]}, got {values.dtype} of shape {list(values.shape)}")
    if not len(values):
        raise InvalidInput(f"the array {found[0]} is empty")
    return values


def _finite(values: NDArray[np.float64], what: str) -> NDArray[np.float64]:
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise InvalidInput(f"{what} {row + 1}: expected a finite number, got {values[row]}")
    return values


def _table(
    inputs: NDArray[Any], labels: NDArray[np.float64], manifest: DatasetManifest, spill: Spill, report: ReadReport
) -> DatasetInspection:
    """Read a matrix as a table of columns x0, x1, … and the target y."""
    if inputs.shape[1] >= MAX_COLUMNS:
        raise InputTooLarge(f"expected fewer than {MAX_COLUMNS} columns, got {inputs.shape[1]}")
    names = [*(f"x{index}" for index in range(inputs.shape[1])), "y"]
    if manifest.target not in (None, "y"):
        raise InvalidInput(f"the target of an NPZ is its array y, not {manifest.target!r}")

    def batches() -> Iterator[list[Any]]:
        for begin in range(0, len(inputs), _PORTION):
            part = inputs[begin : begin + _PORTION].astype(np.float64)
            yield [pa.array(column) for column in (*part.T, labels[begin : begin + _PORTION])]

    named = manifest.model_copy(update={"target": "y"})
    return write_table(Source(names, batches), named, spill, report, [])


def _in_channels_first(inputs: NDArray[Any], manifest: DatasetManifest) -> NDArray[Any]:
    """Return pictures as `(rows, channels, height, width)`.

    Raises:
        InvalidInput: Their axes have no order that makes sense, or two; then the manifest's layout decides.
    """
    layout = manifest.layout or _layout(inputs.shape)
    if len(layout) + 1 != inputs.ndim:
        raise InvalidInput(f"layout {layout!r} does not fit inputs of shape {list(inputs.shape)}")
    pictures = {"hw": inputs[:, None] if inputs.ndim == 3 else inputs, "chw": inputs}.get(layout)
    if pictures is None:
        pictures = np.moveaxis(inputs, 3, 1)
    if pictures.shape[1] not in CHANNELS:
        raise InvalidInput(f"expected 1 or 3 channels, got {pictures.shape[1]} in inputs of shape {list(inputs.shape)}")
    return pictures


def _layout(shape: tuple[int, ...]) -> str:
    if len(shape) == 3:
        return "hw"
    if len(shape) != 4:
        raise InvalidInput(f"expected inputs of 2, 3 or 4 axes, got shape {list(shape)}")
    fitting = [layout for layout, axis in (("chw", 1), ("hwc", 3)) if shape[axis] in CHANNELS]
    if len(fitting) != 1:
        raise InvalidInput(f"inputs of shape {list(shape)} need the manifest's layout: chw or hwc")
    return fitting[0]


def _pictures(
    pictures: NDArray[Any], labels: NDArray[np.float64], manifest: DatasetManifest, spill: Spill, report: ReadReport
) -> DatasetInspection:
    warnings: list[str] = []
    scale = _scale(pictures, warnings)
    for begin in range(0, len(pictures), _PORTION):
        part = pictures[begin : begin + _PORTION]
        spill.append("pixels", part if part.dtype == np.uint8 else (part / scale).astype(np.float32))
        report("write", begin, len(pictures))
    task, classes, codes = label_classes(labels, manifest, warnings)
    spill.append("labels", codes)
    return DatasetInspection(
        kind="images", format="npz", task=task, rows=len(pictures), classes=classes,
        class_counts=counts_of(codes, len(classes)) if classes else (), shape=tuple(pictures.shape[1:]),
        warnings=tuple(warnings),
    )  # fmt: skip


def _scale(pictures: NDArray[Any], warnings: list[str]) -> float:
    """Return what to divide pixels by, so that they lie in [0, 1]; bytes are kept as they are.

    Raises:
        InvalidInput: A pixel is not finite, below 0 or above 255.
    """
    if pictures.dtype == np.uint8:
        return 255.0
    finite = np.isfinite(pictures).reshape(len(pictures), -1).all(1)
    if not finite.all():
        raise InvalidInput(f"picture {int(np.argmin(finite)) + 1} holds a pixel that is NaN or infinite")
    low, high = float(pictures.min()), float(pictures.max())
    if low < 0 or high > 255:
        raise InvalidInput(f"expected pixels from 0 to 1, or to 255, got {low:g} to {high:g}")
    if high <= 1:
        return 1.0
    warnings.append(f"pixels reach {high:g}; they are divided by 255")
    return 255.0


def label_classes(
    labels: NDArray[np.float64], manifest: DatasetManifest, warnings: list[str]
) -> tuple[Task, tuple[str, ...], NDArray[Any]]:
    """Return the task, the classes, and what is to be predicted: class indices, or the numbers themselves."""
    distinct = distinct_of(labels)
    if manifest.classes is not None and manifest.task is None:
        task: Task = "binary" if len(manifest.classes) == 2 else "multiclass"
    else:
        task = task_of(distinct, manifest, warnings)
    if task == "regression":
        return task, (), labels
    classes = classes_of(distinct, task, manifest)
    assert distinct is not None  # noqa: S101  # `classes_of` has refused too many
    codes = coded(labels, distinct, manifest)
    warn_of_classes(classes, counts_of(codes, len(classes)), warnings)
    return task, classes, codes
