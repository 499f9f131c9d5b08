"""Neural Interaction Detection from a table: which columns act together, read off the weights of networks it trains.

Source: Tsang, Cheng & Liu, "Detecting Statistical Interactions from Neural Network Weights", ICLR 2018,
https://arxiv.org/abs/1705.04977
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from jobs.errors import InvalidParameters
from worker.methods.nid.course import Fitted
from worker.methods.nid.training import predict
from worker.trainings._data import Table
from worker.trainings._registry import Trained, TrainingTask, register_training
from worker.trainings.nid.answer import answer
from worker.trainings.nid.comparators import compared
from worker.trainings.nid.cutoff import Cutoff, additive_models
from worker.trainings.nid.encoding import fitted_fields
from worker.trainings.nid.found import Found
from worker.trainings.nid.gate import Fit, judged_fit
from worker.trainings.nid.identifiers import identifiers
from worker.trainings.nid.params import NidParams
from worker.trainings.nid.parts import parts_of, target_of
from worker.trainings.nid.search import Material, material_of, read_networks, trained_ensemble
from worker.trainings.nid.served import additive_model
from worker.trainings.nid.shapes import shapes_of
from worker.trainings.nid.stages import Stages
from worker.trainings.nid.twins import twins_of
from worker.trainings.nid.verdict import Judged, Members, Pairs, judged_pairs, judged_sets

SOURCE = "https://arxiv.org/abs/1705.04977"


@register_training(
    "nid",
    title="Neural Interaction Detection",
    summary="Finds columns of a table that act together, of any number, from the weights of an ensemble of networks.",
    source=SOURCE,
    params=NidParams,
    datasets=("table",),
    starts=("none",),
    least_rows=30,
)
def train(task: TrainingTask, params: NidParams) -> Trained:
    """Train the ensemble, rank interactions, judge the fit, and fit additive models with the first interactions."""
    table = _table(task)
    _check_known(table, params)
    parts = parts_of(table.labels, params, seed=task.seed)
    target = target_of(table.labels, parts.train)
    material = material_of(fitted_fields(table, parts.train, most_categories=params.most_categories), target, parts)
    stages = Stages(task)
    fitted = trained_ensemble(material, params, stages)
    networks = read_networks(fitted, material, params)
    pairs, sets = judged_pairs(networks, params), judged_sets(networks, params)
    best = _best_l1(fitted, params)
    fit = _fit(fitted, best, material, params)
    cutoff = _cutoff(stages, params, material, fit, fitted, best, _ranking(pairs, sets, params))
    others = compared(params.compare, material, pairs.ranking, task)
    shapes = shapes_of(cutoff, material) if cutoff else None
    result = answer(
        Found(
            params,
            material,
            parts,
            fitted,
            best,
            fit,
            pairs,
            sets,
            cutoff,
            shapes,
            others,
            twins_of(material),
            identifiers(table),
        )
    )
    return Trained(result=result, models=additive_model(cutoff, material, name=task.name) if cutoff else ())


def _table(task: TrainingTask) -> Table:
    if not isinstance(task.data, Table):
        raise TypeError(f"expected a table, got {type(task.data).__name__}")
    return task.data


def _check_known(table: Table, params: NidParams) -> None:
    names = {feature.name for feature in table.features}
    if unknown := sorted({name for one in params.known for name in one} - names):
        raise InvalidParameters(f"known names {unknown[0]!r}, which is no column of the table")


def _best_l1(fitted: Fitted, params: NidParams) -> int:
    """Return the index of the L1 weight with the lowest mean validation loss; networks that diverged do not count."""
    losses = fitted.loss.view(params.trials, -1)
    means = losses.where(losses.isfinite(), torch.nan).nanmean(0)
    return int(means.nan_to_num(nan=torch.inf).argmin())


def _best_networks(fitted: Fitted, best: int, params: NidParams) -> torch.Tensor:
    """Mark the networks with the best L1 weight, `(members,)` bool."""
    return (torch.arange(len(fitted.loss)) % len(params.l1) == best) & fitted.loss.isfinite()


def _fit(fitted: Fitted, best: int, material: Material, params: NidParams) -> Fit:
    kept = _best_networks(fitted, best, params)
    parameters = fitted.parameters.of(*fitted.design.rows(kept))
    return judged_fit(material, predict(fitted.design.of(kept), parameters, material.test.x))


def _ranking(pairs: Pairs, sets: Sequence[Judged], params: NidParams) -> list[Members]:
    if params.cutoff_from == "sets":
        return [one.members for one in sets]
    return list(pairs.ranking)


def _cutoff(
    stages: Stages, params: NidParams, material: Material, fit: Fit, fitted: Fitted, best: int,
    ranking: Sequence[Members],
) -> Cutoff | None:  # fmt: skip
    if not params.cutoff:
        return None
    goal = float(fitted.loss[_best_networks(fitted, best, params)].mean())
    return additive_models(ranking, material, params, stages, goal=(goal, fit.networks))
