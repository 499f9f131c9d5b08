"""The additive model that MLP-Cutoff chose, as a model of its own: asked by rows, as `jobs.row_models` lays it out."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from jobs.predictors.additive_networks import AdditiveNetworks
from jobs.row_models import AdditiveArchitecture, AdditiveColumn
from jobs.schemas import Manifest, ModelInput
from worker.methods.nid.networks import Design, Parameters
from worker.trainings._registry import NewModel
from worker.trainings.nid.cutoff import Cutoff
from worker.trainings.nid.encoding import MISSING, OTHER, Field
from worker.trainings.nid.search import Material

_LONGEST_NAME = 200


def additive_model(cutoff: Cutoff, material: Material, *, name: str) -> tuple[NewModel, ...]:
    """Return the chosen model; none if its training diverged."""
    chosen = torch.arange(len(cutoff.sets)) == cutoff.chosen
    design = cutoff.fitted.design.of(chosen)
    parameters = cutoff.fitted.parameters.of(*cutoff.fitted.design.rows(chosen))
    if not (parameters.deep.isfinite().all() and parameters.mains.isfinite().all()):
        return ()
    architecture = _architecture(cutoff, design, material)
    tensors = _tensors(design, parameters)
    manifest = Manifest(
        name=name,
        architecture=architecture,
        input=ModelInput(kind="row", shape=(len(architecture.columns),)),
        classes=tuple(one[:_LONGEST_NAME] for one in material.target.labels.classes) or None,
    )
    return (NewModel(state={**tensors, **_terms(architecture, tensors, material)}, manifest=manifest),)


def _architecture(cutoff: Cutoff, design: Design, material: Material) -> AdditiveArchitecture:
    target = material.target
    return AdditiveArchitecture(
        family="additive",
        task=target.labels.task,
        columns=tuple(_column(field) for field in material.fields.fields),
        constant=material.fields.dropped,
        interactions=cutoff.sets[cutoff.chosen],
        hidden=design.hidden,
        main_hidden=design.main_hidden,
        mean=target.mean,
        std=target.unit,
    )


def _column(field: Field) -> AdditiveColumn:
    rest = field.levels[len(field.codes) :]
    known = field.feature.categories
    return AdditiveColumn(
        name=field.name, mean=field.mean, std=field.std, other=OTHER in rest, missing=MISSING in rest,
        categories=None if known is None else tuple(known[code] for code in field.codes),
    )  # fmt: skip


def _tensors(design: Design, parameters: Parameters) -> dict[str, Tensor]:
    mains = _layers("mains", parameters.mains, design.main_shapes, design.main_sizes)
    deep = _layers("interactions", parameters.deep, design.deep_shapes, design.deep_sizes)
    return {**mains, **deep}


def _layers(prefix: str, rows: Tensor, shapes: list[tuple[int, int]], sizes: list[int]) -> dict[str, Tensor]:
    """Cut rows of parameters, weights of all layers and then biases, into a tensor for each."""
    ends = [0, *torch.tensor(sizes).cumsum(0).tolist()]
    parts = [rows[:, begin:end] for begin, end in pairwise(ends)]
    weights = {
        f"{prefix}.{layer}.weight": part.reshape(-1, *shape)
        for layer, (part, shape) in enumerate(zip(parts, shapes, strict=False))
    }
    return weights | {f"{prefix}.{layer}.bias": part for layer, part in enumerate(parts[len(shapes) :])}


def _terms(architecture: AdditiveArchitecture, tensors: dict[str, Tensor], material: Material) -> dict[str, Tensor]:
    """Return each term's mean over the training rows, and its mean size around it."""
    networks = AdditiveNetworks(architecture, {name: tensor.numpy() for name, tensor in tensors.items()})
    terms = torch.from_numpy(networks(material.train.x.double().numpy()))
    means = terms.mean(0)
    return {"terms.mean": means, "terms.size": (terms - means).abs().mean(0)}
