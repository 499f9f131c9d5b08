"""The result of a training of L0-SIGN: numbers, curves, pairs, fields, examples and notes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import JsonValue
from torch import Tensor

from jobs.schemas import Check, Interaction, Players
from jobs.trainings import Curve, TrainingResult
from worker.methods.l0_sign.explain import contributions
from worker.methods.l0_sign.pairs import features_of
from worker.trainings._fitting import curves
from worker.trainings.l0_sign.examples import busiest_feature, example_rows
from worker.trainings.l0_sign.fitting import Measured
from worker.trainings.l0_sign.material import Material, portions
from worker.trainings.l0_sign.networks import Confidence, Network
from worker.trainings.l0_sign.notes import notes_of
from worker.trainings.l0_sign.overview import frequent_features
from worker.trainings.l0_sign.params import L0SignParams
from worker.trainings.l0_sign.rivals import Rival
from worker.trainings.l0_sign.search import Found, scores_of

_CHECKED_ROWS = 1000
_RESIDUAL = 1e-5
"""Of a margin in float32, relative to the largest one: some hundred roundings."""


@dataclass(frozen=True, kw_only=True)
class Trainings:
    """Everything that was trained.

    Attributes:
        networks: The model first, then those from other random weights.
    """

    params: L0SignParams
    material: Material
    found: Found
    networks: Sequence[Network]
    confidence: Confidence | None
    rivals: Sequence[Rival]

    @property
    def model(self) -> Network:
        return self.networks[0]


def answer(all: Trainings) -> TrainingResult:
    """Write the result."""
    players, interactions = _strongest(all)
    return TrainingResult(
        method="l0-sign",
        task=all.material.labels.task,
        metrics=_metrics(all),
        curves=_curves(all),
        players=players,
        interactions=interactions,
        unit=f"mean contribution over all training rows, in {_unit(all)}",
        checks=(_residual(all),),
        details=_details(all),
        notes=notes_of(all.params, all.material, all.networks, all.rivals),
        documents=_documents(all),
        arrays=_arrays(all),
    )


def _unit(all: Trainings) -> str:
    return "logits" if all.material.of_classes else "the target's unit"


def _metrics(all: Trainings) -> dict[str, float]:
    model = all.model
    numbers = {
        **model.test.named("test"), **model.validation.named("validation"), **model.train.named("train"),
        "best_epoch": float(model.course.best_epoch), "epochs": float(model.course.epoch),
    }  # fmt: skip
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def _curves(all: Trainings) -> tuple[Curve, ...]:
    return curves(all.model.course)


def _strongest(all: Trainings) -> tuple[Players, tuple[Interaction, ...]]:
    """Return the pairs with the largest mean contribution over all training rows, and the features in them.

    A contribution where the pair is, times the share of rows in which it is: so a pair that is strong in a single row
    does not come first. A feature with itself is a main effect.
    """
    pairs, rows, features = all.model.pairs, len(all.material.parts.train), all.material.log.features
    strengths = pairs.contribution * pairs.support / rows
    known = features_of(pairs.keys, features=features)[1] != features
    order = torch.argsort(strengths.abs().where(known, -1.0), descending=True, stable=True)[: all.params.most]
    order = order[known[order] & (strengths[order] != 0)]
    low, high = features_of(pairs.keys[order], features=features)
    named = torch.unique(torch.cat([low, high]))
    places = zip(order.tolist(), *(torch.searchsorted(named, one).tolist() for one in (low, high)), strict=True)
    found = tuple(
        _interaction(all, place, (one,) if one == other else (one, other), float(strengths[place]))
        for place, one, other in places
    )
    names = tuple(name[:200] for name in all.material.log.names(named.tolist()))
    return Players(kind="feature", shape=(len(names),), names=names), found


def _interaction(all: Trainings, place: int, members: tuple[int, ...], strength: float) -> Interaction:
    pairs, rows, sure = all.model.pairs, len(all.material.parts.train), all.confidence
    details: dict[str, JsonValue] = {
        "contribution": float(pairs.contribution[place]),
        "support": int(pairs.support[place]),
        "gate": float(pairs.gates[place]),
        "score": float(pairs.scores[place]),
    }
    error = None
    if sure is not None:
        details |= {
            "kept_in": int(sure.kept[place]), "networks": sure.networks,
            "mean_contribution": float(sure.mean[place]), "spread": float(sure.spread[place]),
        }  # fmt: skip
        error = float(sure.spread[place]) / sure.networks**0.5 * int(pairs.support[place]) / rows
    return Interaction(
        kind="main" if len(members) == 1 else "pair", members=members, order=len(members), strength=strength,
        standard_error=error, details=details,
    )  # fmt: skip


def _residual(all: Trainings) -> Check:
    """Compare the sums of contributions with the network's own predictions, some of the test rows."""
    which, log, network = all.material.parts.test[:_CHECKED_ROWS], all.material.log, all.model.module
    worst = largest = 0.0
    for part in portions(log.rows, which, most=all.material.batch):
        found = contributions(network, log.rows.take(part))
        with torch.no_grad():
            margins = network.evaluate(found.rows, found.pairs, None).margins.double()
        worst = max(worst, float((margins - found.margins).abs().max()))
        largest = max(largest, float(margins.abs().max()))
    return Check(
        name="residual", value=worst, passed=worst <= _RESIDUAL * max(largest, 1.0),
        meaning="Largest difference between a prediction and its bias and contributions added up, over up to "
        f"{_CHECKED_ROWS} test rows; 0 but for rounding.",
    )  # fmt: skip


def _details(all: Trainings) -> dict[str, JsonValue]:
    log, parts, model = all.material.log, all.material.parts, all.model
    return {
        "compat": all.params.compat,
        "gates": all.params.gates,
        "lambda1": model.recipe.lambdas.gates,
        "lambda2": model.recipe.lambdas.messages,
        "search": [*scores_of(all.found.rungs)],
        "batch_size": all.material.batch,
        "rows": {"train": len(parts.train), "validation": len(parts.validation), "test": len(parts.test)},
        "features": log.features,
        "fields": list(log.fields),
        "training_rows_with_unknown": int(log.support[-1]),
        "pairs": len(model.pairs.keys),
        "pairs_kept": int((model.pairs.gates > 0).sum()),
        "parameters": sum(tensor.numel() for tensor in model.state.values()),
        "networks": [{**_finite(one.test), "epochs": one.course.epoch} for one in all.networks],
        "compare": [_rival(one) for one in all.rivals],
    }


def _rival(rival: Rival) -> dict[str, JsonValue]:
    return {
        "name": rival.name, **_finite(rival.measured), "parameters": rival.parameters, "epochs": rival.course.epoch,
        "seconds": rival.seconds,
    }  # fmt: skip


def _finite(measured: Measured) -> dict[str, JsonValue]:
    return {name: value for name, value in measured.numbers.items() if math.isfinite(value)}


def _documents(all: Trainings) -> dict[str, Any]:
    documents: dict[str, Any] = {"rows": example_rows(all.model, all.material)}
    if (feature := busiest_feature(all.model, all.material)) is not None:
        documents["feature"] = feature
    if not all.material.log.fields:
        documents["features"] = frequent_features(all.model.pairs, all.material.log)
    return documents


def _arrays(all: Trainings) -> dict[str, Any]:
    pairs, fields = all.model.pairs, all.model.fields
    strongest = pairs.at(pairs.most_supported(all.params.table_pairs))
    low, high = features_of(strongest.keys, features=all.material.log.features)
    arrays: dict[str, Tensor] = {
        "pair_features": torch.stack([low, high], 1), "pair_support": strongest.support,
        "pair_contribution": strongest.contribution, "pair_gate": strongest.gates, "pair_score": strongest.scores,
    }  # fmt: skip
    if all.material.log.fields:
        arrays |= {
            "field_strengths": fields.strengths, "field_kept": fields.kept, "field_support": fields.support,
        }  # fmt: skip
    return {name: tensor.numpy() for name, tensor in arrays.items()}
