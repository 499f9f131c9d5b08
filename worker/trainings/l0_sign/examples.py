"""Some predictions taken apart, and the feature that takes part in most of them: what pictures show."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from worker.methods.l0_sign.explain import Contributions, contributions
from worker.methods.l0_sign.pairs import features_of
from worker.trainings.l0_sign.material import Material
from worker.trainings.l0_sign.networks import Network

_LONGEST_SHOWN = 40
_PARTNERS = 20
_MOST_EDGES = 1000
"""Of a row, those that contribute most; 1000 features have half a million."""


def example_rows(network: Network, material: Material) -> list[dict[str, Any]]:
    """Take the test rows with the highest, the lowest and the median prediction apart.

    Rows of more than `_LONGEST_SHOWN` features are left out where there are others.
    """
    which, margins = _showable(material, network.test.margins)
    order = torch.argsort(margins, stable=True)
    chosen = list(dict.fromkeys(int(which[order[place]]) for place in (-1, 0, len(order) // 2)))
    found = contributions(network.module, material.log.rows.take(torch.tensor(chosen)))
    return [_row(found, place, index, material) for place, index in enumerate(chosen)]


def busiest_feature(network: Network, material: Material) -> dict[str, Any] | None:
    """Return the feature whose pairs contribute most over the training rows, and its strongest partners.

    A feature with itself is no pair here, and neither is one with unknown features; None where there is no other.
    """
    pairs, features = network.pairs, material.log.features
    low, high = features_of(pairs.keys, features=features)
    apart = (low != high) & (high != features)
    weights = (pairs.contribution.abs() * pairs.support).where(apart, 0.0)
    total = torch.zeros(features + 1, dtype=torch.float64).index_add_(0, low, weights).index_add_(0, high, weights)
    if not bool(total.any()):
        return None
    busiest = int(total.argmax())
    mine = (apart & ((low == busiest) | (high == busiest))).nonzero()[:, 0]
    mine = mine[torch.argsort(weights[mine], descending=True, stable=True)][:_PARTNERS]
    partners = (low[mine] + high[mine] - busiest).tolist()
    return {
        "name": material.log.names([busiest])[0],
        "partners": [
            {
                "name": name, "contribution": float(pairs.contribution[place]), "support": int(pairs.support[place]),
                "gate": float(pairs.gates[place]),
            }
            for name, place in zip(material.log.names(partners), mine.tolist(), strict=True)
        ],
    }  # fmt: skip


def _showable(material: Material, margins: Tensor) -> tuple[Tensor, Tensor]:
    test = material.parts.test
    lengths = material.log.rows.lengths[test]
    fit = (lengths > 1) & (lengths <= _LONGEST_SHOWN)
    return (test[fit], margins[fit]) if bool(fit.any()) else (test, margins)


def _row(found: Contributions, place: int, index: int, material: Material) -> dict[str, Any]:
    begin, end = (int(one) for one in found.rows.offsets[place : place + 2])
    features, values = found.rows.features[begin:end].tolist(), found.rows.values
    names = material.log.names([one if one >= 0 else material.log.features for one in features])
    mine, rest = _most(found, (found.pairs.row == place).nonzero()[:, 0])
    margin = float(found.margins[place])
    return {
        "row": index,
        "features": names,
        "values": None if values is None else values[begin:end].tolist(),
        "bias": found.bias,
        "margin": margin,
        "probability": float(torch.sigmoid(torch.tensor(margin))) if material.of_classes else None,
        "predicted": material.labels.classes[margin > 0] if material.of_classes else None,
        "label": _label(index, material),
        "edges": [
            {
                "a": a, "b": b, "gate": float(found.gates[pair]), "contribution": float(found.values[pair]),
                "names": [names[a], names[b]],
            }
            for pair, a, b in zip(
                mine.tolist(), (found.pairs.first[mine] - begin).tolist(), (found.pairs.second[mine] - begin).tolist(),
                strict=True,
            )
        ],
        "rest": {
            "edges": len(rest), "kept": int((found.gates[rest] > 0).sum()),
            "contribution": float(found.values[rest].sum()),
        },
    }  # fmt: skip


def _most(found: Contributions, pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Split the pairs of a row into those that contribute most, in their order, and the rest."""
    order = torch.argsort(found.values[pairs].abs(), descending=True, stable=True)
    return pairs[order[:_MOST_EDGES].sort().values], pairs[order[_MOST_EDGES:]]


def _label(index: int, material: Material) -> str | float:
    value = material.labels.values[index]
    return material.labels.classes[int(value)] if material.of_classes else float(value)
