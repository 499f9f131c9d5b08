"""The features in most training rows, and what every two of them do together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from worker.trainings.l0_sign.logs import Log
from worker.trainings.l0_sign.tables import PairStatistics

_MOST = 20


def frequent_features(pairs: PairStatistics, log: Log) -> dict[str, Any]:
    """Return names, and tables of contribution, support and gate, `(n, n)` each, symmetric; 0 where no row has both."""
    most = torch.sort(log.support[: log.features], descending=True, stable=True).indices[:_MOST]
    chosen = most[log.support[most] > 0].sort().values
    low, high = chosen[:, None].expand(-1, len(chosen)), chosen[None].expand(len(chosen), -1)
    keys = torch.minimum(low, high) * (log.features + 1) + torch.maximum(low, high)
    place = torch.searchsorted(pairs.keys, keys).clamp(max=max(len(pairs.keys) - 1, 0))
    known = pairs.keys[place] == keys
    return {
        "names": log.names(chosen.tolist()),
        "contribution": _filled(pairs.contribution, place, known),
        "support": _filled(pairs.support, place, known),
        "gate": _filled(pairs.gates, place, known),
    }


def _filled(values: Tensor, place: Tensor, known: Tensor) -> list[list[float]]:
    found: list[list[float]] = torch.where(known, values[place], 0).tolist()
    return found
