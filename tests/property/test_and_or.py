"""What must hold of every game: matching, certificates, and equivariance of the sparsest logical model."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from worker.methods.and_or import problem as sparse
from worker.methods.and_or import solver

MATCHING = 1e-10
OPTIMUM = 1e-5  # twice the tolerance that is asked for below


@st.composite
def games(draw):
    """Tables of 1 to 5 players with values of size 1, and a band."""
    n = draw(st.integers(1, 5))
    seed = draw(st.integers(0, 2**32 - 1))
    table = torch.randn(2**n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return table, draw(st.sampled_from([0.0, 0.02, 0.3]))


def solved(table, band):
    return solver.solve(sparse.sparse_problem(table, band), tolerance=OPTIMUM / 2)


@given(games())
def test_the_model_predicts_every_masked_state_within_the_band(game):
    table, band = game

    solution = solved(table, band)

    h = sparse.predict(solution.atoms, table[:1], torch.arange(len(table)))[0]
    assert (table - solution.noise[0] - h).abs().max() <= MATCHING
    assert (table - h).abs().max() <= band + MATCHING


@given(games())
def test_the_optimum_is_between_bound_and_objective(game):
    solution = solved(*game)

    assert -MATCHING <= solution.gap.item() <= OPTIMUM


@given(games(), st.floats(-10, 10))
def test_a_constant_changes_nothing(game, constant):
    table, band = game

    moved = solved(table + constant, band)

    torch.testing.assert_close(moved.objective, solved(table, band).objective, rtol=OPTIMUM, atol=MATCHING)


@given(games(), st.randoms(use_true_random=False))
def test_renaming_players_does_not_change_the_strength(game, random):
    table, band = game
    n = len(table).bit_length() - 1
    names = list(range(n))
    random.shuffle(names)
    renamed = table.reshape((2,) * n).permute(names).reshape(-1)

    torch.testing.assert_close(
        solved(renamed, band).objective, solved(table, band).objective, rtol=OPTIMUM, atol=MATCHING
    )


@given(games())
def test_a_game_and_its_dual_are_equally_complex(game):
    """`v*(T) = v(N) - v(N∖T)` swaps AND with OR, so its sparsest model is as strong."""
    table, _ = game
    dual = table[-1] - table.flip(0)

    # Without a band: with one, the noise of the empty state and that of the full state would change places.
    torch.testing.assert_close(solved(dual, 0.0).objective, solved(table, 0.0).objective, rtol=OPTIMUM, atol=MATCHING)


@given(games())
def test_a_wider_band_never_needs_more_strength(game):
    table, band = game

    assert solved(table, band + 0.1).bound.item() <= solved(table, band).objective.item()
