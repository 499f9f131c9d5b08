"""Everything that the answer of a NID training is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from worker.methods.nid.course import Fitted
from worker.trainings._parts import Parts
from worker.trainings.nid.comparators import Compared
from worker.trainings.nid.cutoff import Cutoff
from worker.trainings.nid.gate import Fit
from worker.trainings.nid.params import NidParams
from worker.trainings.nid.search import Material
from worker.trainings.nid.shapes import Shapes
from worker.trainings.nid.twins import Twins
from worker.trainings.nid.verdict import Judged, Pairs


@dataclass(frozen=True)
class Found:
    """Everything that an answer is made of."""

    params: NidParams
    material: Material
    parts: Parts
    fitted: Fitted
    best_l1: int
    fit: Fit
    pairs: Pairs
    sets: Sequence[Judged]
    cutoff: Cutoff | None
    shapes: Shapes | None
    others: tuple[Compared, ...]
    twins: Twins
    identifiers: tuple[str, ...]

    @property
    def networks(self) -> int:
        """How many could be read."""
        return len(self.pairs.networks)

    @property
    def known(self) -> list[tuple[int, ...]]:
        """Known interactions as indices of fields; one with a column that does not vary cannot be found."""
        place = {name: index for index, name in enumerate(self.material.fields.names)}
        return [tuple(sorted(place[name] for name in names)) for names in self.params.known if set(names) <= set(place)]

    @property
    def truth(self) -> Any:
        """`(pairs,)` bool: whether a known interaction holds the pair."""
        known = [set(members) for members in self.known]
        return np.array([any({a, b} <= members for members in known) for a, b in self.pairs.members.tolist()])
