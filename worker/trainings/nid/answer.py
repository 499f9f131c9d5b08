"""What a NID training answers: interactions with their spread, the fit, curves, notes, arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import JsonValue

from jobs.schemas import Check, Interaction, Players
from jobs.trainings import Curve, TrainingResult
from worker.methods.nid.course import Fitted
from worker.trainings.nid.cutoff import Cutoff
from worker.trainings.nid.gate import Fit
from worker.trainings.nid.params import NidParams
from worker.trainings.nid.parts import Parts
from worker.trainings.nid.search import Material
from worker.trainings.nid.shapes import Shapes, as_document
from worker.trainings.nid.verdict import Floats, Judged, Pairs, auc, stability

UNIT = "share of the strongest, averaged over networks"
_STABLE = 0.5
"""Mean correlation of trials below which strengths are mostly chance."""


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
    anova: Floats | None

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


def answer(found: Found) -> TrainingResult:
    """Write the result."""
    cutoff = _cutoff(found)
    return TrainingResult(
        method="nid",
        task=found.material.target.labels.task,
        metrics=_metrics(found),
        curves=_curves(found),
        players=Players(kind="feature", shape=(len(found.material.fields),), names=found.material.fields.names),
        interactions=(*_pairs(found), *_sets(found)),
        unit=UNIT,
        checks=tuple(_checks(found)),
        details={**_details(found), **({"cutoff": cutoff} if cutoff else {})},
        notes=tuple(_notes(found)),
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
        "known_auc_anova": auc(found.anova, found.truth) if found.known and found.anova is not None else None,
    }
    whole = metrics | {name: value for name, value in extra.items() if value is not None}
    return {name: value for name, value in whole.items() if math.isfinite(value)}


def _pairs(found: Found) -> list[Interaction]:
    pairs = found.pairs
    ranks, selected = pairs.ranks, (pairs.ranks <= found.params.top).sum(0)
    return [
        _interaction(
            "pair", pairs.members[place].tolist(), float(pairs.strength[place]), rank, pairs.trials[:, place],
            pairs.l1[:, place], int(selected[place]),
            {"trial_ranks": ranks[:, place].tolist(), **_beside(found.anova, place)},
        )
        for rank, place in enumerate(pairs.order[: found.params.most].tolist(), start=1)
    ]  # fmt: skip


def _beside(anova: Floats | None, place: int) -> dict[str, JsonValue]:
    if anova is None:
        return {}
    return {"anova_f": float(anova[place]), "anova_rank": 1 + int((anova > anova[place]).sum())}


def _sets(found: Found) -> list[Interaction]:
    return [
        _interaction("set", one.members, one.strength, rank, one.trials, one.l1, one.selected, {})
        for rank, one in enumerate(found.sets[: found.params.most], start=1)
    ]


def _interaction(
    kind: Any, members: Sequence[int], strength: float, rank: int, trials: Floats, l1: Floats, selected: int,
    more: dict[str, JsonValue],
) -> Interaction:  # fmt: skip
    error = float(trials.std(ddof=1)) / len(trials) ** 0.5 if len(trials) > 1 else None
    details: dict[str, JsonValue] = {
        "rank": rank,
        "selected_in": selected,
        "trials": len(trials),
        "over_trials": [float(trials.min()), float(trials.max())],
        "over_l1": [float(l1.min()), float(l1.max())],
        **more,
    }
    return Interaction(
        kind=kind, members=tuple(members), order=len(members), strength=strength, standard_error=error, details=details
    )


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
            name="stability", value=order, passed=None if order is None else order >= _STABLE,
            meaning="Mean correlation of two trials' strengths over all pairs; 1: they agree.",
        ),
    ]  # fmt: skip


def _details(found: Found) -> dict[str, JsonValue]:
    fields, parts, params = found.material.fields, found.parts, found.params
    epochs = found.fitted.epochs.view(params.trials, len(params.l1)).double().mean(0)
    losses = found.fitted.loss.view(params.trials, len(params.l1)).double()
    return {
        "trusted": found.fit.trusted,
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
        "known": [list(members) for members in found.known],
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


def _notes(found: Found) -> list[str]:
    fields, fit, rows = found.material.fields, found.fit, found.material.target.labels.values
    notes: list[str] = []
    if not fit.beats_constant:
        notes.append("Not to be trusted: on held-out rows the networks are not clearly better than a constant answer.")
    elif not fit.beats_linear:
        notes.append(
            "Not to be trusted: on held-out rows the networks are not clearly better than a linear model, which has no "
            "interactions."
        )
    if (order := stability(found.pairs.trials)) is not None and order < _STABLE:
        notes.append(f"Trials disagree about the strengths of pairs (mean correlation {order:.2f}).")
    if fields.dropped:
        notes.append(f"Left out, as they are the same in all training rows: {', '.join(fields.dropped)}.")
    if fields.joined:
        notes.append(f"Rare categories are joined into one in: {', '.join(fields.joined)}.")
    if found.parts.rows < len(rows):
        notes.append(f"{found.parts.rows} of {len(rows)} rows were used; most_rows sets how many.")
    if found.networks < len(found.fitted.loss):
        notes.append(f"{len(found.fitted.loss) - found.networks} networks diverged and do not count.")
    if found.params.compare and found.anova is None:
        notes.append(
            "The analysis of variance is left out: its products of columns are too many for the rows, or at all."
        )
    if len(found.known) < len(found.params.known):
        notes.append("Known interactions with a column that is constant cannot be found and are left out.")
    if found.cutoff and not found.cutoff.reached:
        notes.append(
            f"With {len(found.cutoff.sets) - 1} interactions, the additive model is still short of the whole networks; "
            "a larger cutoff may close the gap."
        )
    if any(int(epoch) == found.params.epochs for epoch in found.fitted.epochs):
        notes.append("Some networks were still getting better in the last epoch; more epochs may do better.")
    return notes


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
    if found.anova is not None:
        arrays["anova_f"] = _square(found.anova, pairs, fields)
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
