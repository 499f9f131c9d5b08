"""Feature sets: a label, then ids (`1 17 4 230`), or ids with values (libfm: `1 17:0.5 4:1`), one row a line.

Source of the format: Rendle, "Factorization Machines with libFM", ACM TIST 2012, section 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from jobs.datasets import DatasetInspection, DatasetManifest, Task
from jobs.errors import InputTooLarge, InvalidInput
from worker.datasets._reading import (
    FEW_INTEGERS,
    MAX_CLASSES,
    ReadReport,
    check_cells,
    classes_of,
    coded,
    counts_of,
    distinct_of,
    merged,
    task_of,
    warn_of_classes,
)
from worker.datasets.csv_text import check_encoding
from worker.datasets.tensors import Spill

PORTION_BYTES: Final = 1 << 22
MAX_FEATURES: Final = 10_000_000
MAX_ENTRIES_OF_A_ROW: Final = 100_000
MAX_ID: Final = 2**53  # above it, float64 no longer tells ids apart
LONG_ROW: Final = 1000


@dataclass(frozen=True)
class Portion:
    """Some rows: labels `(rows,)`, lengths `(rows,)`, and all their ids and values one after the other."""

    labels: NDArray[np.float64]
    lengths: NDArray[np.int64]
    ids: NDArray[np.int64]
    values: NDArray[np.float32]


def read_sets(
    manifest: DatasetManifest, path: Path, spill: Spill, report: ReadReport, max_pixels: int
) -> DatasetInspection:
    """Read feature sets; see `inspect_dataset`. Memory holds one portion and the different ids."""
    del max_pixels
    check_encoding(path, manifest)
    warnings: list[str] = []
    seen = _Seen()
    for portion in _portions(path, with_values=manifest.format == "libfm"):
        seen.take_in(portion, spill)
        check_cells(seen.entries, 1)
        report("read", seen.rows, 0)
    if not seen.entries:
        raise InvalidInput("expected rows of a label and ids, got no id in the whole file")
    vocabulary = _number_ids(spill, seen)
    task, classes, counts = _labels(spill, seen, manifest, warnings)
    fields = _fields(manifest, seen)
    _warn(seen, warnings)
    return DatasetInspection(
        kind="sets", format=manifest.format or "libfm", task=task, rows=seen.rows, classes=classes,
        class_counts=counts, features=len(vocabulary), entries=seen.entries, shortest=seen.shortest,
        longest=seen.longest, fields=fields, valued=seen.valued, warnings=tuple(warnings),
    )  # fmt: skip


class _Seen:
    """What is known of the rows so far."""

    def __init__(self) -> None:
        self.rows = self.entries = self.empty = self.repeating = self.longest = 0
        self.shortest = MAX_ENTRIES_OF_A_ROW
        self.valued = False
        self.ids = np.empty(0, dtype=np.int64)
        self.labels: NDArray[np.float64] | None = np.empty(0)

    def take_in(self, portion: Portion, spill: Spill) -> None:
        """Write a portion, its ids still as they are in the file."""
        ends = self.entries + np.cumsum(portion.lengths)
        if not self.rows:
            spill.append("offsets", np.zeros(1, dtype=np.int64))
        spill.append("offsets", ends)
        spill.append("ids", portion.ids)
        spill.append("values", portion.values)
        spill.append("labels", portion.labels)
        self.rows += len(portion.labels)
        self.entries += len(portion.ids)
        self.empty += int((portion.lengths == 0).sum())
        self.repeating += _rows_with_repeats(portion)
        self.longest = max(self.longest, int(portion.lengths.max()))
        self.shortest = min(self.shortest, int(portion.lengths.min()))
        self.valued = self.valued or bool((portion.values != 1).any())
        self.labels = merged(self.labels, distinct_of(portion.labels))
        self.ids = united(self.ids, portion.ids)
        if len(self.ids) > MAX_FEATURES:
            raise InputTooLarge(f"expected at most {MAX_FEATURES} different ids, got more by row {self.rows}")


def united(known: NDArray[np.int64], ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return all different ids, sorted, as `known` are; only `ids` are sorted for it, as `known` may be millions."""
    found = np.unique(ids)
    place = np.searchsorted(known, found)
    inside = place < len(known)
    new = np.ones(len(found), dtype=np.bool_)
    new[inside] = known[place[inside]] != found[inside]
    return np.insert(known, place[new], found[new])


def _rows_with_repeats(portion: Portion) -> int:
    """Count rows in which an id comes more than once."""
    row = np.repeat(np.arange(len(portion.lengths)), portion.lengths)
    order = np.lexsort((portion.ids, row))
    again = (np.diff(row[order]) == 0) & (np.diff(portion.ids[order]) == 0)
    return len(np.unique(row[order][1:][again]))


def _portions(path: Path, *, with_values: bool) -> Iterator[Portion]:
    row, left = 0, b""
    with path.open("rb") as file:
        while data := file.read(PORTION_BYTES):
            head, newline, left_next = (left + data).rpartition(b"\n")
            left = left_next
            if newline and (lines := _without_last_blank(head.split(b"\n"))):
                yield _parsed(lines, row, with_values=with_values)
                row += len(lines)
            elif len(left) > PORTION_BYTES:
                raise InputTooLarge(f"row {row + 1} is longer than {PORTION_BYTES} bytes")
    if left.strip():
        yield _parsed([left], row, with_values=with_values)


def _without_last_blank(lines: list[bytes]) -> list[bytes]:
    """Drop the last line where it is blank: only the end of the file may be."""
    return lines if lines[-1].strip() else lines[:-1]


def _parsed(lines: list[bytes], before: int, *, with_values: bool) -> Portion:
    """Parse whole lines at once; where that fails, line by line to name the one at fault."""
    try:
        return _joined(lines, with_values=with_values)
    except (ValueError, OverflowError):
        for number, line in enumerate(lines, before + 1):
            _check_line(line, number, with_values=with_values)
        raise


def _joined(lines: list[bytes], *, with_values: bool) -> Portion:
    """Parse lines as if none had a fault; raise `ValueError` where one has."""
    text = b"\n".join(lines).replace(b",", b" ").replace(b"\t", b" ")
    if with_values and (b" :" in text or b": " in text or b":\n" in text or text.endswith(b":")):
        raise ValueError("an id or its value is missing")
    wide = 2 if with_values else 1
    counts = [line.count(b":") for line in text.split(b"\n")]
    rows = [line.split() for line in text.replace(b":", b" ").split(b"\n")]
    if with_values and any(len(row) != 1 + 2 * count for row, count in zip(rows, counts, strict=True)):
        raise ValueError("an entry is no id:value")
    if not with_values and any(counts):
        raise ValueError("an entry is no plain id")
    labels = _numbers([row[0] if row else b"" for row in rows])
    lengths = np.array([(len(row) - 1) // wide for row in rows], dtype=np.int64)
    ids = _integers([id for row in rows for id in row[1::wide]])
    values = _numbers([value for row in rows for value in row[2::2]]) if with_values else np.ones(len(ids))
    ok = np.isfinite(labels).all() and np.isfinite(values).all() and (np.abs(values) < 3e38).all()
    if not ok or (len(ids) and not 0 <= ids.min() <= ids.max() < MAX_ID):
        raise ValueError("a number is out of its range")
    if len(lengths) and lengths.max() > MAX_ENTRIES_OF_A_ROW:
        raise ValueError("a row is too long")
    return Portion(labels, lengths, ids, values.astype(np.float32))


def _numbers(texts: list[bytes]) -> NDArray[np.float64]:
    return np.array(texts or [b"0"]).astype(np.float64)[: len(texts)]


def _integers(texts: list[bytes]) -> NDArray[np.int64]:
    return np.array(texts or [b"0"]).astype(np.int64)[: len(texts)]


def _check_line(line: bytes, row: int, *, with_values: bool) -> None:
    """Raise `InvalidInput` where this line is what cannot be parsed."""
    cells = line.replace(b",", b" ").replace(b"\t", b" ").split()
    if not cells:
        raise InvalidInput(f"row {row} is blank; expected a label, then ids")
    if len(cells) - 1 > MAX_ENTRIES_OF_A_ROW:
        raise InputTooLarge(f"row {row}: expected at most {MAX_ENTRIES_OF_A_ROW} ids, got {len(cells) - 1}")
    if not _finite(cells[0]):
        raise InvalidInput(f"row {row}, label: expected a finite number, got {_shown(cells[0])}")
    for place, cell in enumerate(cells[1:], 1):
        id, colon, value = cell.partition(b":")
        if bool(colon) != with_values:
            expected = "id:value" if with_values else "a plain id (set format to libfm for id:value)"
            raise InvalidInput(f"row {row}, entry {place}: expected {expected}, got {_shown(cell)}")
        if not id.isdigit() or int(id[:20]) >= MAX_ID:
            raise InvalidInput(f"row {row}, entry {place}: expected an id from 0 to {MAX_ID - 1}, got {_shown(id)}")
        if colon and not _finite(value):
            raise InvalidInput(f"row {row}, entry {place}: expected a finite value, got {_shown(value)}")


def _finite(text: bytes) -> bool:
    try:
        return abs(float(text)) < 3e38
    except ValueError:
        return False


def _shown(text: bytes) -> str:
    return repr(text[:40].decode("utf-8", "replace"))


def _number_ids(spill: Spill, seen: _Seen) -> NDArray[np.int64]:
    """Replace ids by their rank among the different ones, in portions."""
    ids = spill.mapped("ids")
    for begin in range(0, len(ids), PORTION_BYTES):
        part = ids[begin : begin + PORTION_BYTES]
        spill.append("features", np.searchsorted(seen.ids, part).astype(np.int32))
    spill.drop("ids")
    if not seen.valued:
        spill.drop("values")
    spill.append("vocabulary", seen.ids)
    return seen.ids


def _labels(
    spill: Spill, seen: _Seen, manifest: DatasetManifest, warnings: list[str]
) -> tuple[Task, tuple[str, ...], tuple[int, ...]]:
    distinct, quiet = seen.labels, list[str]()
    # 0 and 1, and -1 and 1, are classes everywhere in this format; anything else deserves the warning.
    usual = distinct is not None and distinct.tolist() in ([0.0, 1.0], [-1.0, 1.0])
    task = task_of(distinct, manifest, quiet if usual else warnings)
    if task == "regression":
        _warn_of_amounts(distinct, manifest, warnings)
        return task, (), ()
    classes = classes_of(distinct, task, manifest)
    if distinct is None:
        raise InvalidInput(f"expected at most {MAX_CLASSES} classes, got more")
    codes = coded(spill.mapped("labels"), distinct, manifest)
    spill.replace("labels", codes)
    counts = counts_of(codes, len(classes))
    warn_of_classes(classes, counts, warnings)
    return task, classes, counts


def _warn_of_amounts(distinct: NDArray[np.float64] | None, manifest: DatasetManifest, warnings: list[str]) -> None:
    """Warn where a few labels, one of which is no whole number, might have been meant as classes."""
    if manifest.task is None and distinct is not None and len(distinct) <= FEW_INTEGERS:
        odd = distinct[distinct != np.rint(distinct)]
        if len(odd):
            warnings.append(
                f"the label {odd[0]:g} is no whole number, so all labels are taken for amounts (regression)"
            )


def _fields(manifest: DatasetManifest, seen: _Seen) -> tuple[str, ...]:
    same_length = seen.shortest == seen.longest
    if manifest.fields is None:
        return tuple(f"field {index}" for index in range(seen.longest)) if same_length and seen.longest > 1 else ()
    if not same_length or len(manifest.fields) != seen.longest:
        raise InvalidInput(
            f"the manifest names {len(manifest.fields)} fields, but rows have {seen.shortest} to {seen.longest} ids"
        )
    return manifest.fields


def _warn(seen: _Seen, warnings: list[str]) -> None:
    if seen.empty:
        warnings.append(f"{seen.empty} of {seen.rows} rows have a label and no id")
    if seen.repeating:
        warnings.append(f"{seen.repeating} of {seen.rows} rows hold an id more than once")
    if seen.longest > LONG_ROW:
        warnings.append(f"the longest row has {seen.longest} ids; what pairs them needs the square of that")
