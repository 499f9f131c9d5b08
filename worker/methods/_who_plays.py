"""Who plays: the parameters' choice of players, as labels over the input or a feature map, with names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from jobs.errors import FieldError, InvalidInput, InvalidParameters
from worker.methods import _players
from worker.methods._game_params import GameParams
from worker.methods._game_rules import DEFAULT_COUNT
from worker.methods._priors import segments
from worker.methods._registry import Subject

Resolved = Literal["grid", "cells", "regions", "columns", "words"]
Kind = Literal["patch", "region", "feature", "token"]

KINDS: dict[Resolved, Kind] = {
    "grid": "patch", "cells": "patch", "regions": "region", "columns": "feature", "words": "token",
}  # fmt: skip

_HINTS: dict[Resolved, str] = {
    "grid": "lower grid_rows or grid_columns",
    "cells": "lower count",
    "regions": "lower count",
    "columns": "set count, or put columns together in groups",
    "words": "set count, or put words together in groups",
}


@dataclass(frozen=True, kw_only=True)
class Seats:
    """The players.

    Attributes:
        labels: See `worker.methods._players`.
        names: One a player.
        notes: What a reader must know of who does not play.
    """

    labels: Tensor
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def resolve(subject: Subject, params: GameParams) -> Resolved:
    """Return who plays, with `auto` decided.

    Raises:
        InvalidParameters: Players that inputs of this kind do not have.
    """
    if subject.words is not None:
        fitting: tuple[Resolved, ...] = ("words",)
    elif subject.input.ndim != 3:
        fitting = ("columns",)
    else:
        fitting = ("grid", "cells", "regions")
        if params.groups is not None:
            raise refused("groups", "expected groups for columns and words only, got them for a picture")
    if params.players != "auto":
        if params.players not in fitting:
            raise refused("players", f"expected players {' or '.join(fitting)} for this input, got {params.players}")
        return params.players
    if len(fitting) > 1 and params.layer is not None:
        return "cells"
    return "regions" if len(fitting) > 1 and params.prior == "given" else fitting[0]


def announced(subject: Subject, params: GameParams, who: Resolved) -> int | None:
    """Count the players as far as the parameters and the input's size tell; None where a picture must be cut first."""
    if params.groups is not None:
        return len(params.groups)
    match who:
        case "grid":
            return params.grid_rows * params.grid_columns
        case "columns":
            return params.count or len(subject.input)
        case "words":
            return params.count or len(_words(subject))
        case "cells":
            return params.count or DEFAULT_COUNT
        case "regions":
            return params.count


def seats(subject: Subject, params: GameParams, who: Resolved, *, shape: tuple[int, ...]) -> Seats:
    """Return the players.

    Args:
        shape: Of what is masked: the input, or a layer's feature map.

    Raises:
        InvalidInput: The prior needs a picture, and the subject has none.
        InvalidParameters: More players than there are cells, regions, columns or words to be.
    """
    generator = torch.Generator().manual_seed(subject.seed)
    match who:
        case "grid":
            return _grid(params, *shape[-2:])
        case "cells":
            return _cells(params, generator, *shape[-2:])
        case "regions":
            return _regions(subject, params, generator)
        case "columns":
            return _columns(subject, params, generator)
        case "words":
            return _of_words(subject, params, generator)


def check_cells(params: GameParams, who: Resolved) -> None:
    """Check that there are as many cells as are to be drawn.

    Raises:
        InvalidParameters: With the number that there are.
    """
    inner = max(params.cell_grid - 2 * params.cell_border, 0)
    if who == "cells" and (params.count or DEFAULT_COUNT) > inner * inner:
        raise refused(
            "count",
            f"expected at most {inner * inner} players, the cells of the central {inner} x {inner} block, "
            f"got {params.count or DEFAULT_COUNT}",
        )


def hint(who: Resolved) -> str:
    """Say how to have fewer players."""
    return _HINTS[who]


def refused(parameter: str, detail: str) -> InvalidParameters:
    """Return an error about one parameter."""
    return InvalidParameters(detail, errors=[FieldError(pointer=f"/params/{parameter}", detail=detail)])


def _grid(params: GameParams, height: int, width: int) -> Seats:
    labels = _players.grid_cells(height, width, rows=params.grid_rows, columns=params.grid_columns)
    return Seats(labels=labels, names=_cell_names(range(params.grid_rows * params.grid_columns), params.grid_columns))


def _cells(params: GameParams, generator: torch.Generator, height: int, width: int) -> Seats:
    n, per_side, border = params.count or DEFAULT_COUNT, params.cell_grid, params.cell_border
    labels = _players.central_cells(height, width, cells=per_side, border=border, players=n, generator=generator)
    grid = _players.grid_cells(height, width, rows=per_side, columns=per_side)
    places = [int(grid[labels == player][0]) for player in range(n)]
    inner = per_side - 2 * border
    note = (
        f"{n} of the {inner * inner} central cells of a {per_side} x {per_side} grid play, drawn by the seed; all "
        "others are always present."
    )
    return Seats(labels=labels, names=_cell_names(places, per_side), notes=(note,))


def _cell_names(places: Sequence[int], columns: int) -> tuple[str, ...]:
    return tuple(f"row {place // columns + 1}, column {place % columns + 1}" for place in places)


def _regions(subject: Subject, params: GameParams, generator: torch.Generator) -> Seats:
    labels = torch.from_numpy(segments(subject, params)).long()
    areas = torch.bincount(labels[labels >= 0])
    there = len(areas)
    wanted = params.count or (there if params.prior == "given" else min(there, DEFAULT_COUNT))
    if wanted > there:
        more = "; raise slic_segments for more regions" if params.prior == "slic" else ""
        raise refused("count", f"expected at most {there} players, one a region of this picture, got {wanted}{more}")
    if wanted == there:
        return Seats(labels=labels, names=_region_names(range(there)))
    order = torch.randperm(there, generator=generator) if params.region_choice == "random" else (-areas).argsort()
    chosen = sorted(order[:wanted].tolist())
    share = float(areas[chosen].sum()) / labels.numel()
    which = "drawn by the seed" if params.region_choice == "random" else "the largest"
    note = f"{wanted} of {there} regions play, {which}, {share:.0%} of the picture; the rest is always present."
    # Your own regions keep their numbers; those of a segmentation mean nothing to anybody.
    named = chosen if params.prior == "given" else range(wanted)
    return Seats(labels=_players.chosen(labels, chosen), names=_region_names(named), notes=(note,))


def _region_names(regions: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"region {region}" for region in regions)


def _columns(subject: Subject, params: GameParams, generator: torch.Generator) -> Seats:
    length = len(subject.input)
    names = subject.names or tuple(f"feature {column + 1}" for column in range(length))
    groups, notes = _grouped(params, length, generator, what="columns", numbers=_column_numbers(params, names))
    labels = _players.groups(groups, length=length)
    titles = tuple(" + ".join(names[column] for column in group) for group in groups)
    return Seats(labels=labels, names=titles, notes=notes)


def _column_numbers(params: GameParams, names: Sequence[str]) -> list[list[int]] | None:
    """Return the groups by number."""
    if params.groups is None:
        return None
    by_name = {name: number for number, name in enumerate(names)}
    named = [member for group in params.groups for member in group if isinstance(member, str)]
    unknown = [name for name in named if name not in by_name]
    if unknown:
        raise refused("groups", f"expected names of columns, such as {names[0]!r}, got {unknown[0]!r}")
    return [[by_name[member] if isinstance(member, str) else member for member in group] for group in params.groups]


def _grouped(
    params: GameParams, length: int, generator: torch.Generator, *, what: str, numbers: list[list[int]] | None
) -> tuple[list[list[int]], tuple[str, ...]]:
    """Return the members of every player among `length` columns or words, and what to note of the others."""
    if numbers is not None:
        rest = length - len({member for group in numbers for member in group})
        return numbers, (f"{rest} {what} play in no group and are always present.",) if rest else ()
    if params.count is None or params.count == length:
        return [[member] for member in range(length)], ()
    if params.count > length:
        raise refused("count", f"expected at most {length} players, one each of the {what}, got {params.count}")
    drawn = torch.randperm(length, generator=generator)[: params.count].sort().values.tolist()
    return [[member] for member in drawn], (
        f"{params.count} of {length} {what} play, drawn by the seed; the others are always present.",
    )


def _words(subject: Subject) -> list[int]:
    """List the numbers of the words."""
    return sorted({word for word in subject.words or () if word is not None})


def _of_words(subject: Subject, params: GameParams, generator: torch.Generator) -> Seats:
    there = _words(subject)
    if not there:
        raise InvalidInput("expected a text with a word that can play, got only tokens without a word")
    groups, notes = _grouped(params, len(there), generator, what="words", numbers=_word_places(params, there))
    by_word = [[there[place] for place in group] for group in groups]
    owner = {word: player for player, group in enumerate(by_word) for word in group}
    labels = torch.tensor([-1 if word is None else owner.get(word, -1) for word in subject.words or ()])
    titles = tuple(" + ".join(_text(subject, word) for word in group) for group in by_word)
    return Seats(labels=labels, names=titles, notes=notes)


def _word_places(params: GameParams, there: Sequence[int]) -> list[list[int]] | None:
    """Return the groups as places among the words that there are."""
    if params.groups is None:
        return None
    place = {word: at for at, word in enumerate(there)}
    flat = [member for group in params.groups for member in group]
    if any(member not in place for member in flat) or len(set(flat)) < len(flat):
        raise refused("groups", f"expected different numbers of words, from {there[0]} to {there[-1]}, got {flat}")
    return [[place[member] for member in group if isinstance(member, int)] for group in params.groups]


def _text(subject: Subject, word: int) -> str:
    """Return a word's tokens in one, with the mark of word pieces taken off where tokens are neighbours."""
    places = [place for place, other in enumerate(subject.words or ()) if other == word]
    texts = subject.names or tuple(str(int(id)) for id in subject.input)
    text = texts[places[0]]
    for before, place in pairwise(places):
        text += texts[place].removeprefix("##") if place == before + 1 else f" {texts[place]}"
    return text
