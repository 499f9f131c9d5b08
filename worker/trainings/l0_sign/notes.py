"""What a reader must know before relying on a training of L0-SIGN."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from worker.trainings.l0_sign.material import Material
from worker.trainings.l0_sign.networks import Network
from worker.trainings.l0_sign.params import L0SignParams
from worker.trainings.l0_sign.rivals import Rival

_FEW, _ALL = 0.005, 0.995
"""Shares of kept edges that count as none and as all."""
_GAP = 0.05
"""Of AUC or R² between training and test rows: more is overfitting."""


def notes_of(
    params: L0SignParams, material: Material, networks: Sequence[Network], rivals: Sequence[Rival]
) -> tuple[str, ...]:
    """Return the notes."""
    return (
        *material.log.notes, *_on_labels(material), *_on_edges(networks[0], params), *_on_the_fit(networks[0], params),
        *_on_rivals(networks[0], rivals, params), *_on_published(params), *_on_unknown(material),
    )  # fmt: skip


def _on_labels(material: Material) -> Iterator[str]:
    if not material.of_classes:
        yield "The labels are numbers: the loss is the squared error of standardised labels, and there is no AUC."
    elif tuple(material.labels.classes) not in (("0", "1"), ("-1", "1")):
        yield f"Above 0, a margin speaks for {material.labels.classes[1]!r}, below for {material.labels.classes[0]!r}."


def _on_edges(network: Network, params: L0SignParams) -> Iterator[str]:
    kept = network.test.edges_kept
    if not params.gates or math.isnan(kept):
        return
    if kept <= _FEW:
        yield (
            f"Nearly all gates are closed ({kept:.2%} of the edges are kept), so predictions differ little: a lower "
            "lambda1, or a later one (gate_delay, gate_warmup), leaves more."
        )
    elif kept >= _ALL:
        yield (
            f"Nearly all gates are open ({kept:.2%} of the edges are kept): a higher lambda1, an earlier one "
            "(gate_delay, gate_warmup), or more patience would close some."
        )


def _on_the_fit(network: Network, params: L0SignParams) -> Iterator[str]:
    name = "auc" if "auc" in network.test.numbers else "r2"
    train, test = network.train.numbers[name], network.test.numbers[name]
    if train - test > _GAP:
        yield (
            f"It fits the rows it learned from better than others ({name} {train:.3f} against {test:.3f}): some of its "
            "pairs are noise. More rows, a higher least_support, lambda1 or lambda2 may help."
        )
    if network.course.best_epoch == network.course.epoch == params.epochs:
        yield "The last epoch was the best so far; more epochs may do better."
    if network.course.best_epoch == 0:
        yield "No epoch could be judged on the validation rows; the network is as it was drawn."


def _on_rivals(network: Network, rivals: Sequence[Rival], params: L0SignParams) -> Iterator[str]:
    name = "auc" if "auc" in network.test.numbers else "r2"
    mine = network.test.numbers[name]
    better = [(one.name, one.measured.numbers[name]) for one in rivals if one.measured.numbers[name] > mine]
    if better and params.gates and better[0][0] == "sign":
        yield (
            f"With its gates it is below SIGN with all edges on the test rows ({name} {mine:.4f} against "
            f"{better[0][1]:.4f}): here sparsity costs accuracy."
        )
    if others := [f"{other} ({value:.4f})" for other, value in better if other != "sign"]:
        yield f"Better on the test rows ({name} {mine:.4f}): {', '.join(others)}."


def _on_published(params: L0SignParams) -> Iterator[str]:
    if params.compat == "published":
        yield (
            "As in the published code, gates are noisy at evaluation too, so the metrics are one draw; pairs, rows and "
            "fields are without noise. The order of a row matters."
        )


def _on_unknown(material: Material) -> Iterator[str]:
    log, train = material.log, len(material.parts.train)
    if not int(log.support[-1]):
        yield (
            "No training row holds an unknown feature, so the unknown embedding is as it was drawn: rows with features "
            "that come later are predicted by the rest of them at best."
        )
    elif (share := int(log.support[-1]) / train) > 0.5:
        yield f"{share:.0%} of the training rows hold a feature that is too rare to be known (least_support)."
