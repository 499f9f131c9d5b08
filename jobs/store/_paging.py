"""Pages of a list, newest first, and the opaque cursor that leads to the next one."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, tuple_

from jobs.errors import InvalidParameters

Item = TypeVar("Item")

_ID = re.compile(r"[!-~]{1,64}")


@dataclass(frozen=True)
class Page(Generic[Item]):
    """Some items of a list; `next_cursor` is None on the last page."""

    items: Sequence[Item]
    next_cursor: str | None


def fetch_page(
    connection: Connection, query: Select[Any], table: Table, *, limit: int, cursor: str | None
) -> tuple[Sequence[Row[Any]], str | None]:
    """Return at most `limit` rows of `query` after `cursor`, newest first, and the cursor of the next page.

    Raises:
        InvalidParameters: The cursor is none that this function made.
    """
    if cursor is not None:
        query = query.where(_older_than(table, *_decoded(cursor)))
    query = query.order_by(table.c.created_at.desc(), table.c.id.desc())
    rows = connection.execute(query.limit(limit + 1)).all()  # one more tells whether there is a next page
    return rows[:limit], _encoded(rows[limit - 1]) if len(rows) > limit else None


def _older_than(table: Table, created_at: float, row_id: str) -> ColumnElement[bool]:
    return tuple_(table.c.created_at, table.c.id) < (created_at, row_id)


def _encoded(row: Row[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps([row.created_at, row.id]).encode()).decode()


def _decoded(cursor: str) -> tuple[float, str]:
    try:
        created_at, row_id = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if not (math.isfinite(created_at) and _ID.fullmatch(row_id)):
            raise ValueError(f"expected a time and an id, got {created_at} and {row_id!r}")
        return float(created_at), row_id
    # Errors of base64, UTF-8 and JSON are ValueErrors; an integer may be too large for a float.
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidParameters("The cursor is not one that this server gave; start again without it.") from error
