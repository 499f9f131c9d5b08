"""The strongest interactions of a picture's players: a panel each, after one that says who the players are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from jobs.schemas import Interaction
from worker.render.arrays import Floats, Integers, Picture
from worker.render.colours import INK, MUTED, PAPER, of_sign
from worker.render.sheet import TEXT_SIZE, Block, blank, framed
from worker.render.signs import BADGE_WIDTH, badge, joint, strength_bar, strength_text, write_right
from worker.render.spotlight import borders, centre, resized_labels, resized_picture, spotlight
from worker.render.text import count, fit, width, write

MOST_PANELS = 11
COLUMNS = 4
SIDE = 240
_GAP = 18
_CAPTION = 66
_NAME_SIZE = 12
_LONGEST_NAME = 42


def panels(interactions: Sequence[Interaction], labels: Integers, pixels: Floats | None, names: Sequence[str]) -> Block:
    """Draw the players and, in reading order, the interactions.

    Args:
        labels: `(height, width)`, the player of every pixel, -1 for none.
        pixels: `(height, width, 3)` in [0, 1]; None where there is no picture.
        names: One a player.
    """
    owner = resized_labels(labels, SIDE)
    picture = np.full((*owner.shape, 3), 200, np.uint8) if pixels is None else resized_picture(pixels, SIDE)
    tags = _tags(names)
    largest = max((abs(interaction.strength) for interaction in interactions), default=0.0)
    drawn = [_players(picture, owner, tags)]
    drawn += [_panel(picture, owner, interaction, largest, tags) for interaction in interactions]
    return _tiled(drawn)


def _tags(names: Sequence[str]) -> list[str]:
    """Names where all are short enough to be written on the picture, else numbers."""
    if all(width(fit(name, _NAME_SIZE, SIDE), _NAME_SIZE) <= _LONGEST_NAME for name in names):
        return list(names)
    return [str(player) for player in range(len(names))]


def _players(picture: Picture, owner: Integers, tags: Sequence[str]) -> Block:
    drawn = picture.copy()
    drawn[borders(owner, 2)] = INK
    drawn[borders(owner, 1)] = PAPER
    image = Image.fromarray(drawn)
    for player, tag in enumerate(tags):
        place = centre(owner, player)
        if place is not None:
            _tag(image, place, fit(tag, _NAME_SIZE, _LONGEST_NAME))
    return _captioned(np.asarray(image), lambda block, top: _about_players(block, top, owner, len(tags)))


def _about_players(block: Block, top: int, owner: Integers, players: int) -> None:
    write(block, (0, top), fit(f"The {count(players, 'player')}", TEXT_SIZE, SIDE), TEXT_SIZE, INK)
    if (owner < 0).any():
        write(block, (0, top + 19), fit("the rest is always present", TEXT_SIZE, SIDE), TEXT_SIZE, MUTED)


def _tag(image: Block, place: tuple[int, int], text: str) -> None:
    half = width(text, _NAME_SIZE) // 2 + 4
    row, column = place
    column = min(max(column, half), image.width - 1 - half)
    row = min(max(row, 9), image.height - 10)
    ImageDraw.Draw(image).rounded_rectangle(
        (column - half, row - 9, column + half, row + 9), 4, fill=PAPER, outline=INK
    )
    write(image, (column - half + 4, row - 8), text, _NAME_SIZE, INK)


def _panel(picture: Picture, owner: Integers, interaction: Interaction, largest: float, tags: Sequence[str]) -> Block:
    drawn = spotlight(
        picture, owner, interaction.members, colour=of_sign(interaction.strength), dashed=interaction.kind == "or"
    )
    return _captioned(drawn, lambda block, top: _about(block, top, interaction, largest, tags))


def _about(block: Block, top: int, interaction: Interaction, largest: float, tags: Sequence[str]) -> None:
    badge(block, (0, top), interaction.kind)
    write(block, (BADGE_WIDTH + 8, top + 2), f"order {interaction.order}", TEXT_SIZE, MUTED)
    write_right(block, (SIDE, top + 2), strength_text(interaction.strength))
    strength_bar(block, (0, top + 27, SIDE - 1, top + 34), interaction.strength, largest)
    write(block, (0, top + 43), fit(_members(interaction, tags), TEXT_SIZE, SIDE), TEXT_SIZE, INK)


def _members(interaction: Interaction, tags: Sequence[str]) -> str:
    members = f" {joint(interaction.kind)} ".join(tags[member] for member in interaction.members)
    if not all(tag.isdecimal() for tag in tags):
        return members
    return f"player {members}" if interaction.order == 1 else f"players {members}"


def _captioned(picture: Picture, caption: Callable[[Block, int], None]) -> Block:
    image = framed(picture)
    block = blank(SIDE + 2, image.height + _CAPTION)
    block.paste(image, ((block.width - image.width) // 2, 0))
    caption(block, image.height + 6)
    return block


def _tiled(drawn: Sequence[Block]) -> Block:
    columns = min(COLUMNS, len(drawn))
    rows = -(-len(drawn) // columns)
    across, down = drawn[0].width + _GAP, drawn[0].height + _GAP
    block = blank(columns * across - _GAP, rows * down - _GAP)
    for at, one in enumerate(drawn):
        block.paste(one, (at % columns * across, at // columns * down))
    return block
