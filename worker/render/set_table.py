"""The table below the sets: rank, score, size and where the set lies."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import ImageDraw

from jobs.schemas import Explanation, Interaction
from worker.render import colours
from worker.render.arrays import Masks
from worker.render.colours import HAIRLINE, INK, MUTED, Colour
from worker.render.sheet import TEXT_SIZE, Block, blank
from worker.render.text import count, fit, width, with_error, write

ROW = 24
_DISC = 9
# Shares of the table's width at which the columns start: rank, score, size, region.
_COLUMNS = (0.0, 0.08, 0.42, 0.86)


def set_table(drawn: Sequence[Interaction], members: Masks, room: int) -> Block:
    """A row for every drawn set; `members` (sets, height, width) are its pixels."""
    block = blank(room, ROW * (len(drawn) + 1))
    _row(block, 0, ("set", "score", "size", "region"), MUTED)
    ImageDraw.Draw(block).line((0, ROW - 4, room, ROW - 4), fill=HAIRLINE)
    for rank, (interaction, mask) in enumerate(zip(drawn, members, strict=True)):
        score = with_error(interaction.strength, interaction.standard_error)
        _row(block, rank + 1, ("", score, size(interaction, int(mask.sum())), region(interaction)), INK)
        _disc(block, rank)
    return block


def size(interaction: Interaction, pixels: int) -> str:
    """`2,000 values in 1,730 pixels`: members are channel values, of which a pixel can hold several."""
    return f"{count(interaction.order, 'value')} in {count(pixels, 'pixel')}"


def region(interaction: Interaction) -> str:
    """The segment in which the set grew, where the method had segments."""
    value = interaction.details.get("region")
    return "–" if value is None else str(value)


def _row(block: Block, row: int, texts: Sequence[str], colour: Colour) -> None:
    starts = [round(share * block.width) for share in _COLUMNS]
    for text, start, end in zip(texts, starts, [*starts[1:], block.width], strict=True):
        write(block, (start, ROW * row + 2), fit(text, TEXT_SIZE, end - start - 4), TEXT_SIZE, colour)


def _disc(block: Block, rank: int) -> None:
    colour, top, text = colours.of_set(rank), ROW * (rank + 1) + 1, str(rank + 1)
    ImageDraw.Draw(block).ellipse((0, top, 2 * _DISC, top + 2 * _DISC), fill=colour, outline=INK)
    write(block, (_DISC - width(text, 12) // 2 + 1, top + 2), text, 12, colours.ink_on(colour))


def set_notes(explanation: Explanation, drawn: int) -> list[str]:
    """What a reader must know to read the picture and its table, of which `drawn` sets were drawn."""
    notes = [f"Unit of the score: {explanation.unit}", "Tinted: members; line: where a set is dense"]
    if len(explanation.interactions) > drawn:
        notes.append(f"{len(explanation.interactions) - drawn} weaker sets are not drawn")
    return notes
