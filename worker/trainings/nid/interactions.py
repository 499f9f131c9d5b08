"""Pairs and sets of a NID training as interactions: strength, rank and how far trials, L1 weights and others agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import JsonValue

from jobs.schemas import Interaction
from worker.trainings.nid.comparators import Compared
from worker.trainings.nid.found import Found
from worker.trainings.nid.verdict import Floats


def interactions(found: Found) -> tuple[Interaction, ...]:
    """Return the first pairs, then the first sets."""
    return (*_pairs(found), *_sets(found))


def _pairs(found: Found) -> list[Interaction]:
    pairs = found.pairs
    ranks, selected = pairs.ranks, (pairs.ranks <= found.params.top).sum(0)
    others = [(one, one.ranks) for one in found.others if one.strengths is not None]
    return [
        _interaction(
            "pair", pairs.members[place].tolist(), float(pairs.strength[place]), rank, pairs.trials[:, place],
            pairs.l1[:, place], int(selected[place]),
            {
                "trial_ranks": ranks[:, place].tolist(),
                "rank_range": [int(ranks[:, place].min()), int(ranks[:, place].max())],
                "others": {one.method: _beside(one, theirs, place) for one, theirs in others},
            },
        )
        for rank, place in enumerate(pairs.order[: found.params.most].tolist(), start=1)
    ]  # fmt: skip


def _beside(other: Compared, ranks: Sequence[int | None], place: int) -> dict[str, JsonValue]:
    rank = ranks[place]
    known = other.strengths is not None and rank is not None
    return {"strength": float(other.strengths[place]) if known else None, "rank": rank}  # type: ignore[index]


def _sets(found: Found) -> list[Interaction]:
    return [
        _interaction("set", one.members, one.strength, rank, one.trials, one.l1, one.selected, {})
        for rank, one in enumerate(found.sets[: found.params.most], start=1)
    ]


def _interaction(
    kind: Any, members: Sequence[int], strength: float, rank: int, trials: Floats, l1: Floats, selected: int,
    more: dict[str, JsonValue],
) -> Interaction:  # fmt: skip
    error = float(trials.std(ddof=1)) / len(trials) ** 0.5 if len(trials) > 1 else None
    details: dict[str, JsonValue] = {
        "rank": rank,
        "selected_in": selected,
        "trials": len(trials),
        "over_trials": [float(trials.min()), float(trials.max())],
        "over_l1": [float(l1.min()), float(l1.max())],
        **more,
    }
    return Interaction(
        kind=kind, members=tuple(members), order=len(members), strength=strength, standard_error=error, details=details
    )
