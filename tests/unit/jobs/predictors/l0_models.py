"""Small L0-SIGN models as their files hold them, and the networks that they are of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from jobs.predictors import Predictor, predictor_of
from jobs.schemas import Manifest
from tests.unit.worker.methods.l0_sign.rows import FEATURES, network, rows_of
from worker.methods.l0_sign.explain import asked, contributions
from worker.methods.l0_sign.model import L0Sign
from worker.methods.l0_sign.pairs import Rows, pair_keys

VOCABULARY = [-5, 3, 10, 11, 40, 700, 2**40]
"""Ids of the seven features."""
FIELDS = ("app", "place")
FIELD_OF = [0, 0, 0, 1, 1, 1, 1]
TRAINING_ROWS = ((0, 1, 2), (1, 3), (1, 2, 4, -1), (0,), (5, 2, 1))

COLUMNS: list[dict[str, Any]] = [
    {"name": "city", "categories": ["Basel", "Oslo", "Rome"]},
    {"name": "age", "mean": 40.0, "std": 10.0},
    {"name": "app", "categories": ["Gmail", "Maps", "Oslo"]},
]
"""Seven features: three cities, a number, three apps; one app is called like a city."""


def as_trained(**design: object) -> L0Sign:
    """A network in float64 whose weights are float32 numbers, as in a file."""
    return network(3, **design).float().double()


def tensors_of(model: L0Sign, trained: Rows, **more: np.ndarray) -> dict[str, np.ndarray]:
    """Return what a model's file holds; the table has the pairs of `trained`."""
    found = contributions(model, trained)
    keys = pair_keys(found.rows, found.pairs, features=FEATURES)
    distinct, place, support = torch.unique(keys, return_inverse=True, return_counts=True)
    gates, scores = asked(model, distinct)
    total = torch.zeros(len(distinct), dtype=torch.float64).index_add_(0, place, found.values)
    table = {"keys": distinct, "support": support, "contribution": total / support}
    table |= {"gates": gates.float(), "scores": scores.float()}
    weights = {name: tensor.float().numpy() for name, tensor in model.state_dict().items()}
    return {**weights, **{f"table.{name}": tensor.numpy() for name, tensor in table.items()}, **more}


def sets_manifest(model: L0Sign, **changes: object) -> Manifest:
    design = model.design
    architecture = {
        "family": "l0-sign", "task": "binary", "features": FEATURES, "embedding": design.embedding,
        "edge_embedding": design.edge_embedding, "hidden": design.hidden, "gated": design.gated, "mean": design.mean,
        "compat": design.compat, "fields": FIELDS, "rows": len(TRAINING_ROWS), **changes,
    }  # fmt: skip
    classes = ["no", "yes"] if architecture["task"] == "binary" else None
    return Manifest.model_validate(
        {"name": "clicks", "architecture": architecture, "input": {"kind": "row", "shape": [1]}, "classes": classes}
    )


def table_manifest(model: L0Sign) -> Manifest:
    whole = sets_manifest(model, fields=()).model_dump()
    return Manifest.model_validate(
        {**whole, "input": {"kind": "row", "shape": [3]}, "features": {"columns": COLUMNS}}
    )  # fmt: skip


def sets_tensors(model: L0Sign, trained: Sequence[Sequence[int]] = TRAINING_ROWS) -> dict[str, np.ndarray]:
    vocabulary = {"vocabulary": np.array(VOCABULARY), "field_of": np.array(FIELD_OF)}
    return tensors_of(model, rows_of(*trained), **vocabulary)


def sets_predictor(model: L0Sign, trained: Sequence[Sequence[int]] = TRAINING_ROWS, **changes: object) -> Predictor:
    return predictor_of(sets_manifest(model, **changes), sets_tensors(model, trained))


def table_predictor(model: L0Sign) -> Predictor:
    return predictor_of(table_manifest(model), tensors_of(model, rows_of(*TRAINING_ROWS)))
