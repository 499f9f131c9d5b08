"""How the networks' ranking of pairs and those of other methods agree."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import JsonValue

from worker.trainings.nid.comparators import UNITS, Compared, agreement, shared
from worker.trainings.nid.found import Found
from worker.trainings.nid.verdict import auc

FIRST = 10
"""Pairs at the head of two rankings of which the shared ones are counted."""


def comparison(found: Found) -> list[JsonValue]:
    """Describe every method that was asked, also one that failed."""
    return [_described(one, found) for one in found.others]


def known_aucs(found: Found) -> dict[str, float | None]:
    """Return how well each method recovers known pairs, where some are known and all pairs were computed."""
    return {
        f"known_auc_{one.method.replace('-', '_')}": auc(one.strengths, found.truth)
        for one in found.others
        if found.known and one.strengths is not None and not np.isnan(one.strengths).any()
    }


def _described(one: Compared, found: Found) -> JsonValue:
    about: dict[str, JsonValue] = {
        "method": one.method, "unit": UNITS[one.method], "seconds": one.seconds, "how": one.said,
        "failed": one.strengths is None,
    }  # fmt: skip
    if one.strengths is None:
        return about
    first = min(FIRST, max(1, len(one.strengths) // 2))
    return {
        **about,
        "pairs": int((~np.isnan(one.strengths)).sum()),
        "rank_correlation": agreement(found.pairs.strength, one.strengths),
        "first": first,
        "shared": shared(found.pairs.strength, one.strengths, first=first),
        "first_pairs": _names(one.strengths, found, first),
        "known_auc": known_aucs(found).get(f"known_auc_{one.method.replace('-', '_')}"),
    }


def _names(strengths: Any, found: Found, first: int) -> list[JsonValue]:
    names = found.material.fields.names
    order = np.argsort(-np.nan_to_num(strengths, nan=-np.inf), kind="stable")[:first]
    return [[names[member] for member in found.pairs.members[place].tolist()] for place in order.tolist()]
