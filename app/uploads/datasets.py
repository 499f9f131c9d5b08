"""Which dataset files are let in: CSV, Parquet, NPZ, a zip of pictures, libfm and sets; by content, never by name."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

from app.uploads.archives import check_archive
from jobs.datasets import DatasetManifest
from jobs.errors import InputTooLarge, InvalidInput, UnsafeModel

INSTEAD: Final = "upload CSV, Parquet, NPZ, a zip of pictures, or lines of a label and ids"

MAX_FOOTER_BYTES: Final = 1 << 24

_SNIFFED_BYTES: Final = 1 << 16
_REFUSED: Final = (
    (b"\x80\x02", "a pickle"), (b"\x80\x03", "a pickle"), (b"\x80\x04", "a pickle"), (b"\x80\x05", "a pickle"),
)  # fmt: skip
_OTHERS: Final = (
    (b"\x93NUMPY", "a single NumPy array; save inputs and labels with numpy.savez(path, x=…, y=…)"),
    (b"\x1f\x8b", "a gzip archive; upload it unpacked"),
    (b"\x89HDF", "an HDF5 file"),
    (b"ARROW1", "an Arrow file; save it as Parquet"),
    (b"SQLite format 3", "a SQLite database"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook; save it as CSV"),
    (b"BZh", "a bzip2 archive; upload it unpacked"),
    (b"\xfd7zXZ", "an xz archive; upload it unpacked"),
    (b"\x28\xb5\x2f\xfd", "a zstandard archive; upload it unpacked"),
    (b"\x89PNG", "a picture; upload a zip of many, each in a folder named for its class"),
    (b"\xff\xd8\xff", "a picture; upload a zip of many, each in a folder named for its class"),
    (b"\xff\xfe", "text in UTF-16; save it as UTF-8"),
    (b"\xfe\xff", "text in UTF-16; save it as UTF-8"),
    (b"%PDF", "a PDF"),
)


def check_dataset_file(path: Path, manifest: DatasetManifest, *, max_bytes: int) -> None:
    """Let a dataset file pass, or say what is wrong with it; a runner then reads all of it.

    Raises:
        UnsafeModel: Loading it could run code.
        InvalidInput: It is empty, damaged, or of a format that this service does not take.
        InputTooLarge: One of its tables exceeds a limit.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_SNIFFED_BYTES)
        file.seek(0)
        if not head.strip():
            raise InvalidInput(f"the file is empty; {INSTEAD}")
        if head.startswith(b"PAR1"):
            _check_parquet(file, size)
        elif head.startswith(b"PK\x03\x04"):
            check_archive(file, max_bytes)
        else:
            _check_text(head, manifest)


def _check_parquet(file: BinaryIO, size: int) -> None:
    """Check the frame of a Parquet file: magic, footer, footer's length, magic."""
    file.seek(max(0, size - 8))
    tail = file.read(8)
    footer = int.from_bytes(tail[:4], "little")
    if len(tail) < 8 or tail[4:] != b"PAR1" or footer + 12 > size:
        raise InvalidInput("the Parquet file is cut off or damaged: it does not end with its footer")
    if footer > MAX_FOOTER_BYTES:
        raise InputTooLarge(f"expected a Parquet footer of at most {MAX_FOOTER_BYTES} bytes, got {footer}")


def _check_text(head: bytes, manifest: DatasetManifest) -> None:
    for magic, name in _REFUSED:
        if head.startswith(magic):
            raise UnsafeModel(f"this is {name}, which could run code; {INSTEAD}")
    for magic, name in _OTHERS:
        if head.startswith(magic):
            raise InvalidInput(f"this is {name}; {INSTEAD}")
    if b"\0" in head:
        raise InvalidInput(f"the file is neither text nor one of the known binary formats; {INSTEAD}")
    if manifest.format in ("parquet", "npz", "images"):
        raise InvalidInput(f"the manifest says format {manifest.format!r}, but the file is text")
