"""edges.png: the share of edges that are kept and the validation score, epoch by epoch (Fig. 4 of L0-SIGN)."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import ImageDraw

from jobs.trainings import Curve
from worker.render.axes import Axis, centred, write_ticks
from worker.render.colours import INK, MUTED, PALETTE, PAPER, Colour
from worker.render.png import encode
from worker.render.sheet import TEXT_SIZE, TITLE_SIZE, Block, blank, lines, sheet
from worker.render.text import number, width, write

ROOM = 640
_HEIGHT = 200
_LEFT, _RIGHT = 64, 20
_TOP, _BOTTOM = 30, 12
_EPOCHS = 38
_SCORES = {"auc": "AUC", "r2": "R²", "loss": "loss"}
"""Curves that judge a network, by name; the first that there is is drawn."""

Points = list[tuple[float, float]]


def kept_share(curves: Sequence[Curve], best: float | None) -> bytes | None:
    """Draw both on one axis of epochs, as PNG bytes; None where a training has no edges or no score.

    Args:
        best: The epoch whose network was kept.
    """
    found = {curve.name: _points(curve) for curve in curves if curve.part == "validation"}
    name = next((one for one in _SCORES if found.get(one)), None)
    if name is None or not found.get("edges_kept"):
        return None
    shares = [(at, 100 * share) for at, share in found["edges_kept"]]
    epochs = [at for at, _ in shares + found[name]]
    across = Axis(min(epochs), max(max(epochs), min(epochs) + 1), _LEFT, ROOM - _RIGHT)
    title = blank(ROOM, TITLE_SIZE + 8)
    write(title, (0, 0), "Edges that are kept, and how well they predict, by epoch", TITLE_SIZE, INK)
    low, high = _around([score for _, score in found[name]])
    upper = _panel(
        "edges kept, % of all edges of the validation rows", shares, _axis(0.0, 100.0), across, PALETTE[4], best
    )
    lower = _panel(f"{_SCORES[name]} on validation rows", found[name], _axis(low, high), across, PALETTE[6], best)
    return encode(sheet([title, upper, lower, _epochs(across), lines(_notes(best, low), ROOM)]))


def _points(curve: Curve) -> Points:
    return [(at, value) for at, value in zip(curve.at, curve.values, strict=True) if value is not None]


def _axis(low: float, high: float) -> Axis:
    return Axis(low, high, _HEIGHT - _BOTTOM, _TOP)


def _around(scores: Sequence[float]) -> tuple[float, float]:
    """The scores' range with some air; it need not begin at 0, as an AUC of 0.5 is nothing."""
    low, high = min(scores), max(scores)
    air = 0.1 * (high - low) or 0.05 * abs(high) or 1.0
    return low - air, high + air


def _notes(best: float | None, low: float) -> list[str]:
    notes = [] if best is None else [f"Broken line and numbers: epoch {number(best)}, whose network was kept."]
    return [*notes, "The lower axis does not begin at 0."] if low > 0 else notes


def _panel(title: str, points: Points, axis: Axis, across: Axis, colour: Colour, best: float | None) -> Block:
    block = blank(ROOM, _HEIGHT)
    draw = ImageDraw.Draw(block)
    write(block, (0, 0), title, TEXT_SIZE, INK)
    write_ticks(block, axis, _LEFT, ROOM - _RIGHT, most=4)
    if best is not None:
        for top in range(_TOP, _HEIGHT - _BOTTOM, 8):
            draw.line((across.place(best), top, across.place(best), top + 3), fill=MUTED, width=2)
    placed = [(across.place(at), axis.place(value)) for at, value in points]
    if len(placed) > 1:
        draw.line([end for place in placed for end in place], fill=colour, width=3)
    radius = 3 if len(placed) <= 60 else 0
    for x, y in placed:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    told = next((spot for spot, (at, _) in enumerate(points) if at == best), -1)
    _tell(block, placed[told], points[told][1])
    return block


def _tell(block: Block, place: tuple[int, int], value: float) -> None:
    """Write a value above its point, or below where there is no room above."""
    text = number(value)
    left = max(_LEFT, place[0] - width(text, TEXT_SIZE) - 4)
    top = place[1] - 22 if place[1] - 22 > _TOP - 8 else place[1] + 6
    ImageDraw.Draw(block).rectangle((left - 2, top, left + width(text, TEXT_SIZE) + 1, top + 16), fill=PAPER)
    write(block, (left, top), text, TEXT_SIZE, INK)


def _epochs(across: Axis) -> Block:
    block = blank(ROOM, _EPOCHS)
    for tick in (at for at in across.ticks(8) if at == round(at)):
        centred(block, (across.place(tick), 0), number(tick))
    centred(block, ((_LEFT + ROOM - _RIGHT) // 2, 19), "epoch")
    return block
