import math

import pytest
import torch

from worker.methods.l0_sign.hard_concrete import HardConcrete

DRAWS = 100_000
FIVE_DEVIATIONS = 5 * 0.5 / DRAWS**0.5
"""A share of this many draws deviates by at most half a root; five of those come once in a million."""

LOG_ALPHAS = (-3.0, -0.5, 0.0, 1.2, 4.0)
PAPER = HardConcrete()
PUBLISHED = HardConcrete(base=2)


def drawn(gate: HardConcrete, log_alpha: float) -> torch.Tensor:
    uniform = torch.rand(DRAWS, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return gate.drawn(torch.tensor(log_alpha, dtype=torch.float64), uniform)


@pytest.mark.parametrize("log_alpha", LOG_ALPHAS)
@pytest.mark.parametrize("gate", [PAPER, PUBLISHED, HardConcrete(beta=0.3, gamma=-0.4, zeta=1.2)])
def test_drawn_gates_are_distributed_as_the_closed_forms_say(gate, log_alpha):
    gates, parameter = drawn(gate, log_alpha), torch.tensor(log_alpha)

    for below in (0.0, 0.1, 0.5, 0.9):
        share = float((gates <= below).double().mean())
        assert share == pytest.approx(float(gate.probability_below(parameter, below)), abs=FIVE_DEVIATIONS)
    share = float((gates == 1).double().mean())
    assert share == pytest.approx(float(gate.probability_of_one(parameter)), abs=FIVE_DEVIATIONS)


@pytest.mark.parametrize("log_alpha", LOG_ALPHAS)
def test_the_penalty_is_the_probability_that_a_gate_is_open(log_alpha):
    share = float((drawn(PAPER, log_alpha) > 0).double().mean())

    assert float(PAPER.penalty(torch.tensor(log_alpha))) == pytest.approx(share, abs=FIVE_DEVIATIONS)


def test_the_published_penalty_is_not():
    log_alpha = torch.tensor(1.0)

    assert float(PUBLISHED.penalty(log_alpha)) == pytest.approx(1 / (1 + math.exp(-1 - 0.66 * math.log2(11))))
    assert abs(float(PUBLISHED.penalty(log_alpha) + PUBLISHED.probability_below(log_alpha, 0.0)) - 1) > 0.03


def test_a_gate_at_rest_is_stretched_and_clipped():
    log_alpha = torch.tensor([-30.0, 0.0, 30.0])

    assert PAPER.at_rest(log_alpha).tolist() == pytest.approx([0.0, 0.5, 1.0])


def test_extreme_noise_keeps_gradients_finite():
    log_alpha = torch.zeros(2, requires_grad=True)

    PAPER.drawn(log_alpha, torch.tensor([0.0, 1 - 2**-24])).sum().backward()

    assert log_alpha.grad is not None
    assert log_alpha.grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("wrong", [{"beta": 0}, {"gamma": 0.1}, {"zeta": 1}, {"base": 1}])
def test_a_gate_that_is_never_closed_or_open_is_refused(wrong):
    with pytest.raises(ValueError, match="expected beta > 0"):
        HardConcrete(**wrong)
