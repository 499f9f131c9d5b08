"""What changes between networks and what sets of samples share, against sums set by set."""

import pytest
import torch

from tests.reference import series as reference
from worker.methods.and_or import disentangling
from worker.methods.and_or.changes import change, difference, similarity, spindle_fit
from worker.methods.and_or.summary import signed, summary

ROUNDING = 1e-12  # sums of some hundred float64 of size 1
DELTA = 1e-3


def interactions(samples, *, n=4, seed=0):
    drawn = torch.randn(samples, 2, 2**n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.where(drawn.abs() > 0.3, drawn, 0.0)  # some are exactly 0, as a sparse model's are


def close(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        assert one == pytest.approx(other, abs=ROUNDING)


@pytest.mark.parametrize(("samples", "threshold"), [(1, 0.0), (3, 0.5), (5, 1.2)])
def test_a_profile_is_the_average_over_samples(samples, threshold):
    atoms = interactions(samples)

    found = summary(atoms, threshold=threshold, delta=DELTA)

    everything, salient = reference.profile(atoms.tolist()), reference.profile(atoms.tolist(), threshold)
    for given, expected in ((found.all, everything), (found.salient, salient)):
        close(given.positive, expected[0])
        close(given.negative, expected[1])
    assert found.salient_count == reference.salient_count(atoms.tolist(), threshold)
    assert found.mean_order == pytest.approx(reference.mean_order(salient))


def test_the_normalised_profile_is_the_salient_one_over_the_strength_of_single_players():
    found = summary(interactions(3), threshold=0.5, delta=DELTA)

    positive, negative = reference.profile(interactions(3).tolist(), 0.5)
    scale = positive[0] + negative[0]
    assert found.normaliser == pytest.approx(scale)
    assert found.normalised is not None
    close(found.normalised.positive, [one / scale for one in positive])
    assert found.normalised.positive[0] + found.normalised.negative[0] == pytest.approx(1)


def test_without_a_salient_player_there_is_nothing_to_normalise_by():
    atoms = interactions(2)
    for player in range(4):
        atoms[..., 1 << player] = 0.0

    found = summary(atoms, threshold=0.5, delta=DELTA)

    assert (found.normaliser, found.normalised) == (None, None)


def test_a_difference_of_profiles_has_any_sign():
    later, earlier = (summary(interactions(2, seed=seed), threshold=0.5, delta=DELTA).salient for seed in (0, 1))

    found = difference(later, earlier)

    expected = reference.difference(*((list(one.positive), list(one.negative)) for one in (later, earlier)))
    close(found.positive, expected[0])
    close(found.negative, expected[1])
    assert min(found.positive) < 0 < max(found.positive)


def test_a_change_subtracts_interactions_before_it_adds_them_up():
    clean, noisy = interactions(3, seed=0), interactions(3, seed=1)

    found = change(noisy, clean)

    expected = reference.change(noisy.tolist(), clean.tolist())
    close(found[0].tolist(), expected[0])
    close(found[1].tolist(), expected[1])
    assert float(found.min()) >= 0


def test_opposite_changes_do_not_cancel():
    clean, noisy = torch.zeros(1, 2, 8, dtype=torch.float64), torch.zeros(1, 2, 8, dtype=torch.float64)
    clean[0, 0, 0b011], noisy[0, 0, 0b101] = 1.0, 1.0

    assert change(noisy, clean).tolist() == [[0, 1, 0], [0, 1, 0]]


@pytest.mark.parametrize("thresholds", [(0.0, 0.0), (0.5, 0.9), (1.5, 2.0)])
def test_similarity_is_what_is_shared_over_what_either_has(thresholds):
    some, others = interactions(2, seed=0), interactions(5, seed=1)

    found = similarity(some, others, thresholds=thresholds)

    close(found, reference.jaccard(some.tolist(), others.tolist(), thresholds))
    assert found == similarity(others, some, thresholds=thresholds[::-1])


def test_samples_are_like_themselves_and_unlike_their_opposites():
    atoms = interactions(3)

    close(similarity(atoms, atoms, thresholds=(0.5, 0.5)), [1.0] * 4)
    close(similarity(atoms[:1], -atoms[:1], thresholds=(0.5, 0.5)), [0.0] * 4)


def test_relative_similarity_does_not_see_how_sure_a_network_is():
    some, others = interactions(2, seed=0), interactions(3, seed=1)

    found = similarity(some, others, thresholds=(0.5, 0.5), relative=True)

    close(found, similarity(10 * some, others, thresholds=(5.0, 0.5), relative=True))
    strengths = [sum(map(sum, reference.profile(atoms.tolist(), 0.5))) for atoms in (some, others)]
    scaled = [(atoms / strength).tolist() for atoms, strength in zip((some, others), strengths, strict=True)]
    close(found, reference.jaccard(*scaled, (0.5 / strengths[0], 0.5 / strengths[1])))


def test_an_order_without_a_salient_interaction_has_no_similarity():
    atoms = interactions(2)
    atoms[..., -1] = 0.1

    assert similarity(atoms, atoms, thresholds=(0.5, 0.5))[-1] is None


def test_a_spindle_is_fitted_exactly():
    profile = 3.0 * disentangling.spindle_profile(6, torch.tensor(0.7, dtype=torch.float64)).expand(2, -1)

    found = spindle_fit(profile)

    assert found.alpha == pytest.approx(0.7, abs=1e-4)  # four zooms of the grid end at 2e-6
    assert found.beta == pytest.approx(3.0, rel=1e-3)
    assert found.error < 1e-4
    torch.testing.assert_close(
        torch.tensor(signed(profile).positive), torch.tensor(found.profile.positive), rtol=1e-3, atol=1e-4
    )
