"""sparsity.png: the strengths of all interactions, sorted, on a logarithmic axis, and where salience begins."""

from __future__ import annotations

import numpy as np
from PIL import ImageDraw

from jobs.schemas import Explanation
from worker.render.arrays import Floats
from worker.render.axes import Axis, centred, write_ticks
from worker.render.colours import HAIRLINE, INK, MUTED, PAPER, of_sign
from worker.render.png import encode
from worker.render.sheet import TEXT_SIZE, Block, blank, heading, lines, sheet
from worker.render.text import count, number, width, write

ROOM = 580
_HEIGHT = 300
_LEFT = 76
_TOP, _BOTTOM = 12, 44
_DEEPEST = 1e-9  # of the strongest: below it is what rounding and the solver's tolerance leave


def sparsity(explanation: Explanation) -> bytes:
    """Draw `arrays["strengths"]`, as PNG bytes.

    Raises:
        ValueError: A strength is not finite, or below 0.
    """
    strengths = _falling(np.asarray(explanation.arrays["strengths"], dtype=np.float64))
    threshold = explanation.orders.threshold if explanation.orders is not None else None
    above = None if threshold is None else int(np.searchsorted(-strengths, -threshold, side="left"))
    blocks = [
        heading(_title(len(strengths), above), explanation, ROOM),
        _chart(strengths, threshold, above),
        *([] if above is None else [_strip(above, len(strengths))]),
        lines(_notes(explanation.unit, strengths), ROOM),
    ]
    return encode(sheet(blocks))


def _falling(strengths: Floats) -> Floats:
    if not np.isfinite(strengths).all() or (strengths < 0).any():
        raise ValueError("expected finite strengths of at least 0")
    return -np.sort(-strengths, kind="stable")


def _title(total: int, above: int | None) -> str:
    if above is None:
        return f"The strengths of {count(total, 'interaction')}"
    return f"{above:,} of {count(total, 'possible interaction')} {'is' if above == 1 else 'are'} salient"


def _chart(strengths: Floats, threshold: float | None, above: int | None) -> Block:
    block = blank(ROOM, _HEIGHT)
    shown = strengths[: _drawn(strengths)]
    if not len(shown):
        centred(block, (ROOM // 2, _HEIGHT // 2), "Every strength is 0")
        return block
    down = _strength_axis(shown, threshold)
    across = Axis(1.0, max(2.0, float(len(strengths))), _LEFT + 8, ROOM - 12, logarithmic=True)
    write_ticks(block, down, _LEFT, ROOM, most=7)
    _write_ranks(block, across)
    _curve(block, down, across, shown, above or 0)
    if threshold is not None and down.low <= threshold <= down.high:
        _line(block, down, threshold)
    return block


def _drawn(strengths: Floats) -> int:
    """How many are not negligible beside the strongest."""
    return int((strengths > _DEEPEST * strengths.max(initial=0.0)).sum())


def _strength_axis(shown: Floats, threshold: float | None) -> Axis:
    ends = [float(shown[0]), float(shown[-1]), *([threshold] if threshold else [])]
    low, high = min(ends) / 1.5, max(ends) * 1.5
    return Axis(max(low, _DEEPEST * high), high, _HEIGHT - _BOTTOM, _TOP, logarithmic=True)


def _curve(block: Block, down: Axis, across: Axis, shown: Floats, above: int) -> None:
    """Draw a point a column of pixels at most: of a million strengths, those whose ranks differ to the eye."""
    draw = ImageDraw.Draw(block)
    places: dict[int, int] = {}
    for rank in _ranks(len(shown)):
        places.setdefault(across.place(rank), rank)
    points = [(column, down.place(float(shown[rank - 1])), rank) for column, rank in places.items()]
    draw.line([point[:2] for point in points], fill=MUTED)
    for column, row, rank in points:
        salient = rank <= above
        radius = 3 if salient else 2
        draw.ellipse(
            (column - radius, row - radius, column + radius, row + radius),
            fill=of_sign(1) if salient else MUTED, outline=INK if salient else None,
        )  # fmt: skip


def _ranks(total: int) -> list[int]:
    """Ranks from 1 to `total`, evenly spread on a logarithmic axis and dense enough for every column."""
    spread = np.geomspace(1, total, 4 * ROOM)
    return sorted({*range(1, min(total, ROOM) + 1), *np.rint(spread).astype(int).tolist()})


def _line(block: Block, down: Axis, threshold: float) -> None:
    draw, place = ImageDraw.Draw(block), down.place(threshold)
    for left in range(_LEFT, ROOM, 10):
        draw.line((left, place, left + 5, place), fill=INK, width=2)
    text = f"salient above {number(threshold)}"
    left = ROOM - width(text, TEXT_SIZE) - 4
    top = place - 20 if place - 20 > 0 else place + 4
    draw.rectangle((left - 3, top, ROOM, top + 17), fill=PAPER)
    write(block, (left, top), text, TEXT_SIZE, INK)


def _write_ranks(block: Block, across: Axis) -> None:
    draw = ImageDraw.Draw(block)
    for tick in across.ticks(7):
        place = across.place(tick)
        draw.line((place, _HEIGHT - _BOTTOM, place, _HEIGHT - _BOTTOM + 4), fill=INK)
        centred(block, (place, _HEIGHT - _BOTTOM + 6), f"{int(tick):,}")
    centred(block, ((_LEFT + ROOM) // 2, _HEIGHT - 19), "rank by strength")


def _strip(above: int, total: int) -> Block:
    """How small a part the salient ones are, without a logarithm: a bar for all, filled as far as they go."""
    block = blank(ROOM, 40)
    write(block, (0, 0), f"of all: {number(100 * above / total if total else 0.0)} % are salient", TEXT_SIZE, INK)
    draw = ImageDraw.Draw(block)
    draw.rectangle((0, 21, ROOM - 1, 35), fill=of_sign(1, pale=True), outline=HAIRLINE)
    if above:
        draw.rectangle((0, 21, round((ROOM - 1) * above / total), 35), fill=of_sign(1))
    return block


def _notes(unit: str, strengths: Floats) -> list[str]:
    rest = len(strengths) - _drawn(strengths)
    notes = [f"Strength without its sign, both axes of the curve logarithmic: {unit}."]
    if rest:
        notes.append(f"Not drawn: {rest:,} that are 0 or below a billionth of the strongest.")
    return notes
