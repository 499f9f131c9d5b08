"""Index values that somebody else estimated, against the exact ones from the table: by how much were they off?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import JsonValue
from torch import Tensor

from jobs.errors import FieldError, InvalidParameters
from jobs.schemas import Check
from worker.methods._coalitions import coalitions, members
from worker.methods._indices import IndexValues, index_table
from worker.methods._interchange import from_shapiq
from worker.methods._shared_values import SharedMetadata, SharedValues
from worker.methods._transforms import orders, player_count

_WORST = 5


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Given values against exact ones, over all sets of the sizes that the index was asked for.

    Attributes:
        given, exact: `(sets,)` float64; a set that was not given counts as 0, as it does in shapiq.
        places: `(sets,)`, each set as bits.
        missing: How many of the sets were not given.
        baseline_value: v(∅) of the table.
    """

    metadata: SharedMetadata
    places: Tensor
    given: Tensor
    exact: Tensor
    missing: int
    baseline_value: float

    @property
    def largest_difference(self) -> float:
        return float((self.given - self.exact).abs().max())

    @property
    def rms_difference(self) -> float:
        return float((self.given - self.exact).square().mean().sqrt())

    @property
    def r_squared(self) -> float | None:
        """Share of the exact values' variance that the given ones explain; None where they do not vary."""
        spread = float((self.exact - self.exact.mean()).square().sum())
        return 1 - float((self.given - self.exact).square().sum()) / spread if spread > 0 else None


def read(values: SharedValues) -> IndexValues:
    """Read the values, which needs nothing of the game yet.

    Raises:
        InvalidParameters: They contradict themselves.
    """
    try:
        found = from_shapiq(values.model_dump())
    except ValueError as error:
        raise _refused("", str(error)) from error
    smallest, largest, players = values.metadata.min_order, found.order, found.players
    if not smallest <= largest <= players:
        detail = f"expected min_order <= max_order <= n_players, got {smallest}, {largest} and {players}"
        raise _refused("/metadata/max_order", detail)
    return found


def compare(values: SharedValues, table: Tensor) -> Comparison:
    """Compare values of an index with the exact ones, from `(2^n,)` values of the game.

    Raises:
        InvalidParameters: They contradict themselves, or are those of a game of other players.
    """
    n, found = player_count(table), read(values)
    if found.players != n:
        raise _refused("/metadata/n_players", f"expected values of {n} players, as here, got {found.players}")
    given, there = torch.zeros_like(table), torch.zeros(len(table), dtype=torch.bool)
    bits = torch.tensor([sum(1 << player for player in members) for members in found.sets], dtype=torch.int64)
    given[bits], there[bits] = found.values, True
    exact = index_table(table, values.metadata.index, order=found.order)
    sizes = orders(n)
    places = ((sizes >= max(values.metadata.min_order, 1)) & (sizes <= found.order)).nonzero().flatten()
    return Comparison(
        metadata=values.metadata, places=places, given=given[places], exact=exact[places],
        missing=int((~there[places]).sum()), baseline_value=float(table[0]),
    )  # fmt: skip


def details(found: Comparison, names: tuple[str, ...]) -> dict[str, JsonValue]:
    """Describe a comparison for the answer."""
    differences = (found.given - found.exact).abs()
    worst = differences.argsort(descending=True, stable=True)[:_WORST].tolist()
    return {
        "index": found.metadata.index,
        "max_order": found.metadata.max_order,
        "estimation_budget": found.metadata.estimation_budget,
        "sets": len(found.places),
        "missing": found.missing,
        "largest_difference": found.largest_difference,
        "rms_difference": found.rms_difference,
        "r_squared": found.r_squared,
        "baseline_difference": found.metadata.baseline_value - found.baseline_value,
        "worst": [_set(found, at, names) for at in worst],
    }


def check(found: Comparison) -> Check:
    """Say how well the given values agree; whether that is enough is not for this method to judge."""
    return Check(
        name="agreement-of-compare-with",
        value=found.r_squared,
        meaning=f"R² of the {found.metadata.index} values given in compare_with against the exact ones from all masked "
        f"states, over {len(found.places)} sets: 1 is equal, 0 no better than their mean. The largest difference is "
        f"{found.largest_difference:.3g}.",
    )


def _set(found: Comparison, at: int, names: tuple[str, ...]) -> JsonValue:
    present = coalitions(found.places[at][None], found.metadata.n_players)[0]
    chosen = members(present)
    return {
        "members": list[JsonValue](chosen),
        "players": [names[player] for player in chosen],
        "given": float(found.given[at]),
        "exact": float(found.exact[at]),
    }


def _refused(pointer: str, detail: str) -> InvalidParameters:
    return InvalidParameters(detail, errors=[FieldError(pointer=f"/params/compare_with{pointer}", detail=detail)])
