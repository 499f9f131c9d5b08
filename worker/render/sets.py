"""sets.png: every interacting set in its own colour on the grey photograph, with a table of ranks and scores.

Sets need not be connected: H-Sets returns thousands of scattered channel values. So every member pixel is tinted, and
a line is drawn around the places where a set is dense. Where sets share pixels or borders, their colours alternate.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jobs.schemas import Explanation, Interaction
from worker.render import colours
from worker.render.arrays import Floats, Integers, Masks, Picture
from worker.render.density import dense_area, density, edge
from worker.render.labels import Place, arrange, place_labels
from worker.render.maps import grey
from worker.render.png import encode
from worker.render.set_table import set_notes, set_table
from worker.render.sheet import enlarge, enlargement, framed, heading, inner_width, lines, sheet

# More are not told apart in one picture; the others are in result.json, and the table says so.
MOST_SETS = 14
_TINT = 0.6
_STRIPE = 6  # pixels of the picture
_HALO = 0.65


def sets(explanation: Explanation, pixels: Floats | None) -> bytes:
    """Draw the strongest sets of a picture's channel values, as PNG bytes."""
    shape = explanation.players.shape
    drawn = strongest(explanation.interactions)
    members = np.stack([member_pixels(interaction, shape) for interaction in drawn])  # (sets, height, width)
    factor = enlargement(*members.shape[1:])
    photograph = np.full((*members.shape[1:], 3), 200, np.uint8) if pixels is None else grey(pixels)
    densities = [density(mask) for mask in members]
    picture = _with_outlines(_tinted(photograph, members, factor), densities, members, factor)
    block = framed(_labelled(picture, drawn, densities, members, factor))
    width = inner_width(block.width)
    notes = lines(set_notes(explanation, len(drawn)), width)
    title = heading(_title(explanation.interactions), explanation, width)
    return encode(sheet([title, block, set_table(drawn, members, width), notes]))


def strongest(interactions: Sequence[Interaction]) -> list[Interaction]:
    """The sets to draw, by decreasing absolute strength; equal ones stay in the method's order."""
    return sorted(interactions, key=lambda interaction: -abs(interaction.strength))[:MOST_SETS]


def member_pixels(interaction: Interaction, shape: tuple[int, ...]) -> Masks:
    """`(height, width)`: the pixels of which a set holds at least one channel value."""
    members = np.zeros(shape, dtype=bool)
    members.reshape(-1)[np.asarray(interaction.members, dtype=np.intp)] = True
    return np.asarray(members.any(axis=0))


def _tinted(photograph: Picture, members: Masks, factor: int) -> Picture:
    picture = enlarge(photograph, factor)
    owner = _owner(members.repeat(factor, axis=2).repeat(factor, axis=1))
    inside = owner >= 0
    colour = _colours(len(members))[owner[inside]]
    picture[inside] = np.rint(_TINT * colour + (1 - _TINT) * picture[inside]).astype(np.uint8)
    return picture


def _with_outlines(picture: Picture, densities: Sequence[Floats], members: Masks, factor: int) -> Picture:
    areas = (dense_area(values, mask, factor) for values, mask in zip(densities, members, strict=True))
    lines = np.stack([edge(area) for area in areas])
    halo = edge(np.asarray(lines.any(axis=0)), thickness=2)
    picture[halo] = np.rint((1 - _HALO) * picture[halo]).astype(np.uint8)
    owner = _owner(lines)
    picture[owner >= 0] = _colours(len(members))[owner[owner >= 0]]
    return picture


def _labelled(
    picture: Picture, drawn: Sequence[Interaction], densities: Sequence[Floats], members: Masks, factor: int
) -> Picture:
    areas = [dense_area(values, mask, 1) for values, mask in zip(densities, members, strict=True)]
    weight = members.any(axis=0).astype(np.intp) + np.any(areas, axis=0)
    anchors = [_densest(values * mask, factor) for values, mask in zip(densities, members, strict=True)]
    labels = arrange(weight, anchors, [interaction.strength for interaction in drawn], factor)
    return place_labels(picture, anchors, labels)


def _densest(values: Floats, factor: int) -> Place:
    row, column = np.unravel_index(values.argmax(), values.shape)
    return int(row) * factor + factor // 2, int(column) * factor + factor // 2


def _owner(claims: Masks) -> Integers:
    """Which set a place shows: -1 for none, its only claimant, or all of them in turn in diagonal stripes."""
    owner = np.full(claims.shape[1:], -1, dtype=np.intp)
    rows, columns = np.nonzero(claims.any(axis=0))
    claimants = claims[:, rows, columns]  # (sets, places)
    turn = (rows + columns) // _STRIPE % claimants.sum(axis=0)
    owner[rows, columns] = (claimants.cumsum(axis=0) > turn).argmax(axis=0)
    return owner


def _colours(count: int) -> Picture:
    return np.array([colours.of_set(rank) for rank in range(count)], np.uint8)


def _title(interactions: Sequence[Interaction]) -> str:
    if len(interactions) == 1:
        return "The set of pixels that the model combines"
    return f"The {len(interactions)} sets of pixels that the model combines"
