"""Which format an upload has: the manifest's, or what its first bytes say."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from jobs.datasets import DatasetFormat, DatasetManifest
from jobs.errors import InvalidInput

_LIBFM_LINE = re.compile(rb"\s*[-+.\deE]+(\s+\d+:[-+.\deE]+)+\s*")


def recognised(manifest: DatasetManifest, path: Path) -> DatasetFormat:
    """Return the format of the file.

    Raises:
        InvalidInput: The manifest says one that the file's first bytes contradict.
    """
    found = _sniffed(path)
    given = manifest.format
    if given is None or given == found:
        return found
    if found in ("csv", "libfm") and given in ("csv", "libfm", "sets"):
        return given
    raise InvalidInput(f"the manifest says format {given!r}, but the file looks like {found!r}")


def _sniffed(path: Path) -> DatasetFormat:
    with path.open("rb") as file:
        head = file.read(1 << 16)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"PK\x03\x04"):
        return _sniffed_archive(path)
    first = head.partition(b"\n")[0]
    return "libfm" if _LIBFM_LINE.fullmatch(first) else "csv"


def _sniffed_archive(path: Path) -> DatasetFormat:
    try:
        with zipfile.ZipFile(path) as archive:
            return "npz" if any(name.endswith(".npy") for name in archive.namelist()) else "images"
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise InvalidInput(f"the file is a damaged zip archive: {error}") from error
