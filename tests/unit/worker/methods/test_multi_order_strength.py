"""Interaction strength by context order, and the theoretical curve."""

from __future__ import annotations

from math import comb, log, sqrt

import pytest
import torch

from worker.methods.multi_order import theory
from worker.methods.multi_order.estimates import Estimate
from worker.methods.multi_order.strength import (
    contextual_variability,
    corrected,
    mean_absolute,
    mean_square,
    of_estimates,
    order_grid,
    relative,
    strength,
)

ORDERS = (0, 1, 2, 3, 4)
U_SHAPE = torch.tensor([2.0, 1.0, 0.3, 0.8, 1.6], dtype=torch.float64)


def noisy(scale, contexts, *, samples=40, n=8, seed=0):
    """True interactions of scale U_SHAPE, and estimates of them from a few contexts with noise of standard scale."""
    generator = torch.Generator().manual_seed(seed)
    shape = (samples, len(ORDERS), n, n)
    true = torch.randn(shape, generator=generator, dtype=torch.float64) * U_SHAPE[:, None, None]
    draws = true + scale * torch.randn((contexts, *shape), generator=generator, dtype=torch.float64)
    return true, draws.mean(0), draws.std(0) / sqrt(contexts)


def test_strength_averages_absolute_interactions_over_pairs():
    """By hand: pairs 01, 02 and 12 are 1, -2 and 3; the lower triangle and the diagonal do not count."""
    matrix = torch.tensor([[9.0, 1.0, -2.0], [9.0, 9.0, 3.0], [9.0, 9.0, 9.0]])

    assert mean_absolute(matrix[None]).tolist() == [2.0]
    assert float(mean_square(matrix[None], torch.ones(1, 3, 3))) == pytest.approx(14 / 3 - 1)


def test_relative_strength_averages_to_one_over_the_grid():
    true, _, _ = noisy(0, 2)

    found = strength(true, orders=ORDERS, generator=torch.Generator().manual_seed(0))

    assert float(found.relative.mean()) == pytest.approx(1)
    torch.testing.assert_close(found.relative, relative(U_SHAPE), rtol=0.1, atol=0)


def test_noise_inflates_the_weakest_order_and_the_correction_takes_it_off():
    """The bottleneck's dip, 0.3 of 1.14, is drowned by noise of 1 over 3 contexts."""
    true, estimated, errors = noisy(1.0, 3)
    generator = torch.Generator().manual_seed(0)

    exact = strength(true, orders=ORDERS, generator=generator)
    found = strength(estimated, errors, orders=ORDERS, generator=generator)

    assert float(found.relative[2] / exact.relative[2]) > 1.5
    # Over 40 samples of 28 pairs, the root of the corrected mean square is itself uncertain by a tenth.
    assert float(found.corrected[2] / exact.corrected[2]) == pytest.approx(1, abs=0.35)
    assert float(found.corrected[0] / exact.corrected[0]) == pytest.approx(1, abs=0.1)


def test_without_noise_nothing_is_corrected():
    true, _, _ = noisy(0, 2)

    squares = mean_square(true, torch.zeros_like(true)).mean(0)

    torch.testing.assert_close(corrected(squares), relative(U_SHAPE), rtol=0.1, atol=0)


def test_what_noise_explains_altogether_counts_as_zero():
    assert corrected(torch.tensor([4.0, -1.0])).tolist() == [2.0, 0.0]


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    covered = []
    for seed in range(60):
        true, _, _ = noisy(0, 2, samples=20, seed=seed)
        found = strength(true, orders=ORDERS, generator=torch.Generator().manual_seed(seed))
        covered.append((found.interval[0] <= relative(U_SHAPE)) & (relative(U_SHAPE) <= found.interval[1]))

    # 300 intervals of 95 %; the plain bootstrap of 20 samples falls short by a few percent.
    assert 0.85 <= float(torch.stack(covered).double().mean()) <= 1


def test_of_one_sample_the_intervals_are_over_its_pairs():
    covered = []
    for seed in range(40):
        true, _, _ = noisy(0, 2, samples=1, seed=seed, n=12)
        found = strength(true, orders=ORDERS, generator=torch.Generator().manual_seed(seed))
        covered.append((found.interval[0] <= relative(U_SHAPE)) & (relative(U_SHAPE) <= found.interval[1]))

    assert found.resampled == "pairs"
    # 200 intervals of 95 % from 66 independent pairs each.
    assert 0.85 <= float(torch.stack(covered).double().mean()) <= 1


def test_pairs_that_were_not_estimated_are_left_out_of_the_resampling():
    true, _, _ = noisy(0, 2, samples=1)
    some = true.clone()
    some[0, :, 0] = some[0, :, :, 0] = torch.nan

    found = strength(some, orders=ORDERS, generator=torch.Generator().manual_seed(0))

    assert found.interval.isfinite().all()
    expected = strength(true[:, :, 1:, 1:], orders=ORDERS, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(found.interval, expected.interval)


def test_one_pair_of_one_sample_has_no_interval():
    found = strength(noisy(0, 2, samples=1, n=2)[0], orders=ORDERS, generator=torch.Generator())

    assert found.interval.isnan().all()


def test_estimates_are_joined_over_samples():
    true, _, errors = noisy(1, 2, samples=3)
    estimates = [Estimate(orders=ORDERS, values=true[k], standard_errors=errors[k], evaluations=1) for k in range(3)]

    found = of_estimates(estimates, generator=torch.Generator().manual_seed(1))

    expected = strength(true, errors, orders=ORDERS, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(found.corrected, expected.corrected)


def test_a_sample_of_unknown_errors_is_left_out_of_the_corrected_strength():
    true, _, errors = noisy(1, 2, samples=4)
    unknown = errors.clone()
    unknown[3, 2] = torch.nan

    found = strength(true, unknown, orders=ORDERS, generator=torch.Generator().manual_seed(0))

    squares = mean_square(true, errors)
    expected = torch.cat([squares[:, :2].mean(0), squares[:3, 2:3].mean(0), squares[:, 3:].mean(0)])
    torch.testing.assert_close(found.corrected, corrected(expected))


def test_estimates_of_other_orders_are_refused():
    values = torch.zeros(1, 3, 3)
    estimates = [Estimate(orders=(m,), values=values, standard_errors=values, evaluations=0) for m in (0, 1)]

    with pytest.raises(ValueError, match="same orders"):
        of_estimates(estimates, generator=torch.Generator())


def test_a_grid_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match=r"expected \(samples, 2 orders, n, n\)"):
        strength(torch.zeros(1, 3, 4, 4), orders=(0, 1), generator=torch.Generator())


def test_the_published_grid_of_256_players():
    assert order_grid(256) == (0, 12, 25, 50, 76, 101, 127, 152, 177, 203, 228, 241, 254)
    assert order_grid(4) == (0, 1, 2)


def test_contextual_variability_peaks_in_the_middle():
    found = contextual_variability(8)

    assert float(found[3]) == pytest.approx(log(comb(6, 3)))
    assert int(found.argmax()) == 3


# ---------------------------------------------------------------- theory


@pytest.mark.parametrize("n", [4, 9, 16])
def test_the_curve_is_equation_13(n):
    m = torch.arange(n - 1).double()

    found = theory.learning_strength(n, m / (n - 2), with_weight=True)

    expected = [(n - 1 - k) / (n - 1) / sqrt(comb(n - 2, k)) for k in range(n - 1)]
    assert found.tolist() == pytest.approx(expected, rel=1e-9)


def test_without_the_weight_the_curve_is_symmetric():
    curve = theory.learning_strength(7.3, torch.linspace(0, 1, 11))

    torch.testing.assert_close(curve, curve.flip(0))


@pytest.mark.parametrize("with_weight", [True, False])
def test_the_number_of_variables_is_recovered(with_weight):
    orders = torch.arange(15)
    planted = 3 * theory.learning_strength(5.7, orders / 14, with_weight=with_weight)

    found = theory.fit(planted, orders, 16, with_weight=with_weight)

    # The grid of n' has steps of (16 - 2.5) / 400 = 0.034.
    assert found.n_prime == pytest.approx(5.7, abs=0.02)
    assert found.error < 1e-2
    torch.testing.assert_close(found.curve, planted / 3, rtol=0, atol=1e-2)


def test_a_curve_without_its_first_order_is_refused():
    with pytest.raises(ValueError, match="order 0 first"):
        theory.fit(torch.ones(2), torch.tensor([1, 2]), 8)
