"""interactions.png: the strongest AND, OR and main interactions, on the picture or by the players' names."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from jobs.schemas import Explanation, Interaction
from worker.render.arrays import Floats
from worker.render.interaction_rows import MOST_ROWS, interaction_rows
from worker.render.orders import inputs
from worker.render.panels import MOST_PANELS, panels
from worker.render.players import player_names
from worker.render.png import encode
from worker.render.sheet import Block, heading, inner_width, lines, sheet
from worker.render.signs import MEANINGS, strongest
from worker.render.text import amount, number

_OF_LOGIC = ("and", "or", "main")


def interactions(explanation: Explanation, pixels: Floats | None) -> bytes:
    """Draw them as PNG bytes.

    Raises:
        ValueError: A strength is not finite.
    """
    on_picture = "player_labels" in explanation.arrays
    drawn = strongest(explanation.interactions, MOST_PANELS if on_picture else MOST_ROWS)
    block = _panels(explanation, drawn, pixels) if on_picture else _rows(explanation, drawn)
    width = inner_width(block.width)
    title = heading(_title(explanation, len(drawn)), explanation, width)
    notes = lines(_notes(explanation, drawn, on_picture=on_picture), width)
    return encode(sheet([title, block, notes]))


def _panels(explanation: Explanation, drawn: Sequence[Interaction], pixels: Floats | None) -> Block:
    return panels(drawn, np.asarray(explanation.arrays["player_labels"]), pixels, player_names(explanation.players))


def _rows(explanation: Explanation, drawn: Sequence[Interaction]) -> Block:
    names = player_names(explanation.players)
    return interaction_rows(drawn, names, running_text=explanation.players.kind == "token")


def _title(explanation: Explanation, drawn: int) -> str:
    total = len(explanation.interactions)
    if not drawn:
        return "No interaction between the inputs stands out"
    if drawn == 1:
        return "The one interaction in the answer" if total == 1 else "The strongest interaction"
    return f"All {drawn} interactions in the answer" if drawn == total else f"The {drawn} strongest interactions"


def _notes(explanation: Explanation, drawn: Sequence[Interaction], *, on_picture: bool) -> list[str]:
    notes = []
    if drawn:
        notes.append(f"Strength: {explanation.unit}. Brown, +: it raises the output; blue, −: it lowers it")
    kinds = dict.fromkeys(interaction.kind for interaction in drawn)
    notes.append(". ".join(meaning for kind, meaning in MEANINGS.items() if kind in kinds))
    if drawn:
        notes.append(_reading(explanation, drawn, on_picture=on_picture))
    notes.append(". ".join(_how_many(explanation, drawn)))
    return [f"{note}." for note in notes if note]


def _reading(explanation: Explanation, drawn: Sequence[Interaction], *, on_picture: bool) -> str:
    if not on_picture:
        return (
            "Written: the words that play, in order; marked: the members" if explanation.players.kind == "token" else ""
        )
    text = "Bright and outlined: the members; dim: everything else"
    return f"{text}. A broken line goes around each member of an OR" if _any(drawn, "or") else text


def _how_many(explanation: Explanation, drawn: Sequence[Interaction]) -> list[str]:
    total, orders = len(explanation.interactions), explanation.orders
    texts = [f"Drawn: {len(drawn)} of the {total:,} in the answer"] if len(drawn) < total else []
    if orders is not None:
        average = ", on average over the inputs" if inputs(explanation) > 1 else ""
        salient = f"Salient, stronger than {number(orders.threshold)}: {amount(orders.salient_count)}"
        logic = all(interaction.kind in _OF_LOGIC for interaction in explanation.interactions)
        texts.append(salient + (f" of {_possible(explanation):,} possible ones" if logic else "") + average)
    return texts


def _possible(explanation: Explanation) -> int:
    """Every set with an AND and an OR; the two of a single player are the same."""
    n = math.prod(explanation.players.shape)
    return int(2 ** (n + 1)) - n - 2


def _any(drawn: Sequence[Interaction], kind: str) -> bool:
    return any(interaction.kind == kind for interaction in drawn)
