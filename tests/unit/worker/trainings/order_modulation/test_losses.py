"""Δu and the losses on it, against the paper written out slowly."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch import nn

from tests.reference import order_modulation as reference
from tests.reference.multi_order import mean_over_nested_pairs
from worker.methods.multi_order.exact import output_difference
from worker.trainings.order_modulation.losses import (
    Sizes,
    logits_and_differences,
    nested,
    sizes_of,
    suppressing,
    term_losses,
    weighted,
)
from worker.trainings.order_modulation.params import Term
from worker.trainings.order_modulation.players import Seating

ROWS, PLAYERS, CLASSES = 4, 6, 3
EXACT = 1e-10  # float64 on both sides, sums over a few dozen numbers
STEP, SLOPE = 1e-6, 1e-6  # central differences in float64 are off by about STEP² and 1e-16 / STEP


@pytest.fixture
def seating() -> Seating:
    """Six players, of which the last owns two inputs."""
    labels = torch.tensor([0, 1, 2, 3, 4, 5, 5])
    baseline = torch.linspace(-1, 1, 7, dtype=torch.float64)
    return Seating(labels=labels, baseline=baseline, names=None, grid=None)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(7, 8), nn.Tanh(), nn.Linear(8, CLASSES)).double()


@pytest.fixture
def inputs() -> torch.Tensor:
    return torch.randn(ROWS, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def slow_logits(network, row, seating):
    """Mask number by number."""

    def logits(present: frozenset[int]) -> list[float]:
        numbers = [
            float(value if owner in present else absent)
            for value, absent, owner in zip(row, seating.baseline, seating.labels.tolist(), strict=True)
        ]
        return network(torch.tensor([numbers], dtype=torch.float64))[0].tolist()

    return logits


def members(present):
    return frozenset(present.nonzero().flatten().tolist())


def classify(logits, targets):
    return nn.functional.cross_entropy(logits, targets)


@pytest.mark.parametrize("sizes", [Sizes(0, 3), Sizes(2, 4), Sizes(4, 6)])
@pytest.mark.parametrize("draws", [1, 3])
def test_differences_and_losses_match_the_paper(network, inputs, seating, sizes, draws):
    labels = [0, 2, 1, 1]
    logits, (found,) = logits_and_differences(
        network, inputs, seating, [sizes], draws=draws, generator=torch.Generator().manual_seed(3)
    )
    same = torch.Generator().manual_seed(3)
    drawn = [nested(ROWS, PLAYERS, sizes, same) for _ in range(draws)]

    expected = [
        reference.difference(
            slow_logits(network, row, seating),
            [(members(inner[at]), members(outer[at])) for inner, outer in drawn],
        )
        for at, row in enumerate(inputs)
    ]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=EXACT)
    torch.testing.assert_close(logits, network(inputs), rtol=0, atol=EXACT)
    terms = [Term(kind="encourage", r1=0, r2=1), Term(kind="suppress", r1=0, r2=1, weight=0.5)]
    plus, minus = term_losses(terms, [found, found], torch.tensor(labels), classify)
    plus, minus = plus.detach(), minus.detach()
    assert float(plus) == pytest.approx(reference.encouraging(expected, labels), abs=EXACT)
    assert float(minus) == pytest.approx(reference.suppressing(expected), abs=EXACT)
    assert float(weighted(terms, [plus, minus])) == pytest.approx(float(plus) + 0.5 * float(minus), abs=EXACT)


def test_the_mean_over_draws_is_the_weighted_sum_of_interactions(network, inputs, seating):
    """Eq. 14's expectation is what Theorem 2 speaks of; a draw is an unbiased sample of it."""
    draws, sizes = 4000, Sizes(2, 4)
    logits = slow_logits(network, inputs[0], seating)
    table = [logits(frozenset(k for k in range(PLAYERS) if state >> k & 1))[0] for state in range(1 << PLAYERS)]
    exact = float(output_difference(torch.tensor(table, dtype=torch.float64), 2, 4))
    assert exact == pytest.approx(mean_over_nested_pairs(table, 2, 4), abs=EXACT)

    many = inputs[:1].expand(draws, -1)
    with torch.no_grad():
        _, (found,) = logits_and_differences(
            network, many, seating, [sizes], generator=torch.Generator().manual_seed(0)
        )

    error = float(found[:, 0].std()) / draws**0.5
    assert abs(float(found[:, 0].mean()) - exact) < 4 * error  # 4 standard errors, of a fixed seed


def test_coalitions_are_nested_and_every_one_is_drawn():
    inner, outer = nested(3000, 4, Sizes(1, 3), torch.Generator().manual_seed(0))

    assert (inner.sum(1) == 1).all()
    assert (outer.sum(1) == 3).all()
    assert not (inner & ~outer).any()
    counts = {
        (small, large): int(((inner == torch.tensor([k == small for k in range(4)])).all(1)
                             & (outer == torch.tensor([k in large for k in range(4)])).all(1)).sum())
        for large in combinations(range(4), 3) for small in large
    }  # fmt: skip
    assert len(counts) == 12
    assert min(counts.values()) > 180  # 250 expected, with a standard deviation of 15


def test_gradients_reach_the_weights(network, inputs, seating):
    terms = [Term(kind="encourage", r1=0.3, r2=0.7, weight=2.0), Term(kind="suppress", r1=0, r2=0.5)]
    sizes, targets = [sizes_of(term, PLAYERS) for term in terms], torch.tensor([0, 1, 2, 0])

    def objective():
        logits, found = logits_and_differences(
            network, inputs, seating, sizes, draws=2, generator=torch.Generator().manual_seed(0)
        )
        return classify(logits, targets) + weighted(terms, term_losses(terms, found, targets, classify))

    objective().backward()
    for weight in network.parameters():
        for at in (0, weight.numel() - 1):
            flat, found = weight.data.view(-1), float(weight.grad.view(-1)[at])
            with torch.no_grad():
                flat[at] += STEP
                above = float(objective())
                flat[at] -= 2 * STEP
                below = float(objective())
                flat[at] += STEP
            assert found == pytest.approx((above - below) / (2 * STEP), abs=SLOPE)


def test_suppression_is_least_where_nothing_is_said_of_the_class():
    silent, loud = torch.zeros(2, 4), torch.tensor([[50.0, 0, 0, 0]] * 2)

    assert float(suppressing(silent)) == pytest.approx(-torch.log(torch.tensor(4.0)))
    assert float(suppressing(loud)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("r1", "r2", "sizes"), [(0, 0.5, (0, 8)), (0.7, 1, (11, 16)), (0.3, 0.7, (5, 11))])
def test_shares_are_rounded_to_whole_players(r1, r2, sizes):
    found = sizes_of(Term(kind="suppress", r1=r1, r2=r2), 16)

    assert (found.smaller, found.larger) == sizes
    assert found.factor == (sizes[1] / sizes[0] if sizes[0] else 1)
