"""fields.png: what every two fields do together or, without fields, every two of the most frequent features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from worker.render.arrays import Floats
from worker.render.colours import INK
from worker.render.pair_matrix import MOST, has_words, pair_matrix, whole_scale
from worker.render.png import encode
from worker.render.scales import colour_bar
from worker.render.sheet import NARROWEST, TITLE_SIZE, Block, blank, lines, sheet
from worker.render.text import number, write


def fields(names: Sequence[str], strengths: Floats, kept: Floats, support: Floats, unit: str) -> bytes:
    """Draw pairs of fields as PNG bytes.

    Args:
        strengths: `(fields, fields)`: mean |contribution| of a pair of features of the two.
        kept: `(fields, fields)`: share of such pairs whose gate is open.
        support: `(fields, fields)`: how many such pairs there are.
    """
    shown = _strongest(strengths)
    part = np.ix_(shown, shown)
    words = [[f"{100 * share:.0f}%" for share in row] for row in kept[part]]
    scale = whole_scale(strengths[part])
    grid = pair_matrix(strengths[part], [names[one] for one in shown], scale, words=words, absent=support[part] == 0)
    room = max(NARROWEST, grid.width)
    notes = [
        f"Colour: mean size of a contribution, in {unit}, over the training rows. The diagonal: features with "
        "themselves." + (" In a cell: the share of its edges that are kept." if has_words(len(shown)) else "")
    ]
    if (support[part] == 0).any():
        notes.append("A dot: no training row has known features of both.")
    if len(shown) < len(names):
        notes.append(f"The {len(shown)} fields with the strongest pairs, of {len(names)}; all are in values.npz.")
    return encode(sheet([_title("What fields do together", room), grid, colour_bar(scale, room), lines(notes, room)]))


def frequent_features(found: Mapping[str, Any], unit: str) -> bytes:
    """Draw pairs of features as PNG bytes.

    Args:
        found: As in features.json.
    """
    contribution = np.asarray(found["contribution"], dtype=np.float64)[:MOST, :MOST]
    support, gates = (np.asarray(found[name], dtype=np.float64)[:MOST, :MOST] for name in ("support", "gate"))
    names, scale = found["names"][:MOST], whole_scale(contribution)
    words = [[number(float(f"{value:.1g}")) for value in row] for row in contribution]
    absent = (support == 0) | (gates == 0)
    grid = pair_matrix(contribution, names, scale, words=words, absent=absent)
    room = max(NARROWEST, grid.width)
    notes = [
        f"Colour: mean contribution, in {unit}, over the training rows that hold both. The diagonal: a feature alone.",
        f"The {len(names)} features in most training rows.",
    ]
    if absent.any():
        notes.append("A dot: no training row holds both, or the pair's gate is closed.")
    title = _title("What the most frequent features do together", room)
    return encode(sheet([title, grid, colour_bar(scale, room), lines(notes, room)]))


def _strongest(strengths: Floats) -> list[int]:
    return sorted(np.argsort(-strengths.max(axis=1), kind="stable")[:MOST].tolist())


def _title(text: str, room: int) -> Block:
    block = blank(room, TITLE_SIZE + 8)
    write(block, (0, 0), text, TITLE_SIZE, INK)
    return block
