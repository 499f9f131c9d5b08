"""One column of a table: what its values look like over all rows, and the decision what it is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.datasets import Column, ColumnType
from jobs.errors import InputTooLarge, InvalidInput
from worker.datasets._reading import Numbers, distinct_of, merged

MAX_CATEGORIES: Final = 1_000_000
MAX_TEXT: Final = 200
MANY_CATEGORIES: Final = 1000
SHOWN_CATEGORIES: Final = 100

MOSTLY: Final = 0.95
"""A column with text in fewer of its values is one of numbers with mistakes in it, not one of categories."""

_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")

# Arrow's own rule is stricter than Python's: no underscores, no hexadecimals.
_NUMBER = r"^[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[iI][nN][fF]([iI][nN][iI][tT][yY])?)$"


@dataclass
class Survey:
    """What is known of a column after some portions of rows.

    Attributes:
        first_text: Row (from 1) and value of the first that is no number.
        distinct: The different numbers; None where there are more than classes are taken.
    """

    name: str
    declared: ColumnType | None
    rows: int = 0
    missing: int = 0
    numbers: int = 0
    first_text: tuple[int, str] | None = None
    first_infinite: int | None = None
    minimum: float = float("inf")
    maximum: float = float("-inf")
    mean: float = 0.0
    squares: float = 0.0
    distinct: Numbers | None = field(default_factory=lambda: np.empty(0))

    def see(self, values: Any) -> None:
        """Take in a portion, as `cleaned` returned it."""
        numbers, is_text = parsed(values)
        if self.first_text is None and is_text.any():
            row = int(np.argmax(is_text))
            self.first_text = (self.rows + row + 1, str(values[row].as_py()))
        if self.first_infinite is None and np.isinf(numbers).any():
            self.first_infinite = self.rows + int(np.argmax(np.isinf(numbers))) + 1
        present = numbers[np.isfinite(numbers)]
        self.missing += int(np.isnan(numbers).sum() - is_text.sum())
        self._merge(present)
        self.rows += len(values)

    def _merge(self, present: Numbers) -> None:
        """Merge mean and squared deviations as Chan, Golub and LeVeque do, stable whatever the numbers' size."""
        if not len(present):
            return
        total, mean = self.numbers + len(present), float(present.mean())
        shift = mean - self.mean
        self.squares += float(np.square(present - mean).sum()) + shift * shift * self.numbers * len(present) / total
        self.mean += shift * len(present) / total
        self.numbers = total
        self.minimum, self.maximum = min(self.minimum, present.min()), max(self.maximum, present.max())
        self.distinct = merged(self.distinct, distinct_of(present))

    @property
    def present(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    def type(self, warnings: list[str]) -> ColumnType:
        """Decide what the column is.

        Raises:
            InvalidInput: It mixes numbers with a little text, holds an infinite number, or text where numbers were
                declared.
        """
        if self.declared in ("ignore", "categorical"):
            return self.declared
        text = self.first_text
        if text is not None and self.numbers and (self.declared or self.numbers >= MOSTLY * self.present):
            raise InvalidInput(
                f"column {self.name!r}, row {text[0]}: expected a number, as in {self.numbers} of {self.present} "
                f"rows, got {text[1][:60]!r}; correct it, add it to `missing`, or declare the column categorical"
            )
        if text is not None and self.declared == "numeric":
            raise InvalidInput(f"column {self.name!r}, row {text[0]}: expected a number, got {text[1][:60]!r}")
        if text is not None and self.declared is None and _DECIMAL_COMMA.fullmatch(text[1]):
            raise InvalidInput(
                f"column {self.name!r}, row {text[0]}: {text[1][:60]!r} looks like a number with a decimal comma; "
                "write decimal points, or declare the column categorical"
            )
        if text is not None:
            if self.numbers:
                warnings.append(
                    f"column {self.name!r} mixes text and {self.numbers} numbers, and is taken for categorical"
                )
            return "categorical"
        if self.first_infinite is not None:
            raise InvalidInput(
                f"column {self.name!r}, row {self.first_infinite}: expected a finite number, got an infinite one"
            )
        return "numeric"

    def numeric(self, warnings: list[str]) -> Column:
        """Describe the column as one of numbers."""
        constant = self.numbers > 0 and self.minimum == self.maximum
        _warn(self.name, self.missing, self.rows, constant, warnings)
        known = {} if not self.numbers else {
            "minimum": float(self.minimum), "maximum": float(self.maximum), "mean": self.mean,
            "std": float(np.sqrt(self.squares / self.numbers)),
        }  # fmt: skip
        return Column(name=self.name, type="numeric", missing=self.missing, constant=constant, **known)


@dataclass
class Codes:
    """Categories in the order in which they came, while a column is written."""

    name: str
    index: dict[str, int] = field(default_factory=dict)
    missing: int = 0
    rows: int = 0

    def encode(self, values: Any) -> Any:
        """Return an int32 code for each value, -1 for a missing one."""
        encoded = pc.dictionary_encode(values)
        known = [self._code(text) for text in encoded.dictionary.to_pylist()]
        codes = np.asarray([*known, -1], dtype=np.int32)
        indices = encoded.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)
        self.missing += values.null_count
        self.rows += len(values)
        return codes[indices]

    def _code(self, text: str) -> int:
        if len(text) > MAX_TEXT:
            raise InvalidInput(
                f"column {self.name!r}: expected categories of at most {MAX_TEXT} characters, got {text[:60]!r}…; "
                "declare the column `ignore`"
            )
        if len(self.index) >= MAX_CATEGORIES and text not in self.index:
            raise InputTooLarge(f"column {self.name!r}: expected at most {MAX_CATEGORIES} categories, got more")
        return self.index.setdefault(text, len(self.index))

    def sorted(self) -> tuple[list[str], Any]:
        """Return the categories sorted (as numbers, where all are), and each code's new one; -1 stays as it is."""
        categories = sorted(self.index, key=_sort_key(self.index))
        place = np.empty(len(categories) + 1, dtype=np.int32)
        place[[self.index[text] for text in categories]] = np.arange(len(categories), dtype=np.int32)
        place[-1] = -1
        return categories, place

    def described(self, categories: list[str], warnings: list[str]) -> Column:
        """Describe the column as one of categories."""
        constant = len(categories) == 1
        _warn(self.name, self.missing, self.rows, constant, warnings)
        if len(categories) > 1 and len(categories) == self.rows - self.missing:
            warnings.append(f"column {self.name!r} has another text in every row: an identifier predicts nothing")
        elif len(categories) > MANY_CATEGORIES:
            warnings.append(f"column {self.name!r} has {len(categories)} categories")
        return Column(
            name=self.name, type="categorical", missing=self.missing, constant=constant,
            cardinality=len(categories), categories=tuple(categories[:SHOWN_CATEGORIES]),
        )  # fmt: skip


def _sort_key(texts: dict[str, int]) -> Any:
    try:
        numbers = {text: float(text) for text in texts}
    except ValueError:
        return str
    return lambda text: (numbers[text], text)


def _warn(name: str, missing: int, rows: int, constant: bool, warnings: list[str]) -> None:
    if missing == rows:
        warnings.append(f"column {name!r} has no value in any row")
    elif missing:
        warnings.append(f"column {name!r} lacks a value in {missing} of {rows} rows")
    if constant:
        warnings.append(f"column {name!r} has one value only and predicts nothing")


def cleaned(values: Any, missing: Any) -> Any:
    """Return a portion as strings or float64, null where a value is missing.

    Args:
        values: Arrow array of text, numbers or booleans.
        missing: Arrow array of texts that stand for no value.

    Raises:
        InvalidInput: It holds something else, such as dates or lists.
    """
    kind = values.type
    if pa.types.is_dictionary(kind):
        return cleaned(values.dictionary_decode(), missing)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        trimmed = pc.utf8_trim_whitespace(values.cast(pa.string()))
        return pc.if_else(pc.is_in(trimmed, value_set=missing), pa.scalar(None, pa.string()), trimmed)
    if pa.types.is_boolean(kind):
        return values.cast(pa.string())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return values.cast(pa.float64(), safe=False)
    if pa.types.is_null(kind):
        return values.cast(pa.float64())
    raise InvalidInput(f"expected numbers, text or booleans, got Arrow type {kind}; convert it, or declare `ignore`")


def parsed(values: Any) -> tuple[Numbers, Any]:
    """Return numbers, NaN where there is none, and which rows hold text that is no number."""
    if not pa.types.is_string(values.type):
        return _floats(values), np.zeros(len(values), dtype=bool)
    try:
        return _floats(pc.cast(values, pa.float64())), np.zeros(len(values), dtype=bool)
    except pa.ArrowInvalid:
        is_number = pc.match_substring_regex(values, _NUMBER).fill_null(True)
        numbers = pc.cast(pc.if_else(is_number, values, pa.scalar(None, pa.string())), pa.float64())
        return _floats(numbers), ~is_number.to_numpy(zero_copy_only=False)


def _floats(values: Any) -> Numbers:
    return np.asarray(values.fill_null(np.nan).to_numpy(zero_copy_only=False), dtype=np.float64)


def as_text(values: Any) -> Any:
    """Return a cleaned portion as text: 3 for 3.0."""
    if pa.types.is_string(values.type):
        return values
    texts = [None if value is None or value != value else f"{value:.15g}" for value in values.to_pylist()]
    return pa.array(texts, pa.string())
