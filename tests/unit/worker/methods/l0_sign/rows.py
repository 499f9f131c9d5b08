"""Batches of rows and networks for them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from hypothesis import strategies as st

from tests.reference import l0_sign as reference
from worker.methods.l0_sign.model import Design, L0Sign
from worker.methods.l0_sign.pairs import Rows

FEATURES = 7


def rows_of(*rows: Sequence[int], values: Sequence[float] | None = None) -> Rows:
    """Rows of feature indices; `values` end to end."""
    offsets = torch.tensor([0, *[len(row) for row in rows]]).cumsum(0)
    features = torch.tensor([feature for row in rows for feature in row], dtype=torch.int32)
    held = None if values is None else torch.tensor(values, dtype=torch.float64)
    return Rows(offsets=offsets, features=features, values=held)


def network(seed: int = 0, **design: object) -> L0Sign:
    """A network in float64 whose gates are closed, half open and open."""
    generator = torch.Generator().manual_seed(seed)
    model = L0Sign(Design(features=FEATURES, **design), generator).double()  # type: ignore[arg-type]
    if model.design.gated:
        with torch.no_grad():
            model.edge_nodes.normal_(0, 1.5, generator=generator)
            weight = model.edge.outer.weight.normal_(0, 1, generator=generator)
            weight -= weight.mean()
            model.edge.outer.bias.zero_()
    return model.eval().requires_grad_(False)


def oracle(model: L0Sign) -> reference.Model:
    weights = {name: tensor.tolist() for name, tensor in model.state_dict().items()}
    return reference.Model(weights, model.design.published, model.design.gated, model.design.mean)


def nodes_of(rows: Rows) -> list[list[reference.Node]]:
    values = [1.0] * len(rows.features) if rows.values is None else rows.values.tolist()
    entries = list(zip(rows.features.tolist(), values, strict=True))
    return [entries[start:end] for start, end in pairwise(rows.offsets.tolist())]


batches = st.lists(
    st.lists(st.integers(-1, FEATURES - 1), unique=True, max_size=5), min_size=1, max_size=4
)  # fmt: skip
