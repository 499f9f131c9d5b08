"""Players: which numbers of an input each of them owns, as labels.

Labels are integers over the last axes of the input: `(height, width)` for `(channels, height, width)`, `(features,)`
for a row of a table, `(tokens,)` for a text. A number of label k belongs to player k; below 0 it belongs to nobody
and is always present. Regions of a picture come as such labels already (`worker.methods._regions`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from jobs.errors import InvalidParameters


def count(labels: Tensor) -> int:
    """Count the players.

    Raises:
        ValueError: There are none, or a player below the highest owns nothing.
    """
    owned = torch.unique(labels[labels >= 0]).tolist()
    if not owned or owned != list(range(len(owned))):
        raise ValueError(f"expected players 0, 1, … without a gap, got {owned}")
    return len(owned)


def grid_cells(height: int, width: int, *, rows: int, columns: int) -> Tensor:
    """Cut a picture or feature map into `rows` × `columns` cells, row by row, as equal as whole pixels allow.

    Raises:
        InvalidParameters: More cells than pixels on a side.
    """
    if not (1 <= rows <= height and 1 <= columns <= width):
        raise InvalidParameters(
            f"expected at most {height} x {width} cells, one a pixel of this map, got {rows} x {columns}"
        )
    down = torch.arange(height) * rows // height
    across = torch.arange(width) * columns // width
    return down[:, None] * columns + across


def chosen(labels: Tensor, regions: Sequence[int]) -> Tensor:
    """Let player k be region `regions[k]`; all other regions become background, which is always present.

    Raises:
        InvalidParameters: A region that is not there, or one twice.
    """
    there = set(torch.unique(labels).tolist())
    wrong = [region for region in regions if region < 0 or region not in there]
    if wrong or len(set(regions)) != len(regions):
        raise InvalidParameters(f"expected different regions among the {len(there - {-1})} there are, got {regions}")
    players = torch.full_like(labels, -1)
    for player, region in enumerate(regions):
        players[labels == region] = player
    return players


def central_cells(
    height: int, width: int, *, cells: int = 8, border: int = 1, players: int, generator: torch.Generator
) -> Tensor:
    """Draw players among the cells of the central block of a grid, as the AND-OR paper does (Appendix I.2).

    Args:
        cells: The map is cut into `cells` × `cells`.
        border: Rings of cells that never play.
        players: How many are drawn; sorted row by row.

    Raises:
        InvalidParameters: More players than cells in the block.
    """
    inner = max(cells - 2 * border, 0)
    if not 1 <= players <= inner * inner:
        raise InvalidParameters(
            f"expected 1 to {inner * inner} players, the cells of the central {inner} x {inner} block, got {players}"
        )
    drawn = torch.randperm(inner * inner, generator=generator)[:players].sort().values
    regions = (drawn // inner + border) * cells + drawn % inner + border
    return chosen(grid_cells(height, width, rows=cells, columns=cells), regions.tolist())


def groups(members: Sequence[Sequence[int]], *, length: int) -> Tensor:
    """Let player k own the columns, or tokens, `members[k]` of an input of `length`; the others are always present.

    Raises:
        InvalidParameters: An empty group, a column that is not there, or one in two groups.
    """
    flat = [column for group in members for column in group]
    if not all(members) or len(set(flat)) != len(flat) or any(not 0 <= column < length for column in flat):
        raise InvalidParameters(
            f"expected groups of different columns from 0 to {length - 1}, each with one at least, "
            f"got {[list(group) for group in members]}"
        )
    labels = torch.full((length,), -1)
    for player, group in enumerate(members):
        labels[list(group)] = player
    return labels


def words(word_of_token: Sequence[int | None], playing: Sequence[int] | None = None) -> Tensor:
    """Let player k be all tokens of word `playing[k]`; the other words are always present.

    Args:
        word_of_token: The number of the word that each token is part of; None for special tokens.
        playing: Default: every word, in order.

    Raises:
        InvalidParameters: A word that is not there, or one twice.
    """
    labels = torch.tensor([-1 if word is None else word for word in word_of_token])
    return chosen(labels, sorted(set(labels[labels >= 0].tolist())) if playing is None else list(playing))
