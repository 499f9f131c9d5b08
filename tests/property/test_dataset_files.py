"""Whatever bytes are uploaded, a dataset is read or refused with a reason; nothing else happens."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.uploads.datasets import check_dataset_file
from jobs.datasets import DatasetInspection, DatasetManifest
from jobs.errors import InterplayError
from worker.datasets import inspect_dataset, load

CAP = 1 << 20

CELLS = st.sampled_from(
    ["", "1", "2.5", "-3e5", "nan", "inf", "NA", "a", "é", '"', '"x,y"', "1:2", "0x1", " ", "1e999", "--"]
)
TABLES = st.lists(st.lists(CELLS, min_size=1, max_size=4).map(",".join), min_size=1, max_size=8).map("\n".join)
ENTRIES = st.sampled_from(["0", "1", "7", "1:2", "3:0.5", "x", "-1", "1:", ":", "9999999999999999999", "1:inf"])
LINES = st.lists(st.lists(ENTRIES, max_size=4).map(" ".join), min_size=1, max_size=6).map("\n".join)
MANIFESTS = st.fixed_dictionaries(
    {},
    optional={
        "format": st.sampled_from(["csv", "libfm", "sets", "npz", "parquet", "images"]),
        "header": st.booleans(),
        "task": st.sampled_from(["regression", "binary", "multiclass"]),
        "encoding": st.sampled_from(["utf-8", "latin-1"]),
        "target": st.sampled_from(["a", "c0", "1"]),
    },
).map(DatasetManifest.model_validate)


def read(data: bytes, manifest: DatasetManifest) -> DatasetInspection | None:
    with tempfile.TemporaryDirectory() as folder:
        upload, parsed = Path(folder) / "upload", Path(folder) / "parsed"
        upload.write_bytes(data)
        try:
            check_dataset_file(upload, manifest, max_bytes=CAP)
            found = inspect_dataset(manifest, upload, parsed, report=lambda *_: None, max_pixels=1000)
        except InterplayError:
            return None
        labels = load(parsed, found).labels
        assert len(labels.values) == found.rows
        assert labels.values.isfinite().all()
        if labels.classes:
            assert 0 <= int(labels.values.min()) <= int(labels.values.max()) < len(labels.classes)
        return found


@given(TABLES | LINES | st.text(max_size=60), MANIFESTS)
@settings(max_examples=150, deadline=None)
def test_any_text_is_read_or_refused(text, manifest):
    read(text.encode("utf-8", "surrogatepass"), manifest)


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda tail: b"PAR1" + tail + b"\x08\0\0\0PAR1"), MANIFESTS)
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_read_or_refused(data, manifest):
    read(data, manifest)


@given(
    st.sampled_from([np.uint8, np.float32, np.int64, np.bool_, object, "U3"]),
    st.lists(st.integers(0, 4), min_size=0, max_size=5),
    st.lists(st.integers(0, 3), min_size=0, max_size=3),
    MANIFESTS,
)
@settings(max_examples=100, deadline=None)
def test_any_arrays_are_read_or_refused(dtype, shape, labels, manifest):
    buffer = io.BytesIO()
    np.savez(buffer, x=np.zeros(shape, dtype=dtype), y=np.zeros(labels))

    read(buffer.getvalue(), manifest)


@given(st.lists(st.tuples(st.sampled_from(["a/1.png", "b/2.png", "labels.csv", "x.npy", "a/"]),
                          st.binary(max_size=40)), max_size=4, unique_by=lambda pair: pair[0]), MANIFESTS)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_any_archive_is_read_or_refused(members, manifest):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members:
            archive.writestr(name, data)

    read(buffer.getvalue(), manifest)
