"""robustness.png and bottleneck.png of an order modulation: each number before the training and after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import ImageDraw

from jobs.context_orders import ContextOrders, RelativeStrength
from jobs.modulation import Findings, Modulation, Share, TermValue
from worker.render.axes import Axis, axis_around, centred, write_ticks
from worker.render.colours import INK, PALETTE, PAPER, Colour
from worker.render.png import encode
from worker.render.sheet import TEXT_SIZE, TITLE_SIZE, Block, blank, lines, sheet
from worker.render.text import fit, number, width, write

ROOM = 720
_HEIGHT = 280
_LEFT, _RIGHT = 56, 16
_TOP, _BOTTOM = 34, 46
_LEGEND = 24
_RADIUS = 4
BEFORE, AFTER = PALETTE[4], PALETTE[6]
_WHISKER = 5
_NUMBERS = {
    "loss": "loss",
    "loss over training rows": "train_loss",
    "loss gap": "loss_gap",
    "structure": "structure",
}
_DONE = {"encourage": "Encouraged", "suppress": "Suppressed"}


@dataclass(frozen=True)
class _Line:
    """A number over x with its interval; `square` marks and a light line where it is the second of a kind."""

    name: str
    xs: Sequence[float]
    values: Sequence[float]
    lows: Sequence[float] | None
    highs: Sequence[float] | None
    colour: Colour
    square: bool = False


def modulation_pictures(found: Modulation) -> dict[str, bytes]:
    """Draw both as PNG bytes by artifact name."""
    return {"bottleneck.png": _bottleneck(found), "robustness.png": _robustness(found)}


def before_and_after(found: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return the rows of a table: a number's name, before and after.

    Args:
        found: A `Modulation` as in result.json.
    """
    both = found["before"], found["after"]
    rows = [(name, *(one[key] for one in both)) for name, key in _NUMBERS.items()]
    rows.append(("accuracy", *(one["accuracy"]["value"] for one in both)))
    for at, attack in list(enumerate(both[1]["attacks"]))[1:]:
        name = f"accuracy under attack, ε = {number(attack['epsilon'])}"
        rows.append((name, *(one["attacks"][at]["accuracy"]["value"] for one in both)))
    for at, term in enumerate(both[1]["terms"]):
        name = f"{term['kind']} {number(term['r1'])} to {number(term['r2'])}, weight {number(term['weight'])}: loss"
        rows.append((name, *(one["terms"][at]["value"] for one in both)))
    return rows


def _bottleneck(found: Modulation) -> bytes:
    pairs = (("before", found.before, BEFORE), ("after", found.after, AFTER))
    drawn = [line for name, one, colour in pairs if (line := _strength(name, one.contexts, colour)) is not None]
    orders = found.after.contexts.orders
    blocks = [_title("How strongly pairs interact, by how many other inputs are present")]
    if drawn:
        chart = _chart(
            "relative strength J; 1 is the mean over the orders drawn", drawn, ticks=orders, top=None,
            across="context order m: how many other inputs are present", text=number,
        )  # fmt: skip
        blocks += [chart, *map(_legend, drawn)]
    return encode(sheet([*blocks, lines(_words_of_strength(found), ROOM)]))


def _strength(name: str, contexts: ContextOrders, colour: Colour) -> _Line | None:
    measured = _shown(contexts)
    if measured is None:
        return None
    band = measured.interval
    over = {"samples": "rows", "pairs": "pairs"}[contexts.resampled]
    bars = f"; bars: {100 * contexts.level:g} % over {over}" if band else ""
    return _Line(
        f"{name}{bars}", contexts.orders, measured.values, band.low if band else None, band.high if band else None,
        colour, square=name == "before",
    )  # fmt: skip


def _shown(contexts: ContextOrders) -> RelativeStrength | None:
    """Prefer what the noise of sampling is taken off."""
    return contexts.corrected or contexts.relative


def _words_of_strength(found: Modulation) -> list[str]:
    before, after = found.before.contexts, found.after.contexts
    words = [
        f"Before: {found.start}. {found.players} players, {after.samples} held-out rows. The largest mean |I| of an "
        f"order was {number(max(before.strength))} and is {number(max(after.strength))}, in log-odds of the label."
    ]
    if _shown(after) is None:
        words.append("After the training no pair interacts at any order.")
    if before.hidden or after.hidden:
        words.append(
            "Where a line is at 0, noise of sampling hides the interactions: unknown until the budget is larger."
        )
    return [*words, *map(_words_of_term, found.after.terms)]


def _words_of_term(term: TermValue) -> str:
    peak = max(0, term.smaller - 1)
    return (
        f"{_DONE[term.kind]} with weight {number(term.weight)}: Δu between {term.smaller} and {term.larger} players; "
        f"it weighs orders below {term.larger - 1}, most near {peak}."
    )


def _robustness(found: Modulation) -> bytes:
    attacks = [_attacked(name, one, colour) for name, one, colour in _both(found)]
    masked = [line for name, one, colour in _both(found) for line in _masked(name, one, colour)]
    blocks = [
        _title("Accuracy on held-out rows under attack, and with inputs masked"),
        _chart(
            "accuracy under attack (PGD)", attacks, ticks=attacks[0].xs, top=1.0,
            across=f"largest change ε, in {found.epsilon_unit}", text=number,
        ),
        *map(_legend, attacks),
        _chart(
            "accuracy with players masked", masked, ticks=masked[0].xs, top=1.0, across="share of players masked",
            text=_percent,
        ),
        *map(_legend, masked),
        lines(_words_of_robustness(found), ROOM),
    ]  # fmt: skip
    return encode(sheet(blocks))


def _both(found: Modulation) -> tuple[tuple[str, Findings, Colour], ...]:
    return ("before", found.before, BEFORE), ("after", found.after, AFTER)


def _attacked(name: str, one: Findings, colour: Colour) -> _Line:
    xs = [attack.epsilon for attack in one.attacks]
    return _of_shares(f"{name}; bars: 95 %", xs, [attack.accuracy for attack in one.attacks], colour, name == "before")


def _masked(name: str, one: Findings, colour: Colour) -> list[_Line]:
    xs, random = [point.share for point in one.masked], [point.random for point in one.masked]
    around = [point.surrounding for point in one.masked if point.surrounding is not None]
    found = [_of_shares(f"{name}, masked at random", xs, random, colour, square=True)]
    if around:
        found.append(_of_shares(f"{name}, masked from the border inwards", xs, around, colour, square=False))
    return found


def _of_shares(name: str, xs: Sequence[float], shares: Sequence[Share], colour: Colour, square: bool) -> _Line:
    return _Line(
        name, xs, [one.value for one in shares], [one.low for one in shares], [one.high for one in shares], colour,
        square,
    )  # fmt: skip


def _words_of_robustness(found: Modulation) -> list[str]:
    before, after = found.before, found.after
    words = [
        f"Before: {found.start}. Accuracy was {_percent(before.accuracy.value)} and is "
        f"{_percent(after.accuracy.value)}; loss over held-out minus loss over training rows was "
        f"{number(before.loss_gap)} and is {number(after.loss_gap)}."
    ]
    if before.structure is not None and after.structure is not None:
        words.append(
            "Structure, the area between masking from the border and at random, was "
            f"{number(before.structure)} and is {number(after.structure)}."
        )
    return words


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _title(text: str) -> Block:
    block = blank(ROOM, TITLE_SIZE + 8)
    write(block, (0, 0), fit(text, TITLE_SIZE, ROOM), TITLE_SIZE, INK)
    return block


def _chart(
    title: str, drawn: Sequence[_Line], *, ticks: Sequence[float], top: float | None, across: str,
    text: Callable[[float], str],
) -> Block:  # fmt: skip
    block = blank(ROOM, _HEIGHT)
    write(block, (0, 0), fit(title, TEXT_SIZE, ROOM), TEXT_SIZE, INK)
    heights = [value for line in drawn for value in (*line.values, *(line.highs or ()))] + ([top] if top else [])
    down = axis_around(heights, _HEIGHT - _BOTTOM, _TOP)
    along = Axis(min(ticks), max(max(ticks), min(ticks) + 1e-9), _LEFT + 12, ROOM - _RIGHT - 12)
    write_ticks(block, down, _LEFT, ROOM - _RIGHT, most=4)
    _write_places(block, along, ticks, text)
    centred(block, ((_LEFT + ROOM - _RIGHT) // 2, _HEIGHT - 19), across)
    for line in drawn:
        _draw(ImageDraw.Draw(block), line, along, down)
    return block


def _write_places(block: Block, along: Axis, ticks: Sequence[float], text: Callable[[float], str]) -> None:
    """Write places along the axis as far as they do not touch."""
    taken = -ROOM
    for tick in ticks:
        place, half = along.place(tick), width(text(tick), TEXT_SIZE) // 2
        if place - half > taken + 6:
            centred(block, (place, _HEIGHT - _BOTTOM + 5), text(tick))
            taken = place + half


def _draw(draw: ImageDraw.ImageDraw, line: _Line, along: Axis, down: Axis) -> None:
    places = [(along.place(x), down.place(value)) for x, value in zip(line.xs, line.values, strict=True)]
    for (x, _), low, high in zip(places, line.lows or (), line.highs or (), strict=False):
        _whisker(draw, x, down.place(low), down.place(high), line.colour)
    draw.line(places, fill=line.colour, width=2)
    for place in places:
        _mark(draw, place, line)


def _whisker(draw: ImageDraw.ImageDraw, x: int, low: int, high: int, colour: Colour) -> None:
    draw.line((x, low, x, high), fill=colour)
    for end in (low, high):
        draw.line((x - _WHISKER, end, x + _WHISKER, end), fill=colour)


def _mark(draw: ImageDraw.ImageDraw, place: tuple[int, int], line: _Line) -> None:
    x, y = place
    box = (x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS)
    if line.square:
        draw.rectangle(box, fill=PAPER, outline=line.colour, width=2)
    else:
        draw.ellipse(box, fill=line.colour, outline=INK)


def _legend(line: _Line) -> Block:
    block = blank(ROOM, _LEGEND)
    draw = ImageDraw.Draw(block)
    draw.line((2, _LEGEND // 2, 44, _LEGEND // 2), fill=line.colour, width=2)
    _mark(draw, (23, _LEGEND // 2), line)
    write(block, (56, 3), fit(line.name, TEXT_SIZE, ROOM - 56), TEXT_SIZE, INK)
    return block
