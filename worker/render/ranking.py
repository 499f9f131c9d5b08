"""ranking.png: the first pairs and sets, with their spread over trials and in how many trials each was selected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import ImageDraw

from jobs.schemas import Interaction
from worker.render.axes import Axis, centred, tick_text
from worker.render.colours import HAIRLINE, INK, MUTED, PALETTE
from worker.render.png import encode
from worker.render.sheet import TEXT_SIZE, TITLE_SIZE, Block, blank, lines, sheet
from worker.render.text import fit, number, width, write

MOST_ROWS = 15
ROOM = 680
_ROW = 24
_NAMES = 250
_NUMBERS = 210
_HEAD, _FOOT = 26, 24
_KNOWN, _OTHER = PALETTE[2], PALETTE[1]


def ranking(interactions: Sequence[Interaction], names: Sequence[str], known: Sequence[Sequence[int]]) -> bytes:
    """Draw interactions of the kinds pair and set, strongest first, as PNG bytes."""
    title = blank(ROOM, TITLE_SIZE + 8)
    write(title, (0, 0), _title(interactions), TITLE_SIZE, INK)
    blocks = [title]
    for kind, caption in (("pair", "Pairs"), ("set", "Sets of any size (Algorithm 1)")):
        if of_kind := [one for one in interactions if one.kind == kind][:MOST_ROWS]:
            blocks.append(_panel(caption, of_kind, names, [frozenset(one) for one in known]))
    return encode(sheet([*blocks, lines(_notes(interactions, known), ROOM)]))


def _repeated(interactions: Sequence[Interaction]) -> bool:
    return any("trials" in one.details for one in interactions)


def _title(interactions: Sequence[Interaction]) -> str:
    return "How strong, and how sure" if _repeated(interactions) else "The strongest interactions"


def _notes(interactions: Sequence[Interaction], known: Sequence[Sequence[int]]) -> list[str]:
    if not _repeated(interactions):
        return ["Bar and number: strength, from the weights of one network."]
    notes = [
        "Bar: strength over all networks. Line: from the lowest to the highest trial. Right: strength, and in how many "
        "trials it is among the first."
    ]
    if any("anova_rank" in one.details for one in interactions):
        notes.append("ANOVA: the pair's rank by an analysis of variance, which sees products of columns only.")
    return [*notes, "Green: known to interact. Blue: not known to."] if known else notes


def _panel(
    caption: str, interactions: Sequence[Interaction], names: Sequence[str], known: Sequence[frozenset[int]]
) -> Block:
    block = blank(ROOM, _HEAD + _ROW * len(interactions) + _FOOT)
    write(block, (0, 0), caption, TEXT_SIZE, INK)
    ends = [end for one in interactions for end in (one.strength, _spread(one)[1])]
    axis = Axis(0.0, max(ends) or 1.0, _NAMES, ROOM - _NUMBERS)
    bottom = _HEAD + _ROW * len(interactions)
    draw = ImageDraw.Draw(block)
    for tick in axis.ticks(5):
        place = axis.place(tick)
        draw.line((place, _HEAD - 2, place, bottom), fill=INK if tick == 0 else HAIRLINE)
        centred(block, (place, bottom + 4), tick_text(axis, tick))
    for row, one in enumerate(interactions):
        _row(block, _HEAD + _ROW * row, one, names, axis, known=_is_known(one, known) if known else None)
    return block


def _is_known(interaction: Interaction, known: Sequence[frozenset[int]]) -> bool:
    return any(set(interaction.members) <= members for members in known)


def _row(block: Block, top: int, one: Interaction, names: Sequence[str], axis: Axis, *, known: bool | None) -> None:
    name = fit(" × ".join(names[member] for member in one.members), TEXT_SIZE, _NAMES - 12)
    write(block, (_NAMES - 12 - width(name, TEXT_SIZE), top + 3), name, TEXT_SIZE, INK)
    draw = ImageDraw.Draw(block)
    colour = _KNOWN if known else _OTHER
    draw.rectangle((axis.place(0), top + 4, axis.place(one.strength), top + 18), fill=colour, outline=HAIRLINE)
    if "trials" in one.details:
        _whisker(draw, top, [axis.place(end) for end in _spread(one)])
    text = _numbers(one)
    write(block, (ROOM - width(text, TEXT_SIZE), top + 3), text, TEXT_SIZE, MUTED)


def _whisker(draw: ImageDraw.ImageDraw, top: int, ends: Sequence[float]) -> None:
    draw.line((ends[0], top + 11, ends[1], top + 11), fill=INK)
    for end in ends:
        draw.line((end, top + 8, end, top + 14), fill=INK)


def _numbers(one: Interaction) -> str:
    if "trials" not in one.details:
        return number(one.strength)
    beside = f"  ANOVA {one.details['anova_rank']}" if "anova_rank" in one.details else ""
    return f"{number(one.strength)}  in {one.details['selected_in']} of {one.details['trials']}{beside}"


def _spread(interaction: Interaction) -> tuple[float, float]:
    spread: Any = interaction.details.get("over_trials", (interaction.strength, interaction.strength))
    return float(spread[0]), float(spread[1])
