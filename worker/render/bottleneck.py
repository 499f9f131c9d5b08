"""bottleneck.png: how strongly pairs of inputs interact by how many others are present, and what theory expects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from PIL import ImageDraw

from jobs.context_orders import Band, ContextOrders, TheoryCurve
from jobs.schemas import Explanation
from worker.render.axes import Axis, axis_around, centred, write_ticks
from worker.render.colours import INK, MUTED, PALETTE, PAPER
from worker.render.png import encode
from worker.render.sheet import TEXT_SIZE, Block, blank, heading, lines, sheet
from worker.render.text import count, number, width, write

ROOM = 720
_HEIGHT = 340
_LEFT = 56
_TOP, _BOTTOM = 14, 44
_INSET = 16
_LINE = 24
CORRECTED, PLAIN = PALETTE[6], PALETTE[4]
_BAND = (201, 224, 240)
_WHISKER = 5
_FEW = 3
_OVER = {"samples": "inputs", "pairs": "pairs"}

Place = tuple[int, int]
Sample = Callable[[ImageDraw.ImageDraw, int], None]


def bottleneck(explanation: Explanation, contexts: ContextOrders) -> bytes:
    """Draw J^(m) with its intervals and the fitted theory, as PNG bytes.

    Raises:
        ValueError: A strength is not finite.
    """
    drawn = contexts.relative is not None
    blocks = [heading("How strongly pairs interact, by how many other inputs are present", explanation, ROOM)]
    blocks += [_chart(contexts), *_legend(contexts)] if drawn else [lines(["No pair interacts at any order."], ROOM)]
    return encode(sheet([*blocks, lines(_notes(contexts), ROOM)]))


def _chart(contexts: ContextOrders) -> Block:
    block = blank(ROOM, _HEIGHT)
    down = axis_around(_everything(contexts), _HEIGHT - _BOTTOM, _TOP)
    across = Axis(0, max(1, contexts.players - 2), _LEFT + _INSET, ROOM - _INSET)
    if contexts.corrected is not None and contexts.corrected.interval is not None:
        _draw_band(block, across, down, contexts.orders, contexts.corrected.interval)
    write_ticks(block, down, _LEFT, ROOM)
    draw = ImageDraw.Draw(block)
    for curve in contexts.theory[:1]:
        _draw_dashes(draw, _places(across, down, contexts.orders, _scaled(contexts, curve)))
    if contexts.relative is not None:
        _draw_plain(draw, across, down, contexts)
    if contexts.corrected is not None:
        _draw_corrected(draw, _places(across, down, contexts.orders, contexts.corrected.values))
    _write_orders(block, across, contexts.orders)
    return block


def _everything(contexts: ContextOrders) -> list[float]:
    """What the axis must hold."""
    found = [value for curve in contexts.theory[:1] for value in _scaled(contexts, curve)]
    for measured in (contexts.relative, contexts.corrected):
        if measured is not None:
            found += measured.values
            found += measured.interval.high if measured.interval else ()
    return found


def _scaled(contexts: ContextOrders, curve: TheoryCurve) -> list[float]:
    """F(m)/F(0) in units of J, so that both begin at one point."""
    start = contexts.corrected.values[0] if contexts.corrected is not None else 0.0
    return [start * value for value in curve.values]


def _places(across: Axis, down: Axis, orders: Sequence[int], values: Sequence[float]) -> list[Place]:
    return [(across.place(order), down.place(value)) for order, value in zip(orders, values, strict=True)]


def _draw_band(block: Block, across: Axis, down: Axis, orders: Sequence[int], band: Band) -> None:
    upper, lower = _places(across, down, orders, band.high), _places(across, down, orders, band.low)
    ImageDraw.Draw(block).polygon([*upper, *reversed(lower)], fill=_BAND)


def _draw_dashes(draw: ImageDraw.ImageDraw, places: Sequence[Place], *, dash: int = 7) -> None:
    """A broken line whose dashes run on around the corners."""
    walked = 0.0
    for (x, y), (end_x, end_y) in pairwise(places):
        length = max(1.0, ((end_x - x) ** 2 + (end_y - y) ** 2) ** 0.5)
        for step in range(int(length)):
            if (walked + step) // dash % 2 == 0:
                at = x + (end_x - x) * step / length, y + (end_y - y) * step / length
                draw.ellipse((at[0] - 1, at[1] - 1, at[0] + 1, at[1] + 1), fill=INK)
        walked += int(length)


def _draw_plain(draw: ImageDraw.ImageDraw, across: Axis, down: Axis, contexts: ContextOrders) -> None:
    measured = contexts.relative
    if measured is None:
        return
    places = _places(across, down, contexts.orders, measured.values)
    draw.line(places, fill=PLAIN, width=2)
    if measured.interval is not None:
        lows = _places(across, down, contexts.orders, measured.interval.low)
        highs = _places(across, down, contexts.orders, measured.interval.high)
        for (x, low), (_, high) in zip(lows, highs, strict=True):
            _draw_whisker(draw, x, low, high)
    for place in places:
        _draw_square(draw, place)


def _draw_whisker(draw: ImageDraw.ImageDraw, x: int, low: int, high: int) -> None:
    draw.line((x, low, x, high), fill=PLAIN)
    for end in (low, high):
        draw.line((x - _WHISKER, end, x + _WHISKER, end), fill=PLAIN)


def _draw_square(draw: ImageDraw.ImageDraw, place: Place) -> None:
    x, y = place
    draw.rectangle((x - 4, y - 4, x + 4, y + 4), fill=PAPER, outline=PLAIN, width=2)


def _draw_corrected(draw: ImageDraw.ImageDraw, places: Sequence[Place]) -> None:
    draw.line(list(places), fill=CORRECTED, width=3)
    for x, y in places:
        draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=CORRECTED, outline=INK)


def _write_orders(block: Block, across: Axis, orders: Sequence[int]) -> None:
    """Write the grid of orders, as far as there is room, the first and last in any case."""
    top, taken = _HEIGHT - _BOTTOM + 5, -ROOM
    last = across.place(orders[-1]) - width(str(orders[-1]), TEXT_SIZE) // 2
    draw = ImageDraw.Draw(block)
    for order in orders:
        place, half = across.place(order), width(str(order), TEXT_SIZE) // 2
        draw.line((place, _HEIGHT - _BOTTOM, place, _HEIGHT - _BOTTOM + 3), fill=MUTED)
        if order == orders[-1] or (place - half > taken + 6 and place + half < last - 6):
            centred(block, (place, top), str(order))
            taken = place + half
    centred(block, ((_LEFT + ROOM) // 2, _HEIGHT - 19), "context order m: how many other inputs are present")


def _legend(contexts: ContextOrders) -> list[Block]:
    over = f"{100 * contexts.level:g} % over {_OVER[contexts.resampled]}"
    rows: list[Block] = []
    if contexts.corrected is not None:
        band = f"; band: {over}" if contexts.corrected.interval else ""
        rows.append(_row(_corrected_sample, f"root mean square of I, noise of sampling taken off{band}"))
    if contexts.relative is not None:
        whiskers = f"; bars: {over}" if contexts.relative.interval else ""
        rows.append(_row(_plain_sample, f"mean of |I|, as the paper has it{whiskers}"))
    for curve in contexts.theory[:1]:
        text = f"theory for n′ = {number(curve.n_prime)} variables, fitted; off by {number(curve.error)} of J(0)"
        rows.append(_row(_theory_sample, text))
    return rows


def _row(sample: Sample, text: str) -> Block:
    block = blank(ROOM, _LINE)
    sample(ImageDraw.Draw(block), _LINE // 2)
    write(block, (56, 3), text, TEXT_SIZE, INK)
    return block


def _corrected_sample(draw: ImageDraw.ImageDraw, middle: int) -> None:
    draw.rectangle((2, middle - 8, 44, middle + 8), fill=_BAND)
    _draw_corrected(draw, [(2, middle), (23, middle), (44, middle)][1:2])
    draw.line((2, middle, 44, middle), fill=CORRECTED, width=3)


def _plain_sample(draw: ImageDraw.ImageDraw, middle: int) -> None:
    draw.line((2, middle, 44, middle), fill=PLAIN, width=2)
    _draw_whisker(draw, 23, middle - 9, middle + 9)
    _draw_square(draw, (23, middle))


def _theory_sample(draw: ImageDraw.ImageDraw, middle: int) -> None:
    _draw_dashes(draw, [(2, middle), (44, middle)])


def _notes(contexts: ContextOrders) -> list[str]:
    pairs = f"{count(contexts.pairs, 'pair')} of {contexts.players} players, {count(contexts.samples, 'input')}"
    if contexts.relative is None:
        return [f"{pairs}."]
    return [
        f"Relative strength J: 1 is the mean over the {count(len(contexts.orders), 'order')} drawn. {pairs}; the "
        f"largest mean |I| of an order is {number(max(contexts.strength))}.",
        _reading(contexts),
    ]


def _reading(contexts: ContextOrders) -> str:
    """Say whether the middle lies below both ends, by the blue line where there is one."""
    measured = contexts.corrected or contexts.relative
    if measured is None or len(contexts.orders) < _FEW:
        return ""
    middle = min(range(len(contexts.orders)), key=lambda at: abs(contexts.orders[at] - (contexts.players - 2) / 2))
    first, half, last = measured.values[0], measured.values[middle], measured.values[-1]
    what = f"At m = {contexts.orders[middle]} it is {number(half)}, at the ends {number(first)} and {number(last)}"
    if {contexts.orders[at] for at in (0, middle, -1)} & set(contexts.hidden):
        return f"{what}: where it is 0, noise of sampling hides it, so nothing can be said of a bottleneck."
    if half >= min(first, last):
        return f"{what}: no bottleneck, the middle is not below both ends."
    band = measured.interval
    if band is None or band.high[middle] >= min(band.low[0], band.low[-1]):
        return f"{what}: the middle is below both ends, but not beyond the intervals."
    return f"{what}: a bottleneck, the middle is below both ends, beyond the intervals."
