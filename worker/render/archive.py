"""values.npz: the arrays of an explanation, in bytes that depend on nothing but the arrays."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np

from jobs.schemas import Explanation

# The earliest date a zip member can bear; numpy.savez would write the current time.
_DATE = (1980, 1, 1, 0, 0, 0)


def values(explanation: Explanation) -> bytes:
    """Write `explanation.arrays` as an .npz file."""
    return archive(explanation.arrays)


def archive(arrays: Mapping[str, Any]) -> bytes:
    """Write arrays as an .npz file that `numpy.load` reads without pickle, names in order."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, array in sorted(arrays.items()):
            file.writestr(_member(name), _npy(np.asarray(array)), compresslevel=1)
    return buffer.getvalue()


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(f"{name}.npy", date_time=_DATE)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.create_system = 3  # else it tells on which system the file was written
    member.external_attr = 0o644 << 16
    return member


def _npy(array: np.ndarray) -> bytes:
    buffer = BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()
