"""The new model: a file with the network and its table of pairs, from which rows are predicted and explained."""

from __future__ import annotations

from torch import Tensor

from jobs.row_models import L0SignArchitecture
from jobs.schemas import Manifest, ModelInput
from worker.trainings._registry import NewModel
from worker.trainings.l0_sign.material import Material
from worker.trainings.l0_sign.networks import Confidence, Network
from worker.trainings.l0_sign.params import L0SignParams


def new_model(
    network: Network, confidence: Confidence | None, material: Material, params: L0SignParams, *, name: str
) -> NewModel:
    """Return the model; its table holds the pairs in most training rows, `table_pairs` of them at most."""
    return NewModel(
        state={**network.state, **_log(material), **_table(network, confidence, params)},
        manifest=_manifest(network, confidence, material, name),
    )


def _manifest(network: Network, confidence: Confidence | None, material: Material, name: str) -> Manifest:
    design, log = network.recipe.design, material.log
    architecture = L0SignArchitecture(
        family="l0-sign",
        task="binary" if material.of_classes else "regression",
        features=design.features,
        embedding=design.embedding,
        edge_embedding=design.edge_embedding,
        hidden=design.hidden,
        gated=design.gated,
        mean=design.mean,
        compat=design.compat,
        valued=log.encoding is None and log.rows.values is not None,
        fields=log.fields if log.encoding is None else (),
        rows=len(material.parts.train),
        networks=confidence.networks if confidence else 1,
    )
    columns = 1 if log.encoding is None else len(log.encoding.columns)
    return Manifest(
        name=name, architecture=architecture, input=ModelInput(kind="row", shape=(columns,)), features=log.encoding,
        classes=material.labels.classes or None,
    )  # fmt: skip


def _log(material: Material) -> dict[str, Tensor]:
    log = material.log
    if log.vocabulary is None:
        return {}
    return {"vocabulary": log.vocabulary} | ({} if log.field_of is None else {"field_of": log.field_of})


def _table(network: Network, confidence: Confidence | None, params: L0SignParams) -> dict[str, Tensor]:
    chosen = network.pairs.most_supported(params.table_pairs)
    pairs = network.pairs.at(chosen)
    table = {
        "keys": pairs.keys, "gates": pairs.gates, "scores": pairs.scores, "support": pairs.support,
        "contribution": pairs.contribution,
    }  # fmt: skip
    if confidence is not None:
        table |= {"kept": confidence.kept[chosen], "spread": confidence.spread[chosen]}
    return {f"table.{key}": tensor.contiguous() for key, tensor in table.items()}
