"""Faults of rows, collected so that one answer names several, each at its JSON pointer."""

from __future__ import annotations

import numpy as np

from jobs.errors import FieldError, InvalidParameters
from jobs.predictors.tensors import Floats

MOST = 20
"""A body with a million wrong cells shall not be answered with a million sentences."""


class Faults:
    """What is wrong with the rows of a request, as far as it was looked at."""

    def __init__(self) -> None:
        self._found: list[FieldError] = []

    def add(self, detail: str, *place: str | int) -> None:
        """Note a fault below `/rows`.

        Raises:
            InvalidParameters: There are so many that it makes no sense to look on.
        """
        self._found.append(FieldError(pointer=pointer("rows", *place), detail=detail))
        if len(self._found) == MOST:
            self.refuse()

    def refuse(self) -> None:
        """Raise what was found, if anything was.

        Raises:
            InvalidParameters: Something was.
        """
        if self._found:
            first = self._found[0]
            raise InvalidParameters(f"{first.pointer}: {first.detail}", errors=self._found)


def check_finite(margins: Floats) -> None:
    """Check that every row has a prediction, `(rows, outputs)`.

    Raises:
        InvalidParameters: One is beyond what numbers can hold.
    """
    faults = Faults()
    for row in np.flatnonzero(~np.isfinite(margins).all(axis=1)).tolist():
        faults.add("a value is so large that the prediction is no number", row)
    faults.refuse()


def pointer(*parts: str | int) -> str:
    """Return a JSON pointer (RFC 6901)."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


def shown(value: object) -> str:
    """Return a value as messages give it: short."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
