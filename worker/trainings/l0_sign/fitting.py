"""Train L0-SIGN: the risk of each batch, and the state that is best on validation rows.

Noise behind the gates is drawn from the global generator, which `_fitting` seeds anew in every epoch, so that a
training that was killed goes on with the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from worker.methods.l0_sign.losses import Lambdas, risk
from worker.methods.l0_sign.model import Design, L0Sign
from worker.trainings._fitting import Course, Schedule, State, fit
from worker.trainings._registry import TrainingTask
from worker.trainings.l0_sign.material import Material, portions
from worker.trainings.l0_sign.measures import accuracy, auc
from worker.trainings.l0_sign.params import L0SignParams

_FREE = Lambdas(gates=0, messages=0)
_RATES = {"adam": 0.01, "adagrad": 0.05}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one network is trained.

    Attributes:
        initial_gate: Added to log α at first.
        initial_embedding, initial_spread: Mean and deviation of the embeddings at first.
        gate_delay: Epochs in which λ1 counts as 0.
        gate_warmup: Epochs after these over which it rises.
        chosen_by: What is best in the best epoch.
    """

    design: Design
    lambdas: Lambdas
    schedule: Schedule
    initial_gate: float = 0.0
    initial_embedding: float = 0.0
    initial_spread: float = 1.0
    gate_delay: int = 0
    gate_warmup: int = 0
    chosen_by: str = "objective"

    def lambdas_in(self, epoch: int) -> Lambdas:
        """Return the weights in an epoch, counted from 0: with a warm-up of 4, 1/5 of λ1 in the first of the 4."""
        begun = (epoch - self.gate_delay + 1) / (self.gate_warmup + 1)
        return replace(self.lambdas, gates=self.lambdas.gates * min(max(begun, 0.0), 1.0))

    def judged(self, numbers: Mapping[str, float]) -> float:
        """Return what is lowest in the best epoch."""
        return -numbers["validation_auc"] if self.chosen_by == "auc" else numbers[f"validation_{self.chosen_by}"]


def recipe_of(params: L0SignParams, material: Material, lambdas: Lambdas, *, gates: bool) -> Recipe:
    """Return what the parameters say of this dataset."""
    design = Design(
        features=material.log.features, embedding=params.embedding, edge_embedding=params.edge_embedding,
        hidden=params.hidden, gated=gates, mean=params.mean, compat=params.compat, beta=params.beta,
    )  # fmt: skip
    schedule = schedule_of(params, material)
    if gates:
        schedule = replace(schedule, unjudged=min(params.rising, params.epochs - 1))
    return Recipe(
        design=design, lambdas=lambdas, schedule=schedule, initial_gate=params.initial_gate,
        initial_embedding=params.initial_embedding, initial_spread=params.initial_spread,
        gate_delay=params.delay, gate_warmup=params.warmup, chosen_by=params.chosen_by,
    )  # fmt: skip


def schedule_of(params: L0SignParams, material: Material) -> Schedule:
    """Return how the parameters say to go downhill."""
    optimizer = params.optimizer or ("adagrad" if params.compat == "published" else "adam")
    return Schedule(
        epochs=params.epochs, batch_size=material.batch, optimizer=optimizer,
        learning_rate=params.learning_rate or _RATES[optimizer], momentum=0.0, weight_decay=0.0,
        patience=params.patience, minimised="objective", decay=params.learning_rate_decay,
    )  # fmt: skip


def train_network(task: TrainingTask, material: Material, recipe: Recipe) -> Course:
    """Train a network whose weights follow from `task.seed`.

    Raises:
        NumericalError: The loss is not finite.
        JobCanceled: Out of `task.report`.
    """
    network, weights = _fresh(recipe, task.seed), [recipe.lambdas]
    rows, targets = material.log.rows, material.targets

    def begin(epoch: int) -> None:
        weights[0] = recipe.lambdas_in(epoch)

    def loss(network: nn.Module, batch: Tensor, wanted: Tensor) -> Tensor:
        found = network(rows.take(batch), torch.default_generator)
        by_row = None if material.by_class is None else material.by_class[wanted]
        return risk(found, wanted, weights[0], objective=material.objective, weights=by_row)

    return fit(
        network, lambda batch: (batch, targets[batch]), train=material.parts.train, schedule=recipe.schedule,
        task=task, loss=loss, begin=begin, judged=recipe.judged, save_last=True,
        evaluate=lambda _: measured(
            network, material, material.parts.validation, seed=task.seed, lambdas=recipe.lambdas,
            batch=recipe.schedule.batch_size,
        ).named("validation"),
    )  # fmt: skip


def network_of(recipe: Recipe, state: State) -> L0Sign:
    """Return the network with given weights, in eval mode, frozen."""
    network = L0Sign(recipe.design, torch.Generator())
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def _fresh(recipe: Recipe, seed: int) -> L0Sign:
    network = L0Sign(recipe.design, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        known = network.nodes[:-1]  # drawn around 0 with deviation 1; the unknown feature stays at 0
        known.mul_(recipe.initial_spread).add_(recipe.initial_embedding)
        if recipe.design.gated:
            network.edge.outer.bias.add_(recipe.initial_gate)
    return network


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a network is worth on some rows.

    Attributes:
        margins: `(rows,)`.
        objective: The risk with its penalties; NaN where there are none to count.
        edges_kept: Share of the rows' pairs whose gate is not 0.
    """

    margins: Tensor
    targets: Tensor
    loss: float
    objective: float
    edges_kept: float
    of_classes: bool

    @property
    def numbers(self) -> dict[str, float]:
        """Everything but the margins, by name."""
        named = {"loss": self.loss, "objective": self.objective, "edges_kept": self.edges_kept}
        if not self.of_classes:
            return named | {"r2": 1 - self.loss / float(self.targets.double().var(correction=0))}
        return named | {"auc": auc(self.margins, self.targets), "accuracy": accuracy(self.margins, self.targets)}

    def named(self, part: str) -> dict[str, float]:
        return {f"{part}_{name}": value for name, value in self.numbers.items()}


@torch.no_grad()
def measured(
    network: L0Sign, material: Material, which: Tensor, *, seed: int, lambdas: Lambdas, batch: int
) -> Measured:
    """Measure `network`, in eval mode, on the rows `which`.

    Args:
        seed: Of the noise, which only a published network has at evaluation.
        batch: Rows at once; the published penalties depend on it.
    """
    generator = torch.Generator().manual_seed(seed)
    losses = objectives = kept = pairs = 0.0
    margins: list[Tensor] = []
    for part in portions(material.log.rows, which, most=batch):
        found = network(material.log.rows.take(part), generator)
        targets: Any = material.targets[part]
        losses += float(risk(found, targets, _FREE, objective=material.objective)) * len(part)
        objectives += float(risk(found, targets, lambdas, objective=material.objective)) * len(part)
        kept, pairs = kept + float((found.gates > 0).sum()), pairs + len(found.gates)
        margins.append(found.margins)
    return Measured(
        margins=torch.cat(margins), targets=material.targets[which], loss=losses / len(which),
        objective=objectives / len(which), edges_kept=kept / pairs if pairs else math.nan,
        of_classes=material.of_classes,
    )  # fmt: skip
