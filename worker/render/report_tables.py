"""HTML tables of report.html, and the cells in them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from worker.render.text import number

Titled = tuple[str, Sequence[str], Sequence[Sequence[Any]]]
"""Title, head and rows of a table whose cells are JSON values."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already; `head` is text."""
    cells = "".join(f'<th scope="col">{escape(name.replace("_", " "))}</th>' for name in head)
    body = "".join(
        "<tr>"
        + "".join(f'<td class="wide">{cell}</td>' if len(cell) > 60 else f"<td>{cell}</td>" for cell in row)
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def cell(value: Any) -> str:
    """Any JSON value as HTML."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, int):
        return str(value)
    return escape(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def muted(text: str) -> str:
    """A paragraph of small print."""
    return f'<p class="muted">{escape(text)}</p>'
