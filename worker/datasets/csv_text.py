"""CSV as columns of text, a few MiB at a time; what breaks the grid is named by its row."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv

from jobs.datasets import DatasetManifest
from jobs.errors import InputTooLarge, InvalidInput
from worker.datasets._reading import fault_in

BLOCK_BYTES: Final = 1 << 22
MAX_COLUMNS: Final = 10_000
DELIMITERS: Final = ",;\t|"

_HEAD_BYTES = 1 << 20


def csv_columns(path: Path, manifest: DatasetManifest, warnings: list[str]) -> tuple[list[str], str]:
    """Return the names of the columns and the delimiter.

    Raises:
        InvalidInput: There is no row, no header, a wrong encoding, or a name comes twice.
        InputTooLarge: There are more columns than `MAX_COLUMNS`.
    """
    check_encoding(path, manifest)
    first = _first_line(path, manifest)
    delimiter = manifest.delimiter or max(DELIMITERS, key=first.count)
    try:
        cells = next(csv.reader([first], delimiter=delimiter), [])
    except csv.Error as error:  # lines that end in a carriage return alone, or a cell beyond 128 KiB
        raise InvalidInput(
            f"the first row is no CSV ({error}); save the file with line feeds at the ends of lines"
        ) from error
    if not any(cells):
        raise InvalidInput("the first row is empty; expected the names of the columns")
    if len(cells) > MAX_COLUMNS:
        raise InputTooLarge(f"expected at most {MAX_COLUMNS} columns, got {len(cells)}")
    if manifest.header and _is_one_line(path):
        raise InvalidInput("the file holds names of columns and no rows; add rows, or set header to false")
    if not manifest.header:
        return [f"c{index}" for index in range(len(cells))], delimiter
    if all(_is_number(cell) for cell in cells):
        raise fault_in(
            "header",
            "the first row holds only numbers, no names of columns; set header to false if the file has no header",
        )
    return checked_names(cells, warnings), delimiter


def checked_names(names: list[str], warnings: list[str]) -> list[str]:
    """Return the columns' names, a made-up one for each that is empty.

    Raises:
        InvalidInput: A name comes twice or is longer than 200 characters.
    """
    found = [name.strip() or f"unnamed {index}" for index, name in enumerate(names)]
    if unnamed := [new for new, name in zip(found, names, strict=True) if not name.strip()]:
        warnings.append(f"columns without a name are called {', '.join(unnamed[:5])}")
    for name in found:
        if len(name) > 200:
            raise InvalidInput(f"expected names of columns of at most 200 characters, got {name[:60]!r}…")
    if len(set(found)) != len(found):
        twice = next(name for name in found if found.count(name) > 1)
        raise InvalidInput(f"expected different names of columns, got {twice!r} twice")
    return found


def csv_batches(path: Path, names: list[str], delimiter: str, manifest: DatasetManifest) -> Iterator[list[Any]]:
    """Yield portions of rows: an array of strings a column, in the order of `names`.

    Raises:
        InvalidInput: A row has another number of cells.
    """
    wrong: list[Any] = []

    def remember(row: Any) -> str:
        wrong.append(row)
        return "error"

    skipped = 1 if manifest.header else 0
    try:
        # One thread: only then does the parser know a row's number.
        reader = pyarrow.csv.open_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, block_size=BLOCK_BYTES, skip_rows=skipped, column_names=names,
                encoding="utf8" if manifest.encoding == "utf-8" else manifest.encoding,
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=remember
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={name: pa.string() for name in names}, strings_can_be_null=False
            ),
        )  # fmt: skip
        for batch in reader:
            yield batch.columns
    except pa.ArrowInvalid as error:
        raise _of_row(wrong, names, skipped) or InvalidInput(f"the CSV cannot be parsed: {error}") from error


def _of_row(wrong: list[Any], names: list[str], skipped: int) -> InvalidInput | None:
    if not wrong:
        return None
    row = f"row {wrong[0].number - skipped}" if wrong[0].number is not None else "a row"
    return InvalidInput(
        f"{row}: expected {len(names)} cells, as there are columns, got {wrong[0].actual_columns}: "
        f"{wrong[0].text[:80]!r}"
    )


def check_encoding(path: Path, manifest: DatasetManifest) -> None:
    """Raise `InvalidInput`, with the line at fault, unless the whole file is text in the manifest's encoding."""
    decoder = codecs.getincrementaldecoder(manifest.encoding)()
    line = 1
    with path.open("rb") as file:
        while portion := file.read(BLOCK_BYTES):
            try:
                decoder.decode(portion)
            except UnicodeDecodeError as error:
                line += portion.count(b"\n", 0, error.start)
                raise fault_in(
                    "encoding",
                    f"line {line} is not {manifest.encoding} (byte 0x{error.object[error.start]:02x}): save the file "
                    "as UTF-8, or set encoding to latin-1",
                ) from error
            if b"\0" in portion:
                raise InvalidInput("the file holds zero bytes: it is UTF-16 or no text; save it as UTF-8")
            line += portion.count(b"\n")


def _first_line(path: Path, manifest: DatasetManifest) -> str:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    encoding = "utf-8-sig" if manifest.encoding == "utf-8" else manifest.encoding
    return io.StringIO(head.decode(encoding, "ignore")).readline().rstrip("\r\n")


def _is_one_line(path: Path) -> bool:
    """Tell whether a file ends with its first line; rows of a longer file are counted while they are read."""
    return path.stat().st_size < _HEAD_BYTES and b"\n" not in path.read_bytes().strip()


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
