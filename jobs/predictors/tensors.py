"""Tensors of a safetensors file as NumPy arrays: views of the file's bytes, and checked against what a model needs."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from jobs.errors import UnsupportedModel

Array: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.int64]
Tensors = Mapping[str, Array]
Expected = Mapping[str, tuple[str, tuple[int, ...]]]
"""Name of a number type, such as float32, and shape."""

_TYPES: Mapping[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "I64": np.dtype("<i8")}
_AT_ONCE = 1 << 20
_NAMED = 3  # How many tensors an error names.


def read_tensors(source: Path | bytes) -> dict[str, Array]:
    """Read a file that a runner has written; a path is mapped into memory, and only what is used is read.

    Raises:
        UnsupportedModel: The bytes are no such file, or hold numbers of other types.
    """
    data: Array = np.frombuffer(source, np.uint8) if isinstance(source, bytes) else _mapped(source)
    try:
        (length,) = struct.unpack("<Q", data[:8].tobytes())
        header = json.loads(data[8 : 8 + length].tobytes())
        return {name: _view(data, 8 + length, entry) for name, entry in header.items() if name != "__metadata__"}
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnsupportedModel(f"the model's file is damaged: {error}") from error


def _mapped(path: Path) -> Array:
    return np.asarray(np.memmap(path, np.uint8, mode="r"))


def _view(data: Array, begin: int, entry: Mapping[str, Any]) -> Array:
    first, last = entry["data_offsets"]
    return data[begin + first : begin + last].view(_TYPES[entry["dtype"]]).reshape(entry["shape"])


def check_tensors(tensors: Tensors, expected: Expected, optional: Expected) -> None:
    """Check that a model has the tensors that its architecture needs, and no others; and that floats are finite.

    Raises:
        UnsupportedModel: It has not.
    """
    allowed = {**expected, **optional}
    faults = [f"{name} is missing" for name in expected if name not in tensors]
    faults += [f"{name!r} is unexpected" for name in tensors if name not in allowed]
    for name in [name for name in allowed if name in tensors]:
        wanted, got = allowed[name], (str(tensors[name].dtype), tensors[name].shape)
        if wanted != got:
            faults.append(f"{name}: expected {wanted[0]} of shape {list(wanted[1])}, got {got[0]} of {list(got[1])}")
        elif not all(np.isfinite(part).all() for part in parts_of(tensors[name])):
            faults.append(f"{name} holds NaN or infinite values")
    if faults:
        more = f"; and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
        raise UnsupportedModel(f"the file does not fit the architecture: {'; '.join(faults[:_NAMED])}{more}")


def parts_of(array: Array, *, overlap: int = 0) -> Iterator[Array]:
    """Cut an array's first axis into parts of a bounded length, each reaching `overlap` into the next."""
    for begin in range(0, len(array), _AT_ONCE):
        yield array[begin : begin + _AT_ONCE + overlap]
