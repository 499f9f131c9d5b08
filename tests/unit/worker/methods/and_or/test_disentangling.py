"""The decay and spindle models against their formulas, and Eq. 9 on profiles made by it."""

from math import comb

import numpy as np
import pytest
import torch

from tests.reference import and_or as reference
from worker.methods.and_or import disentangling, orders

DENSE = 1e-10  # the dense solve has condition number 3e8 at δ = 1e-3, n = 8
GRID = 1e-4  # α is refined to 1e-5 of its range


def random_atoms(samples, n, seed=0):
    return torch.randn(samples, 2, 2**n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
@pytest.mark.parametrize("delta", [1e-3, 3e-2, 1.0])
def test_the_decay_is_that_of_the_dense_matrix(n, delta):
    atoms = random_atoms(3, n)

    expected = np.einsum("st,bkt->bks", reference.decay_matrix(n, delta), atoms.numpy())

    np.testing.assert_allclose(disentangling.decayed(atoms, delta), expected, atol=DENSE)


def test_without_noise_nothing_decays():
    atoms = random_atoms(2, 7)

    torch.testing.assert_close(disentangling.decayed(atoms, 0.0), atoms, atol=DENSE, rtol=0)


def test_noise_taxes_higher_orders_more():
    atoms = random_atoms(4, 8)

    kept = disentangling.decay_profile(atoms, 0.3).sum(0) / orders.order_profile(atoms).mean(0).sum(0)

    assert (kept[1:] < kept[:-1]).all()


def test_more_noise_leaves_less_energy():
    atoms = random_atoms(1, 8)
    weights = 2.0 ** orders.transforms.orders(8)

    energies = [float((weights * disentangling.decayed(atoms, delta) ** 2).sum()) for delta in (0.001, 0.01, 0.1, 1.0)]

    assert energies == sorted(energies, reverse=True)


def test_the_spindle_is_the_binomial_where_that_is_whole():
    profile = disentangling.spindle_profile(10, torch.tensor([0.5, 1.0], dtype=torch.float64))

    np.testing.assert_allclose(profile[0], [comb(5, m) for m in range(1, 11)], rtol=1e-12)
    np.testing.assert_allclose(profile[1], [comb(10, m) for m in range(1, 11)], rtol=1e-12)


def test_the_spindle_is_never_negative():
    assert (disentangling.spindle_profile(12, torch.linspace(0.2, 1.3, 111)) >= 0).all()


@pytest.mark.parametrize(("alpha", "beta", "gamma"), [(0.55, 0.3, 0.8), (0.913, 0.02, 1.7), (0.4, 2.0, 0.1)])
def test_planted_parameters_are_found(alpha, beta, gamma):
    converged = random_atoms(3, 10) * 0.3 ** orders.transforms.orders(10)
    delta = disentangling.delta_grid()[10]
    spindle = disentangling.spindle_profile(10, torch.tensor(alpha, dtype=torch.float64))
    profile = gamma * disentangling.decay_profile(converged, delta) + beta * spindle

    fit = disentangling.disentangle(profile, converged, mode="later")

    assert fit.delta == delta
    assert (fit.alpha, fit.beta, fit.gamma) == pytest.approx((alpha, beta, gamma), rel=GRID)
    assert fit.error < GRID


def test_parts_and_residual_make_up_the_profile():
    converged = random_atoms(2, 6)
    profile = orders.order_profile(random_atoms(2, 6, seed=1)).mean(0)

    fit = disentangling.disentangle(profile, converged, mode="self", delta=disentangling.DELTA)

    torch.testing.assert_close(fit.decay + fit.spindle + fit.residual, profile)
    assert (fit.decay >= 0).all()
    assert (fit.spindle >= 0).all()
    assert 0 <= fit.spindle_share <= 1


def test_a_network_fitted_by_itself_needs_no_spindle_as_delta_goes_to_zero():
    atoms = random_atoms(2, 6)
    profile = orders.order_profile(atoms).mean(0)

    fits = disentangling.sensitivity(profile, atoms, mode="self")

    assert [fit.delta for fit in fits] == disentangling.delta_grid()
    assert fits[0].error < 1e-3
    assert fits[0].spindle_share < 1e-2
    assert fits[-1].error > fits[0].error


def test_a_pure_spindle_has_no_decay():
    profile = 0.7 * disentangling.spindle_profile(8, torch.tensor(0.8, dtype=torch.float64)).repeat(2, 1)
    lone = torch.zeros(1, 2, 2**8, dtype=torch.float64)

    fit = disentangling.disentangle(profile, lone, mode="self", delta=0.01)

    assert fit.alpha == pytest.approx(0.8, rel=GRID)
    assert fit.spindle_share == 1


def test_nothing_is_disentangled_into_nothing():
    fit = disentangling.disentangle(torch.zeros(2, 4), torch.zeros(1, 2, 16), mode="self", delta=0.01)

    assert (fit.beta, fit.gamma, fit.spindle_share, fit.error) == (0, 0, 0, 0)


@pytest.mark.parametrize(("delta", "message"), [(None, "expected a fixed delta"), (0.0, "expected delta above 0")])
def test_a_network_is_not_fitted_by_itself_with_delta_free(delta, message):
    with pytest.raises(ValueError, match=message):
        disentangling.disentangle(torch.ones(2, 4), torch.ones(1, 2, 16), mode="self", delta=delta)
