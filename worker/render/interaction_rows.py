"""The strongest interactions of named players, such as columns or words: a row each, members as chips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import ImageDraw

from jobs.schemas import Interaction
from worker.render.colours import HAIRLINE, INK, MUTED, of_sign
from worker.render.sheet import TEXT_SIZE, Block, blank
from worker.render.signs import BADGE_WIDTH, badge, joint, strength_bar, strength_text, write_right
from worker.render.text import fit, width, write

MOST_ROWS = 12
ROOM = 860
_CHIPS = (BADGE_WIDTH + 14, 590)  # from where to where the chips may be
_BAR = (612, 770)
_LINE = 26
_PADDING = 5
_SPACE = 1
_MOST_LINES = 4
_WIDEST_NAME = 220


@dataclass(frozen=True)
class Word:
    """A piece of a row: the name of a player, or the word between two."""

    text: str
    is_chip: bool

    @property
    def width(self) -> int:
        # Words without a frame take as much, so that those of a text stand below each other in all rows.
        return width(self.text, TEXT_SIZE) + 2 * _PADDING


def interaction_rows(interactions: Sequence[Interaction], names: Sequence[str], *, running_text: bool) -> Block:
    """Draw the interactions under each other.

    Args:
        names: One a player.
        running_text: Write every player's name in order, as words of a text, and not the members' alone.
    """
    largest = max((abs(interaction.strength) for interaction in interactions), default=0.0)
    lines = [_lines(_words(interaction, names, running_text=running_text)) for interaction in interactions]
    heights = [_LINE * len(one) + 10 for one in lines]
    block = blank(ROOM, max(1, sum(heights)))
    top = 0
    for interaction, words, height in zip(interactions, lines, heights, strict=True):
        _row(block, top, interaction, words, largest)
        top += height
        ImageDraw.Draw(block).line((0, top - 5, ROOM, top - 5), fill=HAIRLINE)
    return block


def _row(block: Block, top: int, interaction: Interaction, lines: Sequence[Sequence[Word]], largest: float) -> None:
    badge(block, (0, top + 1), interaction.kind)
    strength_bar(block, (_BAR[0], top + 5, _BAR[1], top + 17), interaction.strength, largest)
    write_right(block, (ROOM, top + 3), strength_text(interaction.strength))
    for line, words in enumerate(lines):
        left = _CHIPS[0]
        for word in words:
            _write_word(block, (left, top + _LINE * line), word, interaction.strength)
            left += word.width + _SPACE


def _write_word(block: Block, place: tuple[int, int], word: Word, strength: float) -> None:
    left, top = place
    if not word.is_chip:
        write(block, (left + _PADDING, top + 3), word.text, TEXT_SIZE, MUTED)
        return
    box = (left, top, left + word.width, top + _LINE - 4)
    outline, fill = of_sign(strength), of_sign(strength, pale=True)
    ImageDraw.Draw(block).rounded_rectangle(box, radius=5, fill=fill, outline=outline)
    write(block, (left + _PADDING, top + 3), word.text, TEXT_SIZE, INK)


def _words(interaction: Interaction, names: Sequence[str], *, running_text: bool) -> Iterator[Word]:
    if running_text:
        members = set(interaction.members)
        yield from (Word(_short(name), player in members) for player, name in enumerate(names))
        return
    for at, member in enumerate(interaction.members):
        if at:
            yield Word(joint(interaction.kind), is_chip=False)
        yield Word(_short(names[member]), is_chip=True)


def _lines(words: Iterator[Word]) -> list[list[Word]]:
    """Break a row between words; what is beyond the last line becomes an ellipsis."""
    lines: list[list[Word]] = [[]]
    room = left = _CHIPS[1] - _CHIPS[0]
    for word in words:
        if word.width > left and lines[-1]:
            if len(lines) == _MOST_LINES:
                lines[-1].append(Word("…", is_chip=False))
                break
            lines.append([])
            left = room
        lines[-1].append(word)
        left -= word.width + _SPACE
    return lines


def _short(name: str) -> str:
    return fit(name, TEXT_SIZE, _WIDEST_NAME) or "▯"
