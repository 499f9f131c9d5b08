"""similarities.png: how much two sets of inputs, or two networks, share of their interactions, order by order."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.order_profiles import Similarity
from jobs.schemas import Explanation
from worker.render.colours import PALETTE
from worker.render.curves import Curve, curve_chart
from worker.render.png import encode
from worker.render.sheet import Block, blank, heading, lines, sheet
from worker.render.text import count

ROOM = 1020
MOST_PANELS = 12
_COLUMNS = 3
_GAP = 20
_HEIGHT = 170


def similarities(explanation: Explanation, compared: Sequence[Similarity]) -> bytes:
    """Draw Jaccard similarities, as PNG bytes.

    Raises:
        ValueError: A similarity is not finite.
    """
    shown = compared[:MOST_PANELS]
    starts = range(0, len(shown), _COLUMNS)
    rows = [_beside([_chart(one) for one in shown[start : start + _COLUMNS]]) for start in starts]
    title = heading("How much of the interactions is shared", explanation, ROOM)
    return encode(sheet([title, *rows, lines(_notes(compared), ROOM)]))


def _chart(one: Similarity) -> Block:
    curve = Curve(f"{one.one} and {one.other}", one.by_order, PALETTE[6], as_percent=True)
    orders = [str(order + 1) for order in range(len(one.by_order))]
    return curve_chart(curve, orders, (ROOM // _COLUMNS - _GAP, _HEIGHT), highest=1.0)


def _beside(charts: Sequence[Block]) -> Block:
    together = blank(ROOM, _HEIGHT)
    for column, chart in enumerate(charts):
        together.paste(chart, (column * ROOM // _COLUMNS + _GAP // 2, 0))
    return together


def _notes(compared: Sequence[Similarity]) -> list[str]:
    notes = [
        "Across: order, how many inputs take part. Jaccard similarity of the salient interactions, weighted by "
        "strength: 100 % where both are the same, 0 where nothing is shared; no point where neither has any.",
        "Strength of an order that is not shared does not generalize from the one to the other.",
    ]
    more = len(compared) - MOST_PANELS
    return [*notes, f"{count(more, 'more comparison')} in result.json."] if more > 0 else notes
