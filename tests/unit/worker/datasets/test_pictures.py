"""Pictures in NPZ files and in zip archives."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from jobs.errors import InvalidInput


def npz(**arrays: object) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, data in files.items():
            target.writestr(name, data)
    return buffer.getvalue()


def png(shade: int, size: tuple[int, int] = (4, 3)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (shade, 0, 255 - shade)).save(buffer, "PNG")
    return buffer.getvalue()


BYTES = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6)
LABELS = np.array([0, 2, 1, 0])


@pytest.mark.parametrize(
    ("inputs", "shape"),
    [
        (BYTES, (1, 5, 6)),
        (BYTES[..., None], (1, 5, 6)),
        (BYTES[:, None], (1, 5, 6)),
        (np.repeat(BYTES[..., None], 3, axis=3), (3, 5, 6)),
    ],
)
def test_the_layout_of_pictures_is_found(read, inputs, shape):
    found, data = read(npz(x=inputs, y=LABELS))

    assert (found.kind, found.shape, found.rows, found.classes) == ("images", shape, 4, ("0", "1", "2"))
    assert data.pixels.dtype == torch.uint8
    np.testing.assert_array_equal(data.pixels[:, 0].numpy(), BYTES)
    assert data.labels.values.tolist() == LABELS.tolist()


def test_a_layout_that_is_not_clear_must_be_given(read):
    inputs = np.zeros((4, 3, 5, 3), dtype=np.uint8)

    with pytest.raises(InvalidInput, match="need the manifest's layout"):
        read(npz(x=inputs, y=LABELS))
    assert read(npz(x=inputs, y=LABELS), layout="hwc")[0].shape == (3, 3, 5)
    assert read(npz(x=inputs, y=LABELS), layout="chw")[0].shape == (3, 5, 3)


def test_numbers_are_scaled_to_1_and_that_is_said(read):
    found, data = read(npz(images=BYTES.astype(np.float64), labels=LABELS))
    assert any("divided by 255" in warning for warning in found.warnings)
    torch.testing.assert_close(data.pixels[:, 0], torch.from_numpy(BYTES).float() / 255)

    _, data = read(npz(x=BYTES / 255.0, y=LABELS))
    torch.testing.assert_close(data.pixels[:, 0], torch.from_numpy(BYTES).float() / 255)


@pytest.mark.parametrize(
    ("arrays", "manifest", "reason"),
    [
        ({"x": np.where(BYTES == 7, np.nan, BYTES), "y": LABELS}, {}, "picture 1 holds a pixel that is NaN"),
        ({"x": BYTES - 300.0, "y": LABELS}, {}, "expected pixels from 0"),
        ({"x": BYTES, "y": LABELS[:2]}, {}, "one label for each of the 4 inputs"),
        ({"x": BYTES}, {}, "one array y or labels"),
        ({"x": BYTES, "y": np.array([0, 1, np.inf, 1])}, {}, "label 3: expected a finite"),
        ({"x": BYTES, "y": np.array(["a", "b", "a", "b"])}, {}, "expected numbers in y"),
        ({"x": BYTES, "y": np.zeros(4)}, {"task": "multiclass"}, "at least two classes"),
        ({"x": BYTES, "y": LABELS}, {"classes": ["a", "b"]}, "labels from 0 to 1"),
        ({"x": BYTES[:0], "y": LABELS[:0]}, {}, "is empty"),
        ({"x": np.zeros((4, 200, 200), np.uint8), "y": LABELS}, {}, None),
    ],
)
def test_a_bad_npz_is_refused(read, arrays, manifest, reason):
    with pytest.raises(Exception, match=reason or "at most 10000 pixels"):
        read(npz(**arrays), **manifest)


def test_an_npz_with_a_pickle_is_refused(read):
    with pytest.raises(InvalidInput, match=r"cannot be read.*allow_pickle"):
        read(npz(x=np.array([{}, {}, {}, {}], dtype=object), y=LABELS))


def test_classes_of_an_npz_can_be_named(read):
    found, data = read(npz(x=BYTES, y=LABELS), classes=["cat", "dog", "cow", "owl"])

    assert (found.task, found.classes, found.class_counts) == ("multiclass", ("cat", "dog", "cow", "owl"), (2, 1, 1, 0))
    assert any("owl (0)" in warning for warning in found.warnings)
    assert data.labels.outputs == 4


def test_a_matrix_is_a_table(read):
    found, table = read(npz(x=np.arange(12.0).reshape(4, 3), y=np.array([0.5, 1, 2, 3.5])))

    assert (found.kind, found.task, found.target) == ("table", "regression", "y")
    assert [feature.name for feature in table.features] == ["x0", "x1", "x2"]
    assert table.features[1].values.tolist() == [1, 4, 7, 10]


def test_folders_name_classes(read):
    files = {"set/cat/1.png": png(0), "set/dog/1.png": png(255), "set/dog/2.png": png(51), "__MACOSX/x": b"?"}
    found, data = read(archive(**files))

    assert (found.format, found.shape, found.task) == ("images", (3, 3, 4), "binary")
    assert (found.classes, found.class_counts) == (("cat", "dog"), (1, 2))
    assert data.labels.values.tolist() == [0, 1, 1]
    assert data.pixels[:, 0, 0, 0].tolist() == [0, 255, 51]
    assert any("operating system" in warning for warning in found.warnings)


def test_a_listing_labels_pictures(read):
    listing = b"file,label\na.png,3.5\nb.png,1.5\n"
    found, data = read(archive(**{"a.png": png(0), "b.png": png(9), "labels.csv": listing}), task="regression")

    assert found.task == "regression"
    assert data.labels.values.tolist() == [3.5, 1.5]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"a.png": png(0), "b.png": png(1)}, "in no folder"),
        ({"a/1.png": png(0), "b/1.png": png(1, (5, 5))}, "set size"),
        ({"a/1.png": png(0), "b/1.png": png(1)[:40]}, "picture 'b/1.png'"),
        ({"a/1.png": png(0), "b/1.exe": b"MZ"}, "got 'b/1.exe'"),
        ({"a/1.png": png(0), "a/2.png": png(0)}, "at least two classes"),
        ({"notes/labels.csv": b"a,b"}, "no picture"),
        ({"a.png": png(0), "b.png": png(0), "labels.csv": b"a.png,1\n"}, "no label for 'b.png'"),
        ({"a.png": png(0), "labels.csv": b"a.png,1\nc.png,2\n"}, "names 'c.png'"),
        ({"a.png": png(0), "labels.csv": b"a.png,1\na.png,2\n"}, "comes twice"),
    ],
)
def test_a_bad_archive_is_refused(read, files, reason):
    with pytest.raises(InvalidInput, match=reason):
        read(archive(**files))


def test_pictures_can_be_resized(read):
    found, data = read(archive(**{"a/1.png": png(0), "b/1.png": png(100, (9, 9))}), size=[2, 2])

    assert found.shape == (3, 2, 2)
    assert data.pixels[1, 0].tolist() == [[100, 100], [100, 100]]
    assert any("resized to 2 × 2" in warning for warning in found.warnings)
