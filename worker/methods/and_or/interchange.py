"""A logical model as files for other tools: its AND part as a Möbius transform, its OR part under a name of its own.

The AND part is a game's Möbius transform as shapiq understands it, so that its conversions and plots apply. An OR
interaction is not: shapiq's dual, Co-Moebius, sums over supersets. So the OR part keeps the format, but has an index
that no library mistakes for another.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from worker.methods._indices import IndexValues
from worker.methods._interchange import to_shapiq
from worker.methods._transforms import player_count

OR_INDEX = "OR"

MOST_SETS = 1 << 16
"""Sets in a file, the strongest; shapiq holds each as a Python tuple."""

_AND_MEANING = (
    "AND interactions of a sparse logical model. The network's output in a state is, within the noise band, the value "
    "of the empty set, plus every value here whose players are all present, plus every value of or.json of which at "
    "least one player is present."
)
_OR_MEANING = (
    "OR interactions of a sparse logical model: a value counts in every state in which at least one of its players is "
    "present. No index of shapiq means this, and its conversions and plots would read the values as AND interactions; "
    "add them to the Möbius values of moebius.json as described there."
)


def documents(atoms: Tensor, bias: float, indices: Iterable[IndexValues], *, evaluations: int) -> dict[str, Any]:
    """Return the JSON documents of an answer by name; see `jobs.artifact_names.DOCUMENTS`.

    Args:
        atoms: `(2, 2^n)`, AND then OR interactions.
        bias: The logical model's value where all players are masked.
        indices: Computed from the same table.
        evaluations: What the table cost.
    """
    conjunctions = _sparse("Moebius", atoms[0], bias)
    disjunctions = _sparse(OR_INDEX, atoms[1], 0.0)
    return {
        "moebius": to_shapiq(conjunctions, evaluations=evaluations, description=_told(_AND_MEANING, atoms[0])),
        "or": to_shapiq(disjunctions, evaluations=evaluations, description=_told(_OR_MEANING, atoms[1]), smallest=2),
        **{found.index.lower(): to_shapiq(found, evaluations=evaluations) for found in indices},
    }


def _sparse(index: str, strengths: Tensor, baseline_value: float) -> IndexValues:
    """Keep the sets whose strength is not 0, of which at most `MOST_SETS`."""
    n = player_count(strengths)
    places = _strongest(strengths)[:MOST_SETS]
    sets = [tuple(player for player in range(n) if place >> player & 1) for place in places.tolist()]
    order = sorted(range(len(sets)), key=lambda at: (len(sets[at]), sets[at]))
    return IndexValues(
        index=index, players=n, order=n, sets=tuple(sets[at] for at in order), values=strengths[places[order]],
        baseline_value=baseline_value,
    )  # fmt: skip


def _strongest(strengths: Tensor) -> Tensor:
    """Return the indices of all sets but ∅ whose strength is not 0, strongest first."""
    sizes = strengths.abs().clone()
    sizes[0] = 0.0
    order = sizes.argsort(descending=True, stable=True)
    return order[: int((sizes > 0).sum())]


def _told(meaning: str, strengths: Tensor) -> str:
    left = _strongest(strengths)[MOST_SETS:]
    if not len(left):
        return meaning
    weight = float(strengths[left].abs().sum())
    return (
        f"{meaning} Only the {MOST_SETS} strongest are here; {len(left)} others have a total strength of {weight:.3g}."
    )
