"""pairs.png: the strongest pairs where few, half and nearly all of the other inputs are present."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from jobs.context_orders import ContextOrders, StrongestPairs, StrongPair
from jobs.schemas import Explanation
from worker.render.arrays import Floats, Integers
from worker.render.colours import BLACK, HAIRLINE, INK, MUTED, PAPER, ink_on, of_sign
from worker.render.players import player_names
from worker.render.png import encode
from worker.render.sheet import LINE, TEXT_SIZE, Block, blank, framed, heading, lines, sheet
from worker.render.signs import strength_bar, write_right
from worker.render.spotlight import centre, dimmed, resized_labels, resized_picture
from worker.render.text import drawable, fit, width, with_error, write

SIDE = 300
_GAP = 18
_CAPTION = 44
_BAR = 20
_DISC = 9
_NAMES_FROM = 2 * _DISC + 8
ROOM = 3 * (SIDE + 2) + 2 * _GAP
_NUDGES = [(0, 0), *((dy, dx) for reach in (1, 2, 3) for dy in (-reach, 0, reach) for dx in (-reach, 0, reach))]
"""Where a pair's number may go from the middle of its line, in discs."""

Place = tuple[int, int]


def pairs(explanation: Explanation, contexts: ContextOrders, pixels: Floats | None) -> bytes:
    """Draw the strongest pairs at a low, the middle and a high context order, as PNG bytes.

    Args:
        pixels: `(height, width, 3)` in [0, 1]; None where there is no picture.
    """
    names = player_names(explanation.players)
    labels = explanation.arrays.get("player_labels")
    largest = max((abs(pair.strength) for place in contexts.strongest for pair in place.pairs), default=0.0)
    columns = [
        _column(place, contexts, names, largest, None if labels is None else np.asarray(labels), pixels)
        for place in contexts.strongest
    ]
    title = heading("The strongest pairs, by how many other inputs are present", explanation, ROOM)
    return encode(sheet([title, _beside(columns), lines(_notes(explanation, contexts), ROOM)]))


def _column(
    place: StrongestPairs, contexts: ContextOrders, names: Sequence[str], largest: float,
    labels: Integers | None, pixels: Floats | None,
) -> Block:  # fmt: skip
    caption, listed = _caption(place, contexts), _list(place.pairs, names, largest)
    parts = [caption, listed] if labels is None else [caption, _picture(place.pairs, labels, pixels), listed]
    block = blank(SIDE + 2, sum(part.height for part in parts) + 8 * (len(parts) - 1))
    top = 0
    for part in parts:
        block.paste(part, ((block.width - part.width) // 2, top))
        top += part.height + 8
    return block


def _caption(place: StrongestPairs, contexts: ContextOrders) -> Block:
    block = blank(SIDE + 2, _CAPTION)
    others = contexts.players - 2
    write(block, (0, 0), f"{place.place} order, m = {place.order}", TEXT_SIZE + 2, INK)
    what = {0: "no other input present", others: "all other inputs present"}
    text = what.get(place.order, f"{place.order} of {others} other inputs present")
    write(block, (0, 22), fit(text, TEXT_SIZE, SIDE), TEXT_SIZE, MUTED)
    return block


def _picture(pairs: Sequence[StrongPair], labels: Integers, pixels: Floats | None) -> Block:
    """A line from player to player for every pair, the thicker the stronger, and its rank."""
    owner = resized_labels(labels, SIDE)
    picture = np.full((*owner.shape, 3), 200, np.uint8) if pixels is None else resized_picture(pixels, SIDE)
    image = Image.fromarray(dimmed(picture, owner))
    ends = [tuple(centre(owner, member) or (0, 0) for member in pair.members) for pair in pairs]
    strongest = max((abs(pair.strength) for pair in pairs), default=1.0) or 1.0
    draw = ImageDraw.Draw(image)
    for pair, (start, end) in reversed(list(zip(pairs, ends, strict=True))):
        _draw_line(draw, start, end, pair.strength, round(2 + 4 * abs(pair.strength) / strongest))
    tips = [tip for both in ends for tip in both]
    taken: list[Place] = []
    for start, end in ends:
        middle = (start[0] + end[0]) // 2, (start[1] + end[1]) // 2
        taken.append(_free_place(middle, taken, tips, image.height, image.width))
        draw.line((middle[1], middle[0], taken[-1][1], taken[-1][0]), fill=PAPER, width=1)
    for rank, (pair, place) in enumerate(zip(pairs, taken, strict=True)):
        _draw_disc(image, place, rank, pair.strength)
    return framed(np.asarray(image))


def _draw_line(draw: ImageDraw.ImageDraw, start: Place, end: Place, strength: float, thickness: int) -> None:
    flat = (start[1], start[0], end[1], end[0])
    draw.line(flat, fill=PAPER, width=thickness + 3)
    draw.line(flat, fill=of_sign(strength), width=thickness)
    radius = thickness // 2 + 3
    for row, column in (start, end):
        box = (column - radius, row - radius, column + radius, row + radius)
        draw.ellipse(box, fill=of_sign(strength), outline=PAPER)


def _free_place(middle: Place, taken: Sequence[Place], tips: Sequence[Place], height: int, width: int) -> Place:
    """The middle of a line, or near it where another number is or a line would lose an end."""
    step = 2 * _DISC + 2
    for down, across in _NUDGES:
        row = min(max(middle[0] + step * down, _DISC), height - 1 - _DISC)
        column = min(max(middle[1] + step * across, _DISC), width - 1 - _DISC)
        apart = all(max(abs(row - other[0]), abs(column - other[1])) >= step - 2 for other in taken)
        if apart and all(np.hypot(row - tip[0], column - tip[1]) >= _DISC + 5 for tip in tips):
            return row, column
    return middle


def _draw_disc(image: Block, place: Place, rank: int, strength: float) -> None:
    row, column = place
    box = (column - _DISC, row - _DISC, column + _DISC, row + _DISC)
    ImageDraw.Draw(image).ellipse(box, fill=of_sign(strength), outline=BLACK)
    text = str(rank + 1)
    write(image, (column - width(text, 12) // 2, row - 8), text, 12, ink_on(of_sign(strength)))


def _list(pairs: Sequence[StrongPair], names: Sequence[str], largest: float) -> Block:
    titles = [_title([names[member] for member in pair.members]) for pair in pairs]
    text = LINE * max((len(title) for title in titles), default=1)
    row = text + _BAR + 8
    block = blank(SIDE + 2, max(1, row * len(pairs)))
    for rank, (pair, title) in enumerate(zip(pairs, titles, strict=True)):
        top = row * rank
        _draw_disc(block, (top + _DISC + 1, _DISC), rank, pair.strength)
        for at, line in enumerate(title):
            write(block, (_NAMES_FROM, top + 2 + LINE * at), line, TEXT_SIZE, INK)
        strength_bar(block, (_NAMES_FROM, top + text + 8, SIDE // 2, top + text + 16), pair.strength, largest)
        value = with_error(pair.strength, pair.standard_error or None)
        write_right(block, (SIDE, top + text + 4), value if pair.strength <= 0 else f"+{value}")
        ImageDraw.Draw(block).line((0, top + row - 4, SIDE, top + row - 4), fill=HAIRLINE)
    return block


def _title(names: Sequence[str]) -> list[str]:
    """The names in one line where they fit, else one under the other."""
    room, joined = SIDE - _NAMES_FROM, " × ".join(names)
    if width(drawable(joined), TEXT_SIZE) <= room:
        return [drawable(joined)]
    return [fit(names[0], TEXT_SIZE, room), fit(f"× {names[1]}", TEXT_SIZE, room)]


def _beside(columns: Sequence[Block]) -> Block:
    together = blank(ROOM, max((column.height for column in columns), default=1))
    for at, column in enumerate(columns):
        together.paste(column, (at * (SIDE + 2 + _GAP), 0))
    return together


def _notes(explanation: Explanation, contexts: ContextOrders) -> list[str]:
    notes = [
        "Strength of a pair: how much one changes what the other adds to the output, with so many others present, "
        f"in {explanation.unit.partition(':')[0]}. Brown, + and to the right: they help each other; blue, −: one takes "
        "the place of the other. All bars have one scale."
    ]
    if contexts.samples > 1:
        notes.append(f"Of the first of {contexts.samples} inputs.")
    if not contexts.strongest:
        notes.append("No pair interacts at any order.")
    return notes
