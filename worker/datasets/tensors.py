"""The file that trainings read: named tensors (safetensors), written column by column, mapped into memory.

Arrays grow on disk one by one while a dataset is read, as nobody knows their lengths before; at the end they are put
behind one header. Layout: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import shutil
import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from jobs.datasets import DatasetInspection
from worker.trainings._data import Data, Feature, Images, Labels, Sets, Table

_NAMES = {"float64": "F64", "float32": "F32", "int64": "I64", "int32": "I32", "uint8": "U8"}


class Spill:
    """Arrays that grow on disk.

    Attributes:
        categories: Of categorical columns, by the name of the array that holds their codes.
    """

    def __init__(self, folder: Path) -> None:
        self.categories: dict[str, list[str]] = {}
        self._folder = folder
        self._files: dict[str, BinaryIO] = {}
        self._dtypes: dict[str, np.dtype[Any]] = {}
        self._rows: dict[str, int] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}

    def append(self, name: str, values: NDArray[Any]) -> None:
        """Add rows to the array `name`; every call must give one dtype and one shape of a row."""
        if name not in self._files:
            self._files[name] = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115  # closed with the spill
            self._dtypes[name], self._shapes[name], self._rows[name] = values.dtype, values.shape[1:], 0
        if (values.dtype, values.shape[1:]) != (self._dtypes[name], self._shapes[name]):
            raise ValueError(f"expected {self._dtypes[name]} rows of {self._shapes[name]} for {name!r}")
        self._rows[name] += len(values)
        self._files[name].write(np.ascontiguousarray(values).data)

    def mapped(self, name: str) -> NDArray[Any]:
        """Return what was added to `name` so far, mapped so that it can be changed in place."""
        file = self._files[name]
        file.flush()
        shape = (self._rows[name], *self._shapes[name])
        return np.memmap(file, dtype=self._dtypes[name], mode="r+", shape=shape)

    def replace(self, name: str, values: NDArray[Any]) -> None:
        """Put `values` in place of all that was added to `name`."""
        self.drop(name)
        self.append(name, values)

    def drop(self, name: str) -> None:
        """Forget the array `name`."""
        self._files.pop(name).close()

    def finish(self, path: Path) -> None:
        """Write all arrays as one safetensors file."""
        # The widest numbers first: then every array begins at a multiple of its numbers' size.
        order = sorted(self._files, key=lambda name: -self._dtypes[name].itemsize)
        header: dict[str, Any] = {"__metadata__": {"categories": json.dumps(self.categories)}}
        end = 0
        for name in order:
            shape = [self._rows[name], *self._shapes[name]]
            begin, end = end, end + int(np.prod(shape)) * self._dtypes[name].itemsize
            header[name] = {"dtype": _NAMES[self._dtypes[name].name], "shape": shape, "data_offsets": [begin, end]}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with path.open("wb") as target:
            target.write(struct.pack("<Q", len(text)) + text)
            for name in order:
                self._files[name].seek(0)
                shutil.copyfileobj(self._files[name], target, 1 << 20)

    def close(self) -> None:
        for file in self._files.values():
            file.close()


@contextmanager
def open_spill(*, upload_folder: Path) -> Iterator[Spill]:
    """Yield an empty spill in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=upload_folder) as folder:
        spill = Spill(Path(folder))
        try:
            yield spill
        finally:
            spill.close()


def load(path: Path, inspection: DatasetInspection) -> Data:
    """Return a dataset's tensors, mapped from the file that `inspect_dataset` wrote; do not write to them."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
        categories = json.loads(file.metadata()["categories"])
    labels = Labels(task=inspection.task, values=tensors["labels"], classes=inspection.classes)
    match inspection.kind:
        case "table":
            return _table(tensors, categories, labels, inspection)
        case "images":
            return Images(pixels=tensors["pixels"], labels=labels)
        case "sets":
            return Sets(
                offsets=tensors["offsets"],
                features=tensors["features"],
                values=tensors.get("values"),
                vocabulary=tensors["vocabulary"],
                labels=labels,
                fields=inspection.fields,
            )


def _table(
    tensors: Mapping[str, Tensor], categories: Mapping[str, list[str]], labels: Labels, inspection: DatasetInspection
) -> Table:
    features = [
        Feature(
            name=column.name,
            values=tensors[key],
            categories=tuple(categories[key]) if column.type == "categorical" else None,
        )
        for key, column in ((f"column.{column.name}", column) for column in inspection.feature_columns)
    ]
    return Table(features=tuple(features), labels=labels, rows=inspection.rows)
