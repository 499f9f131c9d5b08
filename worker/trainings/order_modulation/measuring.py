"""Everything that is measured of a network before the training and after it, on the same rows, masks and starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from jobs.context_orders import ContextOrders
from jobs.modulation import Findings, TermValue
from worker.trainings._inputs import Inputs
from worker.trainings._registry import TrainingTask
from worker.trainings.classifier.goals import Classes
from worker.trainings.classifier.splits import Split
from worker.trainings.order_modulation.bottleneck import bottleneck
from worker.trainings.order_modulation.losses import logits_and_differences, sizes_of, term_losses, weighted
from worker.trainings.order_modulation.params import OrderModulationParams
from worker.trainings.order_modulation.players import Seating
from worker.trainings.order_modulation.robustness import Tell, attacked, box_of, epsilons_of, occluded, share_of

_MOST_AT_ONCE = 1024
_NUMBERS_AT_ONCE = 1 << 21
"""Of inputs, in one batch: 13 photographs of 224 × 224, or 1024 rows of a table."""
_MOST_FOLLOWED = 2000
"""Training rows whose loss and accuracy are taken after every epoch."""


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """What every network is measured on.

    Attributes:
        batch: Row indices → inputs and labels, on the device.
    """

    task: TrainingTask
    params: OrderModulationParams
    inputs: Inputs
    goal: Classes
    seating: Seating
    split: Split
    batch: Callable[[Tensor], tuple[Tensor, Tensor]]

    def __call__(self, network: nn.Module, stage: str) -> Findings:
        """Measure `network`, which is in eval mode; `stage` names the progress.

        Raises:
            NumericalError: An output is not finite.
            JobCanceled: Out of the task's report.
        """

        def tell(what: str, done: int, total: int) -> None:
            self.task.report(f"{stage}: {what}", done, total)

        contexts = self._contexts(network, tell)
        train_loss, train_right = self._quality(network, self.split.train)
        loss, right = self._quality(network, self.split.validation)
        batches = [self.batch(rows) for rows in torch.split(self._tested(), self.chunk)]
        masked, structure = occluded(network, batches, self.seating, seed=self.task.seed, tell=tell)
        box = box_of(
            self.inputs.manifest, map(self.inputs.batch, torch.split(self.split.train, self.chunk)), self.task.device
        )
        attacks = attacked(
            network, batches, box, epsilons_of(self.params, self.seating), self.params, seed=self.task.seed, tell=tell
        )
        return Findings(
            train_loss=train_loss, train_accuracy=float(train_right.double().mean()), loss=loss,
            accuracy=share_of(right), loss_gap=loss - train_loss, terms=self._terms(network), contexts=contexts,
            attacks=attacks, masked=masked, structure=structure,
        )  # fmt: skip

    def after_epoch(self, network: nn.Module) -> dict[str, float]:
        """Return the curves' numbers: loss and accuracy, what the terms add up to, and the sum of loss and terms."""
        train_loss, train_right = self._quality(network, self._followed())
        loss, right = self._quality(network, self.split.validation)
        added = weighted(self.params.terms, [torch.tensor(value) for value in self._term_values(network)])
        return {
            "train_loss": train_loss,
            "validation_loss": loss,
            "train_accuracy": float(train_right.double().mean()),
            "validation_accuracy": float(right.double().mean()),
            "validation_modulation": float(added),
            "validation_objective": loss + float(added),
        }

    @property
    def chunk(self) -> int:
        """Rows that go forward at once."""
        return max(1, min(_MOST_AT_ONCE, _NUMBERS_AT_ONCE // prod(self.inputs.manifest.input.shape)))

    def _followed(self) -> Tensor:
        train = self.split.train
        return train[torch.randperm(len(train), generator=self._generator())[:_MOST_FOLLOWED]]

    def _tested(self) -> Tensor:
        """Draw the held-out rows that are attacked and masked; interactions are measured of the first of them."""
        held = self.split.validation
        return held[torch.randperm(len(held), generator=self._generator())[: self.params.measured_rows]]

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.task.seed)

    @torch.no_grad()
    def _quality(self, network: nn.Module, rows: Tensor) -> tuple[float, Tensor]:
        """Return the mean classification loss over `rows`, and which of them are right: `(rows,)` bool."""
        loss, right = 0.0, []
        for part in torch.split(rows, self.chunk):
            inputs, targets = self.batch(part)
            logits = network(inputs)
            loss += float(self.goal.loss_of(logits, targets)) * len(part)
            right.append((logits.argmax(1) == targets).cpu())
        return loss / len(rows), torch.cat(right)

    @torch.no_grad()
    def _term_values(self, network: nn.Module) -> list[float]:
        """Return every term's loss over the held-out rows, without its weight; the same coalitions every time."""
        terms, rows = self.params.terms, self.split.validation
        totals = torch.zeros(len(terms), dtype=torch.float64)
        generator, sizes = self._generator(), [sizes_of(term, self.seating.players) for term in terms]
        for part in torch.split(rows, self.chunk) if terms else ():
            inputs, targets = self.batch(part)
            _, differences = logits_and_differences(
                network, inputs, self.seating, sizes, draws=self.params.draws, generator=generator
            )
            losses = term_losses(terms, differences, targets, self.goal.loss_of)
            totals += torch.stack(losses).double().cpu() * len(part)
        return [float(total) for total in totals / len(rows)]

    def _terms(self, network: nn.Module) -> tuple[TermValue, ...]:
        found = []
        for term, value in zip(self.params.terms, self._term_values(network), strict=True):
            sizes = sizes_of(term, self.seating.players)
            found.append(TermValue(**term.model_dump(), smaller=sizes.smaller, larger=sizes.larger, value=value))
        return tuple(found)

    def _contexts(self, network: nn.Module, tell: Tell) -> ContextOrders:
        inputs, targets = self.batch(self._tested()[: self.params.measured_inputs])
        total = len(inputs) * self.params.budget
        return bottleneck(
            network, inputs, targets, self.seating, budget=self.params.budget, chunk=self.chunk, seed=self.task.seed,
            report=lambda done: tell("interactions", done, max(done, total)),
        )  # fmt: skip
