"""What a training of L0-SIGN leaves for its pictures, made by hand."""

from __future__ import annotations

import numpy as np

from jobs.trainings import Curve, TrainingResult

FIELDS = ("user", "a field with a name that is much too long for its cell", "Größe", "<b>")


def a_row(contributions: dict[tuple[int, int], float], names: tuple[str, ...] = FIELDS, **changes: object) -> dict:
    """A row whose edges are open where they contribute something."""
    margin = 0.25 + sum(contributions.values())
    edges = [
        {"a": a, "b": b, "gate": float(bool(value)), "contribution": value, "names": [names[a], names[b]]}
        for (a, b), value in contributions.items()
    ]
    return {
        "row": 7, "features": list(names), "values": None, "bias": 0.25, "margin": margin, "edges": edges,
        "probability": 1 / (1 + np.exp(-margin)), "predicted": "yes" if margin > 0 else "no", "label": "yes",
        "rest": {"edges": 0, "kept": 0, "contribution": 0.0}, **changes,
    }  # fmt: skip


def a_long_row(features: int) -> dict:
    """A row in which every third pair is open."""
    pairs = [(a, b) for a in range(features) for b in range(a, features)]
    values = {pair: 0.0 if at % 3 else (-1.0) ** (at // 3) / (1 + at) for at, pair in enumerate(pairs)}
    return a_row(values, tuple(f"feature {at}" for at in range(features)))


def a_log_result(**changes: object) -> TrainingResult:
    """A training over four fields, of which the last two never meet."""
    size = len(FIELDS)
    together = np.add.outer(np.arange(size), np.arange(size)) / 10
    support = np.ones((size, size), dtype=int)
    support[2, 3] = support[3, 2] = 0
    kept = {(0, 0): 0.5, (0, 1): 0.75, (0, 2): -0.25, (1, 1): 0.0, (1, 2): 0.02, (2, 2): -0.1, (1, 3): 0.0}
    partners = [
        {"name": FIELDS[1], "contribution": 0.75, "support": 1200, "gate": 1.0},
        {"name": FIELDS[2], "contribution": -0.25, "support": 1, "gate": 0.4},
        {"name": FIELDS[3], "contribution": 0.0, "support": 30, "gate": 0.0},
    ]
    result = TrainingResult(
        method="l0-sign", task="binary", metrics={"best_epoch": 2.0, "test_auc": 0.9},
        curves=(
            Curve(name="edges_kept", part="validation", at=(1, 2, 3), values=(0.9, 0.4, 0.3)),
            Curve(name="auc", part="validation", at=(1, 2, 3), values=(0.6, 0.9, None)),
        ),
        details={
            "fields": list(FIELDS), "gates": True, "parameters": 100,
            "networks": [{"auc": 0.9, "edges_kept": 0.4, "epochs": 3}, {"auc": 0.8, "edges_kept": 0.5, "epochs": 4}],
            "compare": [{"name": "fm", "auc": 0.7, "parameters": 50, "epochs": 9, "seconds": 1.5}],
        },
        documents={"rows": [a_row(kept), a_long_row(24)], "feature": {"name": FIELDS[0], "partners": partners}},
        arrays={"field_strengths": together, "field_kept": together, "field_support": support},
    )  # fmt: skip
    return result.model_copy(update=changes)
