"""What a NID training answers: interactions with their spread, the fit, curves, notes, arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pydantic import JsonValue

from jobs.schemas import Check, Players
from jobs.trainings import Curve, TrainingResult
from worker.trainings.nid.comparison import comparison, known_aucs
from worker.trainings.nid.found import Found
from worker.trainings.nid.interactions import interactions
from worker.trainings.nid.notes import STABLE, distrust, notes
from worker.trainings.nid.shapes import as_document
from worker.trainings.nid.verdict import Floats, Pairs, auc, stability

UNIT = "share of the strongest, averaged over networks"


def answer(found: Found) -> TrainingResult:
    """Write the result."""
    cutoff = _cutoff(found)
    return TrainingResult(
        method="nid",
        task=found.material.target.labels.task,
        metrics=_metrics(found),
        curves=_curves(found),
        players=Players(kind="feature", shape=(len(found.material.fields),), names=found.material.fields.names),
        interactions=interactions(found),
        unit=UNIT,
        checks=tuple(_checks(found)),
        details={**_details(found), **({"cutoff": cutoff} if cutoff else {})},
        notes=notes(found),
        documents=_documents(found),
        arrays=_arrays(found),
    )


def _metrics(found: Found) -> dict[str, float]:
    fit = found.fit
    metrics = {
        "test_score": fit.score(fit.networks),
        "linear_score": fit.score(fit.linear),
        "test_loss": fit.networks,
        "linear_loss": fit.linear,
        "baseline_loss": fit.constant,
        "networks": float(found.networks),
    }
    extra = {
        "stability": stability(found.pairs.trials),
        "relative_improvement": found.cutoff.relative_improvement if found.cutoff else None,
        "known_auc": auc(found.pairs.strength, found.truth) if found.known else None,
        **known_aucs(found),
    }
    whole = metrics | {name: value for name, value in extra.items() if value is not None}
    return {name: value for name, value in whole.items() if math.isfinite(value)}


def _checks(found: Found) -> list[Check]:
    fit, order = found.fit, stability(found.pairs.trials)
    return [
        Check(
            name="better-than-constant", value=fit.score(fit.networks), passed=fit.beats_constant,
            meaning="Share of the loss of a constant that the networks take away on the test rows; by less than two "
            "standard errors, the ranking is not to be trusted.",
        ),
        Check(
            name="better-than-linear", value=1 - fit.networks / fit.linear if fit.linear > 0 else None,
            passed=fit.beats_linear,
            meaning="The same against a linear model, which has no interactions: networks that are no better than it "
            "need not have learned any.",
        ),
        Check(
            name="stability", value=order, passed=None if order is None else order >= STABLE,
            meaning="Mean correlation of two trials' strengths over all pairs; 1: they agree.",
        ),
    ]  # fmt: skip


def _details(found: Found) -> dict[str, JsonValue]:
    fields, parts, params = found.material.fields, found.parts, found.params
    names = fields.names
    epochs = found.fitted.epochs.view(params.trials, len(params.l1)).double().mean(0)
    losses = found.fitted.loss.view(params.trials, len(params.l1)).double()
    return {
        "trusted": found.fit.trusted,
        "not_trusted_because": distrust(found),
        "architecture": "MLP-M" if params.main_effects else "MLP",
        "best_l1": params.l1[found.best_l1],
        "l1": [
            {"weight": weight, "validation_loss": _finite(loss), "epochs": float(epoch)}
            for weight, loss, epoch in zip(params.l1, losses.mean(0).tolist(), epochs.tolist(), strict=True)
        ],
        "aggregate": params.aggregate,
        "rows": {"train": len(parts.train), "validation": len(parts.validation), "test": len(parts.test)},
        "inputs": fields.inputs,
        "constant_columns": list(fields.dropped),
        "joined_categories": list(fields.joined),
        "identifiers": list(found.identifiers),
        "correlated_columns": [[names[a], names[b], size] for a, b, size in (*found.twins.same, *found.twins.alike)],
        "known": [list(members) for members in found.known],
        "comparison": comparison(found),
    }


def _cutoff(found: Found) -> dict[str, JsonValue] | None:
    cutoff, names = found.cutoff, found.material.fields.names
    if cutoff is None:
        return None
    return {
        "interactions": cutoff.chosen,
        "reached": cutoff.reached,
        "relative_improvement": cutoff.relative_improvement,
        "validation_loss": [_finite(loss) for loss in cutoff.validation],
        "test_loss": [_finite(loss) for loss in cutoff.test],
        "whole_validation_loss": cutoff.goal_validation,
        "whole_test_loss": cutoff.goal_test,
        "added": [[[names[member] for member in members] for members in model] for model in cutoff.sets],
    }


def _curves(found: Found) -> tuple[Curve, ...]:
    """Return the mean over trials of the lowest validation loss so far, a curve for each L1 weight."""
    weights, history = len(found.params.l1), found.fitted.history
    length = max(len(one) for one in history)
    best = np.stack([np.fmin.accumulate(np.pad(one, (0, length - len(one)), mode="edge")) for one in history])
    return tuple(
        Curve(
            name="lowest validation loss", part=f"L1 {weight:g}", at=tuple(map(float, range(1, length + 1))),
            values=tuple(_finite(value) for value in best[index::weights].mean(0).tolist()),
        )
        for index, weight in enumerate(found.params.l1)
    )  # fmt: skip


def _documents(found: Found) -> dict[str, Any]:
    if found.shapes is None:
        return {}
    labels = found.material.target.labels
    several = found.material.target.outputs > 1
    unit = "the target's unit" if labels.task == "regression" else "logits"
    classes = labels.classes if several else labels.classes[1:]
    return {"shapes": as_document(found.shapes, unit=unit, classes=classes)}


def _arrays(found: Found) -> dict[str, Any]:
    pairs, fields = found.pairs, len(found.material.fields)
    arrays: dict[str, Any] = {
        "pair_strengths": _square(pairs.strength, pairs, fields),
        "pair_strengths_by_trial": np.stack([_square(one, pairs, fields) for one in pairs.trials]),
        "pair_strengths_by_l1": np.stack([_square(one, pairs, fields) for one in pairs.l1]),
    }
    for one in found.others:
        if one.strengths is not None:
            arrays[f"pairs_by_{one.method.replace('-', '_')}"] = _square(one.strengths, pairs, fields)
    if found.cutoff is not None:
        fitted = found.cutoff.fitted
        arrays |= {
            "additive_deep": fitted.parameters.deep.numpy(), "additive_mains": fitted.parameters.mains.numpy(),
            "additive_owner": fitted.design.owner.numpy(), "additive_sees": fitted.design.sees.numpy(),
        }  # fmt: skip
    return arrays


def _square(values: Floats, pairs: Pairs, fields: int) -> Any:
    square = np.zeros((fields, fields))
    rows, columns = pairs.members.T
    square[rows, columns] = square[columns, rows] = values
    return square


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
