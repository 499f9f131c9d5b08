"""Documents of rows as CSV, for those who ask for it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response

from app.interactions import FoundList
from app.prediction_documents import InteractionsDocument, PredictionsDocument

MEDIA_TYPE = "text/csv"
_TOGETHER = " & "
"""Between features that one cell holds."""


def wants_csv(headers: Headers) -> bool:
    """Tell whether the client names CSV, and before JSON."""
    given = [one.partition(";")[0].strip().lower() for one in headers.get("accept", "").split(",")]
    found = [one for one in given if one in (MEDIA_TYPE, "application/json")]
    return bool(found) and found[0] == MEDIA_TYPE


def predictions_csv(document: PredictionsDocument) -> Response:
    """Return predictions with a line a row, and a column for the probability of each class."""
    classes = document.classes or []
    header = ["row", "score", "label", "margin", *(f"p({name})" for name in classes), "unknown", "notes"]
    lines = (
        [
            place, row.score, row.label, row.margin, *(row.probabilities or ()), _TOGETHER.join(row.unknown),
            " ".join(row.notes),
        ]
        for place, row in enumerate(document.rows)
    )  # fmt: skip
    return _response(header, lines)


def interactions_csv(document: InteractionsDocument) -> Response:
    """Return a page of interactions with a line each."""
    header = ["features", "fields", "contribution", "size", "support", "gate", "kept_in", "spread"]
    lines = (
        [
            _TOGETHER.join(item.features), _TOGETHER.join(name or "" for name in item.fields or ()), item.contribution,
            item.size, item.support, item.gate, item.kept_in, item.spread,
        ]
        for item in document.items
    )  # fmt: skip
    return _response(header, lines)


def found_csv(document: FoundList) -> Response:
    """Return a page of a job's interactions with a line each; members without names go by their index."""
    header = ["rank", "kind", "order", "members", "strength", "standard_error"]
    lines = (
        [
            item.rank, item.kind, item.order, _TOGETHER.join(item.names or map(str, item.members)), item.strength,
            item.standard_error,
        ]
        for item in document.items
    )  # fmt: skip
    return _response(header, lines)


def _response(header: Sequence[str], lines: Iterable[Sequence[Any]]) -> Response:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(lines)
    return Response(text.getvalue(), media_type=f"{MEDIA_TYPE}; charset=utf-8; header=present")
