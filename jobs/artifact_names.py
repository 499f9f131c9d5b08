"""The files that a job can leave: every name, with its media type. Nothing else is stored or served.

A name is never made from what a caller sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_JSON: Final = "application/json"
_PNG: Final = "image/png"
_ARRAY: Final = "application/octet-stream"

DOCUMENTS: Final[Mapping[str, str]] = {
    "moebius.json": "the AND interactions, as shapiq's InteractionValues of index Moebius",
    "or.json": "the OR interactions, in the same format under an index of their own, which shapiq does not know",
    "sv.json": "Shapley values, as shapiq's InteractionValues",
    "bv.json": "Banzhaf values, as shapiq's InteractionValues",
    "sii.json": "Shapley interaction index, as shapiq's InteractionValues",
    "bii.json": "Banzhaf interaction index, as shapiq's InteractionValues",
    "k-sii.json": "k-Shapley values (k-SII), as shapiq's InteractionValues",
    "stii.json": "Shapley-Taylor interaction index, as shapiq's InteractionValues",
    "shapes.json": "shape functions of an additive model: what columns and pairs of them add, at some of their values",
    "rows.json": "some predictions of L0-SIGN taken apart: every edge with its gate and contribution",
    "feature.json": "the feature that takes part most in L0-SIGN's predictions, and its strongest partners",
    "features.json": "the features in most training rows, and what every two of them contribute in L0-SIGN",
    "fsii.json": "Faithful Shapley interaction index, as shapiq's InteractionValues",
}
"""What documents of an answer may be called, and what each holds."""

ARTIFACTS: Final[Mapping[str, str]] = {
    "result.json": _JSON,
    "saliency.png": _PNG,
    "overlay.png": _PNG,
    "sets.png": _PNG,
    "interactions.png": _PNG,
    "bottleneck.png": _PNG,
    "pairs.png": _PNG,
    "orders.png": _PNG,
    "sparsity.png": _PNG,
    "dynamics.png": _PNG,
    "training.png": _PNG,
    "heatmap.png": _PNG,
    "ranking.png": _PNG,
    "comparison.png": _PNG,
    "cutoff.png": _PNG,
    "shapes.png": _PNG,
    "prediction.png": _PNG,
    "feature.png": _PNG,
    "edges.png": _PNG,
    "fields.png": _PNG,
    "robustness.png": _PNG,
    "disturbances.png": _PNG,
    "similarities.png": _PNG,
    "report.html": "text/html; charset=utf-8",
    "values.npz": "application/zip",
    "path_gradients.npy": _ARRAY,
    "difference.npy": _ARRAY,
    "atoms.npy": _ARRAY,
    "table.npy": _ARRAY,
    **dict.fromkeys(DOCUMENTS, _JSON),
}
"""Media types by name."""
