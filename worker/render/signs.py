"""What stands for an interaction in pictures: the kind's badge, the words for it, and its signed bar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import ImageDraw

from jobs.schemas import Interaction
from worker.render.colours import HAIRLINE, INK, PAPER, of_sign
from worker.render.sheet import TEXT_SIZE, Block
from worker.render.text import fit, number, width, write

BADGE_SIZE = 12
BADGE_HEIGHT = 20
BADGE_WIDTH = 46

MEANINGS: Mapping[str, str] = {
    "and": "AND: its strength is added when all members are present",
    "or": "OR: its strength is added when at least one member is present",
    "main": "main: a single player's own strength",
    "pair": "pair: how much two players change what each other is worth",
}
_JOINED = {"and": "and", "or": "or"}


def strongest(interactions: Sequence[Interaction], most: int) -> list[Interaction]:
    """The first `most` by decreasing absolute strength; equal ones stay in the method's order.

    Raises:
        ValueError: A strength is not finite.
    """
    if not np.isfinite([interaction.strength for interaction in interactions]).all():
        raise ValueError("expected finite strengths, got NaN or infinity")
    return sorted(interactions, key=lambda interaction: -abs(interaction.strength))[:most]


def joint(kind: str) -> str:
    """The word between the members of an interaction."""
    return _JOINED.get(kind, "×")


def badge(block: Block, place: tuple[int, int], kind: str) -> None:
    """The kind in a frame: filled for AND, where nothing may lack; open and dashed for OR; open for the others."""
    left, top = place
    box = (left, top, left + BADGE_WIDTH - 1, top + BADGE_HEIGHT - 1)
    draw = ImageDraw.Draw(block)
    draw.rounded_rectangle(box, radius=5, fill=INK if kind == "and" else PAPER, outline=INK)
    if kind == "or":
        for start in range(left + 4, left + BADGE_WIDTH, 6):
            draw.rectangle((start, top, start + 2, top + BADGE_HEIGHT - 1), fill=PAPER)
    text = fit(kind.upper() if kind in _JOINED else kind, BADGE_SIZE, BADGE_WIDTH - 6)
    middle = left + (BADGE_WIDTH - width(text, BADGE_SIZE)) // 2
    write(block, (middle, top + 2), text, BADGE_SIZE, PAPER if kind == "and" else INK)


def strength_text(strength: float) -> str:
    """A number that always bears its sign, so that no reader depends on the colour."""
    return number(strength) if strength <= 0 else f"+{number(strength)}"


def strength_bar(block: Block, box: tuple[int, int, int, int], strength: float, largest: float) -> None:
    """A bar from the middle of `box` to the left where the strength is negative, to the right where it is positive."""
    left, top, right, bottom = box
    zero = (left + right) // 2
    end = zero + round((right - zero) * (strength / largest if largest else 0.0))
    draw = ImageDraw.Draw(block)
    draw.line((left, (top + bottom) // 2, right, (top + bottom) // 2), fill=HAIRLINE)
    if end != zero:
        draw.rectangle((min(zero, end), top, max(zero, end), bottom), fill=of_sign(strength))
    draw.line((zero, top - 2, zero, bottom + 2), fill=INK)


def write_right(block: Block, place: tuple[int, int], text: str, colour: tuple[int, int, int] = INK) -> None:
    """Write so that the text ends at `place`."""
    write(block, (place[0] - width(text, TEXT_SIZE), place[1]), text, TEXT_SIZE, colour)
