"""values.npz: the arrays of an explanation, in bytes that depend on nothing but the arrays."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np

from jobs.schemas import Explanation

# The earliest date a zip member can bear; numpy.savez would write the current time.
_DATE = (1980, 1, 1, 0, 0, 0)

_SAMPLE_BYTES = 1 << 16
_WORTHWHILE = 0.8
"""What a sample must shrink to: numbers without a pattern shrink to 0.9, and take long to compress."""


def values(explanation: Explanation) -> bytes:
    """Write `explanation.arrays` as an .npz file."""
    return archive(explanation.arrays)


def archive(arrays: Mapping[str, Any]) -> bytes:
    """Write arrays as an .npz file that `numpy.load` reads without pickle, names in order."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, array in sorted(arrays.items()):
            data = _npy(np.asarray(array))
            file.writestr(_member(name, compressed=_shrinks(data)), data, compresslevel=1)
    return buffer.getvalue()


def _shrinks(data: bytes) -> bool:
    """Tell by a piece from the middle whether compressing is worth the time."""
    start = max(0, (len(data) - _SAMPLE_BYTES) // 2)
    sample = data[start : start + _SAMPLE_BYTES]
    return len(zlib.compress(sample, 1)) < _WORTHWHILE * len(sample)


def _member(name: str, *, compressed: bool) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(f"{name}.npy", date_time=_DATE)
    member.compress_type = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    member.create_system = 3  # else it tells on which system the file was written
    member.external_attr = 0o644 << 16
    return member


def _npy(array: np.ndarray) -> bytes:
    buffer = BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()
