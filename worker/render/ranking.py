"""ranking.png: the first pairs and sets, with their spread over trials and in how many trials each was selected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import ImageDraw

from jobs.schemas import Interaction
from worker.render.axes import Axis, centred, tick_text
from worker.render.colours import HAIRLINE, INK, MUTED, PALETTE
from worker.render.png import encode
from worker.render.sheet import TEXT_SIZE, TITLE_SIZE, Block, blank, lines, sheet
from worker.render.text import fit, fit_both_ends, number, width, write
from worker.render.warning import warned

MOST_ROWS = 15
ROOM = 760
_ROW = 24
_NAMES = 250
_LEAST_NAME, _TIMES = 40, 20  # pixels of a name that is cut, and of the sign between two
_HEAD, _FOOT = 26, 24
_NAMED = {"anova": "ANOVA", "fast": "FAST", "h-statistic": "H²"}
_STRENGTH, _TRIALS, _RANK = 62, 66, 60  # widths of the columns of numbers, each at its right end
_KNOWN, _OTHER = PALETTE[2], PALETTE[1]


def ranking(
    interactions: Sequence[Interaction], names: Sequence[str], known: Sequence[Sequence[int]],
    *, warning: str | None = None,
) -> bytes:  # fmt: skip
    """Draw interactions of the kinds pair and set, strongest first, as PNG bytes.

    Args:
        known: Interactions that are known; their bars have another colour.
        warning: Why not to believe them; stands first.
    """
    title = blank(ROOM, TITLE_SIZE + 8)
    write(title, (0, 0), _title(interactions), TITLE_SIZE, INK)
    blocks = [title, *warned(warning, ROOM)]
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
        "Bar: strength over all networks. Line: from the lowest to the highest trial. Trials: in how many it is among "
        "the first."
    ]
    if others := _others(interactions):
        named = ", ".join(_NAMED[other] for other in others)
        notes.append(f"{named}: the pair's rank by other methods; – where it was not computed.")
    return [*notes, "Green: known to interact. Blue: not known to."] if known else notes


def _others(interactions: Sequence[Interaction]) -> list[str]:
    """Return the methods whose ranks stand beside."""
    asked: set[str] = set()
    for one in interactions:
        asked |= set(_beside(one))
    return [name for name in _NAMED if name in asked]


def _beside(one: Interaction) -> Mapping[str, Any]:
    found: Any = one.details.get("others") or {}
    return dict(found)


def _columns(interactions: Sequence[Interaction]) -> list[tuple[str, int]]:
    """Return the head and the width of each column of numbers."""
    repeated = [("trials", _TRIALS)] if _repeated(interactions) else []
    return [("strength", _STRENGTH), *repeated, *((_NAMED[other], _RANK) for other in _others(interactions))]


def _panel(
    caption: str, interactions: Sequence[Interaction], names: Sequence[str], known: Sequence[frozenset[int]]
) -> Block:
    block = blank(ROOM, _HEAD + _ROW * len(interactions) + _FOOT)
    write(block, (0, 0), caption, TEXT_SIZE, INK)
    columns = _columns(interactions)
    ends = [end for one in interactions for end in (one.strength, _spread(one)[1])]
    axis = Axis(0.0, max(ends) or 1.0, _NAMES, ROOM - sum(size for _, size in columns) - 8)
    bottom = _HEAD + _ROW * len(interactions)
    draw = ImageDraw.Draw(block)
    for tick in axis.ticks(5):
        place = axis.place(tick)
        draw.line((place, _HEAD - 2, place, bottom), fill=INK if tick == 0 else HAIRLINE)
        centred(block, (place, bottom + 4), tick_text(axis, tick))
    _cells(block, 0, [head for head, _ in columns], columns)
    for row, one in enumerate(interactions):
        top = _HEAD + _ROW * row
        _row(block, top, one, names, axis, known=_is_known(one, known) if known else None)
        _cells(block, top + 3, _numbers(one, columns), columns)
    return block


def _cells(block: Block, top: int, texts: Sequence[str], columns: Sequence[tuple[str, int]]) -> None:
    """Write a row of numbers, each at the right end of its column."""
    right = ROOM
    for text, (_, size) in zip(reversed(texts), reversed(columns), strict=True):
        write(block, (right - width(text, TEXT_SIZE), top), text, TEXT_SIZE, MUTED)
        right -= size


def _is_known(interaction: Interaction, known: Sequence[frozenset[int]]) -> bool:
    return any(set(interaction.members) <= members for members in known)


def _row(block: Block, top: int, one: Interaction, names: Sequence[str], axis: Axis, *, known: bool | None) -> None:
    name = fit(" × ".join(_names(one, names)), TEXT_SIZE, _NAMES - 12)
    write(block, (_NAMES - 12 - width(name, TEXT_SIZE), top + 3), name, TEXT_SIZE, INK)
    draw = ImageDraw.Draw(block)
    colour = _KNOWN if known else _OTHER
    draw.rectangle((axis.place(0), top + 4, axis.place(one.strength), top + 18), fill=colour, outline=HAIRLINE)
    if "trials" in one.details:
        _whisker(draw, top, [axis.place(end) for end in _spread(one)])


def _names(one: Interaction, names: Sequence[str]) -> list[str]:
    """Return the members' names, each cut to its share where not all fit."""
    whole = [names[member] for member in one.members]
    if width(" × ".join(whole), TEXT_SIZE) <= _NAMES - 12:
        return whole
    share = max(_LEAST_NAME, (_NAMES - 12) // len(whole) - _TIMES)
    return [fit_both_ends(name, TEXT_SIZE, share) for name in whole]


def _whisker(draw: ImageDraw.ImageDraw, top: int, ends: Sequence[float]) -> None:
    draw.line((ends[0], top + 11, ends[1], top + 11), fill=INK)
    for end in ends:
        draw.line((end, top + 8, end, top + 14), fill=INK)


def _numbers(one: Interaction, columns: Sequence[tuple[str, int]]) -> list[str]:
    texts = {"strength": number(one.strength)}
    if "trials" in one.details:
        texts["trials"] = f"{one.details['selected_in']} of {one.details['trials']}"
    ranks = {_NAMED[name]: other["rank"] for name, other in _beside(one).items()}
    return [texts.get(head) or str(ranks.get(head) or "–") for head, _ in columns]


def _spread(interaction: Interaction) -> tuple[float, float]:
    spread: Any = interaction.details.get("over_trials", (interaction.strength, interaction.strength))
    return float(spread[0]), float(spread[1])
