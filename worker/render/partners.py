"""feature.png: what one feature adds together with others, raising and lowering, and in how many rows (Fig. 6a)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.render.colours import INK
from worker.render.png import encode
from worker.render.sheet import TITLE_SIZE, blank, lines, sheet
from worker.render.signed_rows import SignedRow, signed_rows
from worker.render.text import count, fit, number, write

ROOM = 680
_NAMES, _WORDS = 220, 170


def partners(feature: Mapping[str, Any], unit: str) -> bytes:
    """Draw one feature's pairs as PNG bytes, the highest contribution first.

    Args:
        feature: As in feature.json.
    """
    found = sorted(feature["partners"], key=lambda one: -one["contribution"])
    rows = [SignedRow(one["name"], one["contribution"], _words(one)) for one in found]
    title = blank(ROOM, TITLE_SIZE + 8)
    write(title, (0, 0), fit(f"What {feature['name']} adds together with others", TITLE_SIZE, ROOM), TITLE_SIZE, INK)
    notes = [
        f"Bar and number: mean contribution, in {unit}, over the training rows that hold both; beside it, how many.",
        f"The {count(len(found), 'partner')} whose pairs weigh most over all training rows; brown raises the "
        "prediction, blue lowers it.",
    ]
    return encode(sheet([title, signed_rows(rows, ROOM, names=_NAMES, words=_WORDS), lines(notes, ROOM)]))


def _words(one: Mapping[str, Any]) -> str:
    rows = count(one["support"], "row")
    return f"gate closed, {rows}" if one.get("gate") == 0 else f"{number(one['contribution'])} in {rows}"
