"""Index values as the JSON of shapiq's `InteractionValues`, written and read without that library.

The format, as of shapiq 1.4: `{"metadata": {...}, "data": {"0,3": 0.25, ...}}`, players joined by commas,
`Empty` for the empty set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from worker.methods._indices import IndexValues

_EMPTY = "Empty"
_EFFICIENT = ("SV", "k-SII", "STII", "FSII")
"""Indices that add up to v(N) - v(∅); with these the empty set stands for v(∅)."""


def to_shapiq(found: IndexValues, *, evaluations: int | None = None) -> dict[str, Any]:
    """Return the JSON object that `shapiq.InteractionValues.load` reads from a file.

    Args:
        evaluations: What the table cost, for the metadata.
    """
    efficient = found.index in _EFFICIENT
    empty = {_EMPTY: found.baseline_value} if efficient else {}
    data = {_key(members): float(value) for members, value in zip(found.sets, found.values, strict=True)}
    return {
        "object_name": "InteractionValues",
        "data_type": "interaction_values",
        "metadata": {
            "n_players": found.players,
            "index": found.index,
            "max_order": found.order,
            "min_order": 0 if efficient else 1,
            "estimated": False,
            "estimation_budget": evaluations,
            "baseline_value": found.baseline_value,
        },
        "data": {**empty, **data},
    }


def from_shapiq(document: Mapping[str, Any]) -> IndexValues:
    """Read what `to_shapiq` or `shapiq.InteractionValues.save` wrote; sets that are missing stay missing.

    Raises:
        ValueError: No such document.
    """
    try:
        metadata = document["metadata"]
        values = {_members(key): float(value) for key, value in document["data"].items()}
        players, order = int(metadata["n_players"]), int(metadata["max_order"])
        baseline_value = float(metadata["baseline_value"])
        index = str(metadata["index"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"expected the JSON of shapiq's InteractionValues, got a document without {error}") from error
    sets = tuple(sorted((members for members in values if members), key=lambda members: (len(members), members)))
    if any(not 0 <= player < players for members in sets for player in members):
        raise ValueError(f"expected players 0 to {players - 1}, got one outside")
    return IndexValues(
        index=index, players=players, order=order, sets=sets, baseline_value=baseline_value,
        values=torch.tensor([values[members] for members in sets], dtype=torch.float64),
    )  # fmt: skip


def _key(members: tuple[int, ...]) -> str:
    return ",".join(str(player) for player in members)


def _members(key: str) -> tuple[int, ...]:
    return tuple(sorted(int(player) for player in key.split(","))) if key != _EMPTY else ()
