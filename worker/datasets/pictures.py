"""A zip of pictures: one folder a class, or pictures beside a labels.csv of file names and labels."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jobs.datasets import DatasetInspection, DatasetManifest
from jobs.errors import InputTooLarge, InvalidInput, RequestError
from worker.datasets._reading import ReadReport, check_cells, check_classes, counts_of, warn_of_classes
from worker.datasets.arrays import label_classes
from worker.datasets.tensors import Spill
from worker.images import decode

SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp")
LABELS: Final = "labels.csv"
MAX_PICTURE_BYTES: Final = 1 << 26
MAX_LABELS_BYTES: Final = 1 << 26


def read_pictures(
    manifest: DatasetManifest, path: Path, spill: Spill, report: ReadReport, max_pixels: int
) -> DatasetInspection:
    """Read a zip of pictures; see `inspect_dataset`. Memory holds one picture at a time."""
    warnings: list[str] = []
    try:
        with zipfile.ZipFile(path) as archive:
            names = _picture_names(archive, warnings)
            labels = _labels(archive, names, manifest)
            shape = _write(archive, names, manifest, spill, report, max_pixels, warnings)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise InvalidInput(f"the zip archive cannot be read: {str(error)[:200]}") from error
    task, classes, codes = _classes([labels[name] for name in names], manifest, warnings)
    spill.append("labels", codes)
    return DatasetInspection(
        kind="images", format="images", task=task, rows=len(names), classes=classes,
        class_counts=counts_of(codes, len(classes)) if classes else (), shape=shape, warnings=tuple(warnings),
    )  # fmt: skip


def _picture_names(archive: zipfile.ZipFile, warnings: list[str]) -> list[str]:
    files = [member.filename for member in archive.infolist() if not member.is_dir()]
    junk = [name for name in files if name.startswith("__MACOSX/") or PurePosixPath(name).name.startswith(".")]
    if junk:
        warnings.append(f"{len(junk)} file(s) of the operating system in the archive are no data, such as {junk[0]!r}")
    rest = sorted(set(files) - set(junk))
    pictures = [name for name in rest if name.lower().endswith(SUFFIXES)]
    others = [name for name in rest if name not in set(pictures) and PurePosixPath(name).name != LABELS]
    if others:
        raise InvalidInput(f"expected pictures (PNG, JPEG, WebP) and {LABELS} in the archive, got {others[0][:200]!r}")
    if not pictures:
        raise InvalidInput("the archive holds no picture (PNG, JPEG or WebP)")
    return pictures


def _labels(archive: zipfile.ZipFile, names: list[str], manifest: DatasetManifest) -> Mapping[str, str]:
    """Return the label of every picture: by labels.csv where there is one, else the name of its folder."""
    found = [name for name in archive.namelist() if PurePosixPath(name).name == LABELS and "__MACOSX" not in name]
    if not found:
        folders = {name: PurePosixPath(name).parent.name for name in names}
        if loose := [name for name, folder in folders.items() if not folder]:
            raise InvalidInput(f"picture {loose[0][:200]!r} is in no folder that names its class; add {LABELS}")
        return folders
    return _listed_labels(archive, min(found, key=len), names, manifest)


def _listed_labels(
    archive: zipfile.ZipFile, listing: str, names: list[str], manifest: DatasetManifest
) -> Mapping[str, str]:
    if archive.getinfo(listing).file_size > MAX_LABELS_BYTES:
        raise InputTooLarge(f"expected {LABELS} of at most {MAX_LABELS_BYTES} bytes")
    try:
        text = archive.read(listing).decode("utf-8-sig" if manifest.encoding == "utf-8" else manifest.encoding)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{LABELS} is not {manifest.encoding}: {error.reason} at byte {error.start}") from error
    base = PurePosixPath(listing).parent
    labels: dict[str, str] = {}
    for row, cells in enumerate(csv.reader(io.StringIO(text))):
        if not cells or (row == 0 and _is_heading(cells, base, names)):
            continue
        if len(cells) != 2 or not cells[1].strip():
            raise InvalidInput(f"{LABELS}, row {row + 1}: expected a file name and a label, got {cells[:3]}")
        name = str(base / cells[0].strip())
        if name in labels:
            raise InvalidInput(f"{LABELS}, row {row + 1}: the picture {cells[0][:200]!r} comes twice")
        labels[name] = cells[1].strip()
    _check_complete(labels, names)
    return labels


def _is_heading(cells: list[str], base: PurePosixPath, names: list[str]) -> bool:
    return str(base / cells[0].strip()) not in names and not cells[0].strip().lower().endswith(SUFFIXES)


def _check_complete(labels: Mapping[str, str], names: list[str]) -> None:
    if without := sorted(set(names) - set(labels)):
        raise InvalidInput(f"{LABELS} has no label for {without[0][:200]!r} ({len(without)} pictures lack one)")
    if absent := sorted(set(labels) - set(names)):
        raise InvalidInput(f"{LABELS} names {absent[0][:200]!r}, which is not in the archive ({len(absent)} are not)")


def _write(
    archive: zipfile.ZipFile, names: list[str], manifest: DatasetManifest, spill: Spill, report: ReadReport,
    max_pixels: int, warnings: list[str],
) -> tuple[int, ...]:  # fmt: skip
    """Write every picture as bytes of 3 channels; return the shape of each."""
    shape: tuple[int, ...] | None = None
    for place, name in enumerate(names):
        pixels = _pixels(archive, name, manifest, max_pixels)
        if shape is not None and pixels.shape != shape:
            raise InvalidInput(
                f"picture {name[:200]!r} has {pixels.shape[1]} × {pixels.shape[2]} pixels, the ones before "
                f"{shape[1]} × {shape[2]}; set size to resize all of them"
            )
        shape = pixels.shape
        if not place:
            check_cells(len(names), int(np.prod(shape)))
        spill.append("pixels", pixels[None])
        report("decode", place + 1, len(names))
    if manifest.size is not None:
        warnings.append(f"every picture was resized to {manifest.size[0]} × {manifest.size[1]} pixels")
    assert shape is not None  # noqa: S101  # there is at least one picture
    return shape


def _pixels(archive: zipfile.ZipFile, name: str, manifest: DatasetManifest, max_pixels: int) -> NDArray[Any]:
    if archive.getinfo(name).file_size > MAX_PICTURE_BYTES:
        raise InputTooLarge(f"picture {name[:200]!r} has more than {MAX_PICTURE_BYTES} bytes")
    try:
        picture = decode(archive.read(name), max_pixels=max_pixels)
    except RequestError as error:
        raise InvalidInput(f"picture {name[:200]!r}: {error.detail}") from error
    pixels = (picture * 255).round().byte().numpy()  # (3, height, width)
    if manifest.size is None:
        return np.asarray(pixels)
    height, width = manifest.size
    resized = Image.fromarray(np.moveaxis(pixels, 0, 2)).resize((width, height), Image.Resampling.BILINEAR)
    return np.moveaxis(np.asarray(resized), 2, 0)


def _classes(
    labels: list[str], manifest: DatasetManifest, warnings: list[str]
) -> tuple[Any, tuple[str, ...], NDArray[Any]]:
    if manifest.task == "regression":
        try:
            return label_classes(np.array(labels).astype(np.float64), manifest, warnings)
        except ValueError as error:
            raise InvalidInput(f"the task regression needs numbers as labels: {error}") from error
    classes = sorted(set(labels))
    task = manifest.task or ("binary" if len(classes) == 2 else "multiclass")
    check_classes(classes, task)
    places = {label: place for place, label in enumerate(classes)}
    codes = np.array([places[label] for label in labels], dtype=np.int64)
    warn_of_classes(classes, counts_of(codes, len(classes)), warnings)
    return task, tuple(classes), codes
