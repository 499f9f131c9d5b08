"""Dataset files that would harm whoever reads them, stopped before anyone does."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from app.uploads.datasets import check_dataset_file
from jobs.datasets import DatasetManifest
from jobs.errors import InputTooLarge, InvalidInput, UnsafeModel

CAP = 1 << 20


@pytest.fixture
def check(tmp_path: Path):
    def check(data: bytes, **manifest: object) -> None:
        path = tmp_path / "upload"
        path.write_bytes(data)
        check_dataset_file(path, DatasetManifest.model_validate(manifest), max_bytes=CAP)

    return check


def archive(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as target:
        for name, data in files.items():
            target.writestr(name, data)
    return buffer.getvalue()


def npz(**arrays: object) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


@pytest.mark.parametrize(
    "data",
    [
        b"a,y\n1,2\n",
        b"1 3 4\n",
        b"PAR1" + bytes(20) + struct.pack("<I", 20) + b"PAR1",
        npz(x=np.zeros((2, 3)), y=np.zeros(2)),
        archive({"cat/1.png": b"..."}),
    ],
)
def test_honest_files_pass(check, data):
    check(data)


@pytest.mark.parametrize(
    ("data", "error", "reason"),
    [
        (b"", InvalidInput, "empty"),
        (b" \n \n", InvalidInput, "empty"),
        (pickle.dumps({"a": 1}), UnsafeModel, "pickle"),
        (b"\x1f\x8b\x08\x00", InvalidInput, "gzip"),
        (b"\xff\xfea\x00", InvalidInput, "UTF-16"),
        (b"\xd0\xcf\x11\xe0abc", InvalidInput, "Excel"),
        (b"\x93NUMPY\x01\x00", InvalidInput, "single NumPy array"),
        (b"a,b\n\0\0", InvalidInput, "neither text"),
        (b"PAR1" + bytes(50), InvalidInput, "footer"),
        (b"PAR1", InvalidInput, "footer"),
        (b"PAR1" + bytes(20) + struct.pack("<I", 2**31) + b"PAR1", InvalidInput, "footer"),
        (b"PK\x03\x04" + bytes(50), InvalidInput, "damaged zip"),
        (npz(x=np.array([{}], dtype=object)), UnsafeModel, "Python objects"),
        (npz(x=np.zeros(2, dtype=[("a", "O")])), UnsafeModel, "Python objects"),
        (npz(x=np.array(["a"])), InvalidInput, "expected numbers in x.npy"),
        (archive({"x.npy": npy("{'descr': '<f8', 'shape': (1000000000,)}")}), InvalidInput, "takes 8000000"),
        (archive({"x.npy": npy("{'descr': '<f8', 'shape': (-1,)}")}), InvalidInput, "no valid shape"),
        (archive({"x.npy": npy("__import__('os').system('true')")}), InvalidInput, "cannot be read"),
        (archive({"x.npy": npy("[" * 3000)}), InvalidInput, "cannot be read"),
        (archive({"x.npy": b"\x93NUMPY\x01\x00\xff\xff"}), InvalidInput, "12|header|no NumPy"),
        (archive({"x.npy": npy("{}"), "../evil": b""}), InvalidInput, "only arrays|cannot be read"),
        (archive({f"x{i}.npy": npy("{}") for i in range(20)}), InputTooLarge, "at most 16 arrays"),
        (archive({"a/1.png": bytes(10_000_000)}, zipfile.ZIP_DEFLATED), InputTooLarge, "expands"),
        (archive({f"a/{i}.png": bytes(900_000) for i in range(12)}, zipfile.ZIP_DEFLATED), InputTooLarge, "expands to"),
        (archive({"a/1.png": b"x" * 99}, zipfile.ZIP_BZIP2), InvalidInput, "other than deflate"),
    ],
)  # fmt: skip
def test_hostile_files_are_refused(check, data, error, reason):
    with pytest.raises(error, match=reason):
        check(data)


def test_an_encrypted_archive_is_refused(check):
    data = bytearray(archive({"a/1.png": b"x"}))
    data[6] |= 1  # local header's flag
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1

    with pytest.raises(InvalidInput, match="encrypted"):
        check(bytes(data))


def test_a_huge_directory_is_refused_before_it_is_read(check, monkeypatch):
    monkeypatch.setattr("app.uploads.torch_archives.MAX_DIRECTORY_BYTES", 1000)

    with pytest.raises(InputTooLarge, match="directory"):
        check(archive({f"a/{i}.png": b"" for i in range(100)}))


def test_a_format_that_the_bytes_contradict_is_refused(check):
    with pytest.raises(InvalidInput, match="the file is text"):
        check(b"a,b\n1,2\n", format="parquet")
