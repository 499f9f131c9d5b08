"""The pictures of a training that found interactions of columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from jobs.trainings import TrainingResult
from worker.render.comparison import comparison
from worker.render.cutoff import cutoff_chart
from worker.render.heatmap import heatmap
from worker.render.ranking import ranking
from worker.render.shapes import shapes_chart

_OTHERS = {
    "ANOVA": "pairs_by_anova", "FAST": "pairs_by_fast", "H² of boosted trees": "pairs_by_h_statistic",
}  # fmt: skip


def column_pictures(result: TrainingResult) -> dict[str, bytes]:
    """Draw what there is of strengths, ranking, comparison, cutoff and shapes, as PNG bytes by artifact name."""
    if result.players is None or result.players.names is None or "pair_strengths" not in result.arrays:
        return {}
    names = result.players.names
    details: Any = result.details
    known = details.get("known", [])
    strengths = np.asarray(result.arrays["pair_strengths"], dtype=np.float64)
    warning = details.get("not_trusted_because")
    pictures = {
        "heatmap.png": heatmap(strengths, names, result.unit or "", known, warning=warning),
        "ranking.png": ranking(result.interactions, names, known, warning=warning),
    }
    others = {name: result.arrays[key] for name, key in _OTHERS.items() if key in result.arrays}
    if others:
        methods = {"NID": strengths, **{name: np.asarray(of, dtype=np.float64) for name, of in others.items()}}
        pictures["comparison.png"] = comparison(methods, names, known)
    if "cutoff" in details:
        pictures["cutoff.png"] = cutoff_chart(details["cutoff"])
    if "shapes" in result.documents:
        pictures["shapes.png"] = shapes_chart(result.documents["shapes"])
    return pictures
