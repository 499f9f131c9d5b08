"""Index values as the JSON of shapiq's `InteractionValues`, written and read without that library.

The format, the same in shapiq 1.4 to 1.6: `{"metadata": {...}, "data": {"0,3": 0.25, ...}}`, players joined by
commas, `Empty` for the empty set; other fields beside these describe the file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from worker.methods._games import Game
from worker.methods._indices import IndexValues

_EMPTY = "Empty"
_WITH_EMPTY = ("SV", "k-SII", "STII", "FSII", "Moebius")
"""Indices that add up to v(N) - v(∅); with these the empty set stands for v(∅)."""

# Python reads "1_0" and other alphabets' digits as numbers too.
_SET = re.compile(r"[0-9]{1,4}(,[0-9]{1,4})*", re.ASCII)


def to_shapiq(
    found: IndexValues, *, evaluations: int | None = None, description: str | None = None, smallest: int = 1
) -> dict[str, Any]:
    """Return the JSON object that `shapiq.InteractionValues.load` reads from a file.

    Args:
        evaluations: What the table cost, for the metadata.
        description: What a reader of the file has to know.
        smallest: Size of the smallest sets that the index has values for, where it has none for the empty set.
    """
    with_empty = found.index in _WITH_EMPTY
    empty = {_EMPTY: found.baseline_value} if with_empty else {}
    data = {_key(members): value for members, value in zip(found.sets, found.values.tolist(), strict=True)}
    return {
        "object_name": "InteractionValues",
        "data_type": "interaction_values",
        "description": description,
        "metadata": {
            "n_players": found.players,
            "index": found.index,
            "max_order": found.order,
            "min_order": 0 if with_empty else smallest,
            "estimated": False,
            "estimation_budget": evaluations,
            "baseline_value": found.baseline_value,
        },
        "data": {**empty, **data},
    }


def from_shapiq(document: Mapping[str, Any]) -> IndexValues:
    """Read what `to_shapiq` or `shapiq.InteractionValues.save` wrote; sets that are missing stay missing.

    Raises:
        ValueError: No such document, or one that contradicts itself.
    """
    try:
        metadata = document["metadata"]
        values = {key: float(value) for key, value in document["data"].items()}
        players, order = _count(metadata["n_players"]), _count(metadata["max_order"])
        baseline_value = float(metadata["baseline_value"])
        index = str(metadata["index"])
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise ValueError(f"expected the JSON of shapiq's InteractionValues, got a document without {error}") from error
    _check_finite({**values, "baseline_value": baseline_value})
    by_members = _by_members(values)
    _check_sets(by_members, players=players, order=order)
    sets = tuple(sorted((members for members in by_members if members), key=lambda members: (len(members), members)))
    return IndexValues(
        index=index, players=players, order=order, sets=sets, baseline_value=baseline_value,
        values=torch.tensor([by_members[members] for members in sets], dtype=torch.float64),
    )  # fmt: skip


def value_function(game: Game) -> Callable[[NDArray[np.bool_]], NDArray[np.float64]]:
    """Return a game as shapiq's games and approximators take it: `(B, n)` bool coalitions to `(B,)` float64 values."""
    return lambda coalitions: game(torch.from_numpy(np.ascontiguousarray(coalitions))).numpy()


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"a whole number above 0: {value!r}")
    return value


def _check_finite(values: Mapping[str, float]) -> None:
    for key, value in values.items():
        if not math.isfinite(value):
            raise ValueError(f"expected finite values, got {value} at {key[:100]!r}")


def _by_members(values: Mapping[str, float]) -> dict[tuple[int, ...], float]:
    found: dict[tuple[int, ...], float] = {}
    for key, value in values.items():
        members = _members(key)
        if members in found:
            raise ValueError(f"expected every set once, got {key[:100]!r} again")
        found[members] = value
    return found


def _check_sets(sets: Mapping[tuple[int, ...], float], *, players: int, order: int) -> None:
    for members in sets:
        if len(members) > order or len(set(members)) < len(members):
            raise ValueError(f"expected sets of at most {order} different players, got {_key(members)[:100]!r}")
        if members and members[-1] >= players:
            raise ValueError(f"expected players 0 to {players - 1}, got {members[-1]}")


def _key(members: tuple[int, ...]) -> str:
    return ",".join(str(player) for player in members)


def _members(key: str) -> tuple[int, ...]:
    if key == _EMPTY:
        return ()
    if not _SET.fullmatch(key):
        raise ValueError(f"expected players joined by commas, got {key[:100]!r}")
    return tuple(sorted(int(player) for player in key.split(",")))
