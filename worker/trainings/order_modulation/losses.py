"""The losses that encourage or suppress interactions of a range of context orders (Eq. 14 and 15).

Δu(r1, r2) is the mean of v(S2) - (k2/k1) v(S1) over coalitions S1 ⊂ S2 of k1 = r1 n and k2 = r2 n players, class by
class of the logits v; by Theorem 2 it is a weighted sum of the interactions of context orders below k2 - 1, most of
those near k1 - 1. With k1 = 0 the factor is 1, as published: the players' own effects then stay in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from worker.trainings.order_modulation.params import Term
from worker.trainings.order_modulation.players import Seating

Classify = Callable[[Tensor, Tensor], Tensor]
"""`classify(logits, targets)`: the mean classification loss."""


@dataclass(frozen=True)
class Sizes:
    """Numbers of players k1 < k2 of a term's nested coalitions."""

    smaller: int
    larger: int

    @property
    def factor(self) -> float:
        """What v(S1) counts: k2/k1, so that effects common to both coalitions cancel."""
        return self.larger / self.smaller if self.smaller else 1.0


def sizes_of(term: Term, players: int) -> Sizes:
    """Round the term's shares of the players to whole players, halves upwards."""
    return Sizes(int(term.r1 * players + 0.5), int(term.r2 * players + 0.5))


def nested(rows: int, players: int, sizes: Sizes, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Draw S1 ⊂ S2 for every row, from one random order of its players: two `(rows, players)` bool."""
    ranks = torch.rand(rows, players, generator=generator).argsort(dim=1).argsort(dim=1)
    return ranks < sizes.smaller, ranks < sizes.larger


def logits_and_differences(
    network: nn.Module,
    inputs: Tensor,
    seating: Seating,
    terms: Sequence[Sizes],
    *,
    draws: int = 1,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Return the logits of whole inputs, `(rows, classes)`, and Δu of every term, likewise, over `draws` pairs.

    All go through the network in one batch: batch norm then learns the statistics of what it is evaluated on.
    """
    rows, parts = len(inputs), [inputs]
    for sizes in terms:
        for _ in range(draws):
            inner, outer = nested(rows, seating.players, sizes, generator)
            parts += [seating.masked(inputs, inner), seating.masked(inputs, outer)]
    logits = network(torch.cat(parts)).reshape(len(parts), rows, -1)
    pairs = logits[1:].reshape(len(terms), draws, 2, *logits.shape[1:])
    return logits[0], [
        (of_term[:, 1] - sizes.factor * of_term[:, 0]).mean(0) for sizes, of_term in zip(terms, pairs, strict=True)
    ]


def suppressing(differences: Tensor) -> Tensor:
    """L-: the negative entropy of softmax(Δu), in nats; least, -log(classes), where Δu tells nothing of the class."""
    logs = differences.log_softmax(dim=1)
    return (logs.exp() * logs).sum(dim=1).mean()


def term_losses(
    terms: Sequence[Term], differences: Sequence[Tensor], targets: Tensor, classify: Classify
) -> list[Tensor]:
    """Return the loss of every term, without its weight: L+ is the classification loss of Δu as if it were logits."""
    return [
        classify(found, targets) if term.kind == "encourage" else suppressing(found)
        for term, found in zip(terms, differences, strict=True)
    ]


def weighted(terms: Sequence[Term], losses: Sequence[Tensor]) -> Tensor:
    """Add up the terms with their weights (Eq. 15, without the classification loss); 0 where there are none."""
    return sum((term.weight * loss for term, loss in zip(terms, losses, strict=True)), torch.zeros(()))
