"""Attacks and masking: what is counted, and on which inputs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from worker.trainings.order_modulation import occlusion
from worker.trainings.order_modulation.attack import Box, survivors
from worker.trainings.order_modulation.robustness import share_of


def linear(weight) -> nn.Module:
    """Class 1 where w·x > 0, class 0 else."""
    network = nn.Linear(len(weight), 2, bias=False)
    with torch.no_grad():
        network.weight.copy_(torch.stack([torch.zeros(len(weight)), torch.tensor(weight)]))
    return network.eval().requires_grad_(False)


def box(unit, bound=torch.inf):
    return Box(unit=torch.tensor(unit), low=torch.tensor(-bound), high=torch.tensor(bound))


def alive(network, inputs, epsilons, box, steps=20, step=None):
    found = survivors(
        network, inputs, network(inputs).argmax(1), epsilons=epsilons, box=box, steps=steps, step=step,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    return {epsilon: right.tolist() for epsilon, right in found}


def test_an_attack_on_a_linear_network_succeeds_exactly_where_one_can():
    """A change of ε moves w·x by ε Σ unit |w|, which is 2.5 ε here."""
    network = linear([1.0, -2.0, 1.0])
    inputs = torch.tensor([[1.0, 0, 0], [2.0, 0, 0], [-1.0, 0, 0]])

    found = alive(network, inputs, [0.39, 0.41, 0.9], box([0.5, 1.0, 0.0]))

    assert found == {0.0: [True] * 3, 0.39: [True] * 3, 0.41: [False, True, False], 0.9: [False] * 3}


def test_an_attack_stays_between_black_and_white():
    network = linear([1.0, 0.0])

    assert alive(network, torch.tensor([[0.9, 0.0]]), [5.0], box([1.0, 1.0], bound=1.0))[5.0] == [False]
    bounded = Box(unit=torch.ones(2), low=torch.tensor([0.5, 0.0]), high=torch.tensor([1.0, 1.0]))
    assert alive(network, torch.tensor([[0.9, 0.0]]), [5.0], bounded)[5.0] == [True]


def test_rows_that_are_wrong_from_the_start_count_as_lost():
    network, inputs = linear([1.0]), torch.tensor([[1.0], [-1.0]])
    (_, clean), (_, attacked) = survivors(
        network, inputs, torch.tensor([1, 1]), epsilons=[0.1], box=box([1.0]), steps=2, step=None,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip

    assert clean.tolist() == attacked.tolist() == [True, False]


def test_a_row_is_attacked_from_the_same_start_whatever_else_is_lost():
    """Networks are compared, so chance must not fall differently on one of them."""
    seen = []

    class Watched(nn.Module):
        def forward(self, inputs):
            seen.append(inputs[-1].detach().clone())
            return linear([1.0])(inputs)

    for targets in ([1, 1], [0, 1]):  # the first row survives, or is lost from the start
        survivors_of = survivors(
            Watched(), torch.ones(2, 1), torch.tensor(targets), epsilons=[0.1, 0.2], box=box([1.0]), steps=1, step=None,
            generator=torch.Generator().manual_seed(0),
        )  # fmt: skip
        assert all(right[-1] for _, right in survivors_of)

    half = len(seen) // 2
    assert torch.equal(torch.stack(seen[:half]), torch.stack(seen[half:]))


def test_steps_are_as_long_as_asked_for():
    """The random start of this seed is near the input itself: one short step from there changes nothing."""
    network, inputs = linear([1.0]), torch.tensor([[1.5]])

    assert alive(network, inputs, [1.6], box([1.0]), steps=1, step=1e-6)[1.6] == [True]
    assert alive(network, inputs, [1.6], box([1.0]), steps=1)[1.6] == [False]


def test_masking_from_the_border_keeps_the_middle():
    present = occlusion.around(5, (4, 4), 12, torch.Generator().manual_seed(0))

    assert present.reshape(5, 4, 4)[:, 1:3, 1:3].all()
    assert (present.sum(1) == 4).all()
    corners = occlusion.around(1, (4, 4), 4, torch.Generator().manual_seed(0)).reshape(4, 4)
    assert not corners[::3, ::3].any()


def test_masking_at_random_differs_from_row_to_row():
    present = occlusion.at_random(50, 6, 2, torch.Generator().manual_seed(0))

    assert (present.sum(1) == 4).all()
    assert len({tuple(row) for row in present.tolist()}) > 5


@pytest.mark.parametrize(("players", "counts"), [(2, [0, 1, 2]), (16, [0, 2, 4, 6, 8, 10, 12, 14, 16])])
def test_masked_counts_go_from_none_to_all(players, counts):
    assert occlusion.masked_counts(players) == counts


def test_the_area_is_what_surrounding_masking_keeps_more():
    assert occlusion.area_between([0, 0.5, 1], [1, 0.8, 0.1], [1, 0.4, 0.1]) == pytest.approx(0.2)


def test_an_interval_stays_within_bounds_and_holds_its_share():
    for hits in (0, 1, 10, 19, 20):
        found = share_of(torch.arange(20) < hits)

        assert 0 <= found.low <= found.value == hits / 20 <= found.high <= 1
        assert found.high - found.low > 0.1
