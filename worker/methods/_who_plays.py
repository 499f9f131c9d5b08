"""Who plays: the parameters' choice of players, as labels over the input or a feature map, with names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

from worker.methods import _listed_players, _players
from worker.methods._game_params import GameParams
from worker.methods._game_rules import DEFAULT_COUNT
from worker.methods._priors import segments
from worker.methods._registry import Subject
from worker.methods._seats import Seats, refused

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
    if len(fitting) == 1:
        return fitting[0]
    if params.layer is not None:
        return "cells"
    return "regions" if params.prior == "given" else _whole_grid(params)


def _whole_grid(params: GameParams) -> Resolved:
    if params.count is not None:
        raise refused("count", "expected no count for the cells of a grid: set grid_rows and grid_columns, or players")
    return "grid"


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
            return params.count or len(_listed_players.word_numbers(subject))
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
            return _listed_players.columns(subject, params, generator)
        case "words":
            return _listed_players.words(subject, params, generator)


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
