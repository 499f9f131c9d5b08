"""Games: values, players, masking, tables, refusals."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from jobs.errors import InvalidParameters, NumericalError
from jobs.schemas import Target
from worker.methods import _values
from worker.methods._coalitions import all_coalitions, coalitions, indices
from worker.methods._games import Game, cached_table, check_players, content_key, table, table_key
from worker.methods._layers import cut
from worker.methods._masking import Masking, per_player
from worker.methods._players import central_cells, chosen, count, grid_cells, groups, words
from worker.methods._registry import NoTables

DOUBLE = 1e-12
"""Rounding of float64 for numbers around 10."""


# ---------------------------------------------------------------- values


def test_log_odds_are_those_of_the_softmax_probability():
    logits = torch.randn(5, 4, dtype=torch.float64)

    p = logits.softmax(1)[:, 2]

    torch.testing.assert_close(_values.log_odds(logits, Target(index=2)), torch.log(p / (1 - p)), rtol=0, atol=DOUBLE)


def test_log_odds_of_a_sure_model_are_finite():
    """p rounds to 1 here, so log p/(1 - p) would be infinite."""
    logits = torch.tensor([[200.0, 0.0, 0.0]])

    assert float(_values.log_odds(logits, Target(index=0))) == pytest.approx(200 - math.log(2))


def test_a_single_output_is_its_own_log_odds():
    assert _values.log_odds(torch.tensor([[1.5]]), Target(index=0)).tolist() == [1.5]
    assert float(_values.probability(torch.tensor([[0.0]]), Target(index=0))) == 0.5


def test_a_contrast_is_a_difference_of_two_logits():
    function = _values.value_function("log-odds", Target(index=1, against=0))

    assert function(torch.tensor([[1.0, 4.0, 9.0]])).tolist() == [3.0]


def test_a_contrast_of_probabilities_is_refused():
    with pytest.raises(InvalidParameters, match="got probability"):
        _values.value_function("probability", Target(index=1, against=0))


# ---------------------------------------------------------------- players


def test_coalitions_and_indices_are_inverse():
    every = all_coalitions(5)

    assert every[6].tolist() == [False, True, True, False, False]
    assert indices(every).tolist() == list(range(32))
    assert coalitions(torch.tensor([1 << 40]), 41)[0].nonzero().item() == 40


def test_a_grid_numbers_its_cells_row_by_row():
    assert grid_cells(4, 5, rows=2, columns=2).tolist() == [
        [0, 0, 0, 1, 1],
        [0, 0, 0, 1, 1],
        [2, 2, 2, 3, 3],
        [2, 2, 2, 3, 3],
    ]


def test_more_cells_than_pixels_are_refused_with_the_number_that_fits():
    with pytest.raises(InvalidParameters, match=r"at most 4 x 5 cells.*got 8 x 2"):
        grid_cells(4, 5, rows=8, columns=2)


def test_central_cells_keep_off_the_border():
    """Appendix I.2 of the AND-OR paper: ten cells of the central 6 × 6 of 8 × 8."""
    labels = central_cells(16, 16, players=10, generator=torch.Generator().manual_seed(3))

    assert count(labels) == 10
    assert (labels[:2] == -1).all()
    assert (labels[:, -2:] == -1).all()
    assert [int((labels == player).sum()) for player in range(10)] == [4] * 10


def test_more_players_than_central_cells_are_refused():
    with pytest.raises(InvalidParameters, match=r"1 to 36 players.*got 37"):
        central_cells(16, 16, players=37, generator=torch.Generator())


def test_chosen_regions_become_players_in_the_order_given():
    labels = torch.tensor([[0, 1], [2, -1]])

    assert chosen(labels, [2, 0]).tolist() == [[1, -1], [0, -1]]


@pytest.mark.parametrize("regions", [[3], [-1], [1, 1]])
def test_regions_that_are_not_there_or_named_twice_are_refused(regions):
    with pytest.raises(InvalidParameters, match="different regions among the 3"):
        chosen(torch.tensor([[0, 1], [2, -1]]), regions)


def test_groups_own_their_columns():
    assert groups([[3], [0, 1]], length=5).tolist() == [1, 1, -1, 0, -1]


@pytest.mark.parametrize("members", [[[0], []], [[0], [0]], [[5]], [[-1]]])
def test_groups_that_overlap_or_miss_are_refused(members):
    with pytest.raises(InvalidParameters, match="columns from 0 to 4"):
        groups(members, length=5)


def test_words_own_all_their_tokens():
    word_of_token = [None, 0, 1, 1, 2, None]

    assert words(word_of_token).tolist() == [-1, 0, 1, 1, 2, -1]
    assert words(word_of_token, [1]).tolist() == [-1, -1, 0, 0, -1, -1]


def test_a_gap_among_players_is_refused():
    with pytest.raises(ValueError, match="without a gap"):
        count(torch.tensor([0, 2]))


# ---------------------------------------------------------------- masking


def test_absent_players_take_the_baseline_and_background_stays():
    masking = Masking(input=torch.ones(2, 1, 3), baseline=torch.tensor(-5.0), labels=torch.tensor([[0, 1, -1]]))

    masked = masking(torch.tensor([[True, False], [False, False]]))

    assert masked.shape == (2, 2, 1, 3)
    assert masked[:, 0, 0].tolist() == [[1, -5, 1], [-5, -5, 1]]


def test_tokens_are_masked_by_their_id():
    masking = Masking(
        input=torch.tensor([101, 7, 8, 102]), baseline=torch.tensor(103), labels=words([None, 0, 1, None])
    )

    assert masking(torch.tensor([[True, False]])).tolist() == [[101, 7, 103, 102]]


def test_every_player_may_have_its_own_baseline():
    labels = torch.tensor([0, 1, 1])

    found = per_player(labels, [torch.zeros(3), torch.tensor([1.0, 2.0, 3.0])])

    assert found.tolist() == [0, 2, 3]
    with pytest.raises(ValueError, match="expected 2 baselines"):
        per_player(labels, [torch.zeros(3)])


def test_labels_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"last axes of \[3, 4\], got \[3\]"):
        Masking(input=torch.zeros(3, 4), baseline=torch.zeros(()), labels=torch.tensor([0, 1, 2]))


# ---------------------------------------------------------------- games


def linear_game(weights, **options) -> Game:
    """A game whose value is the sum of the weights of the players present."""
    row = torch.tensor(weights, dtype=torch.float64)
    masking = Masking(input=row, baseline=torch.zeros(()), labels=torch.arange(len(row)))
    return Game(lambda batch: batch.sum(1, keepdim=True), masking, lambda logits: logits[:, 0], **options)


def test_a_table_holds_every_state_once():
    game = linear_game([1.0, 2.0, 4.0], chunk=3)

    assert table(game).tolist() == list(range(8))
    assert game.evaluations == 8


class Remembered(dict[str, torch.Tensor]):
    """Tables in memory."""

    put = dict.__setitem__


def test_a_table_that_is_known_is_not_evaluated_again():
    tables = Remembered()
    first, second = linear_game([1.0, 2.0]), linear_game([1.0, 2.0])

    made, was_known = cached_table(first, "key", tables)
    found, is_known = cached_table(second, "key", tables)

    assert (was_known, is_known) == (False, True)
    assert made.tolist() == found.tolist() == [0, 1, 2, 3]
    assert (first.evaluations, second.evaluations) == (4, 0)


def test_a_table_of_another_size_is_evaluated_anew():
    tables = Remembered(key=torch.zeros(4, dtype=torch.float64))

    found, known = cached_table(linear_game([1.0, 2.0, 4.0]), "key", tables)

    assert not known
    assert found.tolist() == tables["key"].tolist() == list(range(8))


def test_without_a_cache_every_table_is_evaluated():
    game = linear_game([1.0, 2.0])

    for _ in range(2):
        cached_table(game, "key", NoTables())

    assert game.evaluations == 8


def test_a_game_is_known_by_everything_that_decides_its_table():
    def key(input=1.0, baseline=0.0, labels=(0, 1, 1), layer=None, value="logit", index=0, against=None):
        masking = Masking(input=torch.full((3,), input), baseline=torch.tensor(baseline), labels=torch.tensor(labels))
        return table_key(masking, layer=layer, value=value, target=Target(index=index, against=against))

    changes = [
        {"input": 2.0}, {"baseline": 1.0}, {"labels": (0, 0, 1)}, {"layer": "3"}, {"value": "log-odds"},
        {"index": 1}, {"against": 2},
    ]  # fmt: skip

    assert key() == key()
    assert len({key(), *(key(**change) for change in changes)}) == 1 + len(changes)


def test_progress_is_reported_chunk_by_chunk():
    seen = []

    table(linear_game([1.0, 2.0], chunk=3, report=lambda *progress: seen.append(progress)))

    assert seen == [("masked inputs", 3, 4), ("masked inputs", 4, 4)]


def test_progress_over_several_calls_counts_towards_what_is_expected():
    seen = []
    game = linear_game([1.0, 2.0], chunk=4, expected=6, report=lambda *progress: seen.append(progress))

    game(all_coalitions(2))
    game(all_coalitions(2)[:2])

    assert seen == [("masked inputs", 4, 6), ("masked inputs", 6, 6)]


def test_a_smaller_chunk_is_kept_once_memory_ran_out():
    sizes = []

    def forward(batch):
        sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError("too much")
        return batch

    row = torch.tensor([1.0, 2.0])
    game = Game(
        forward, Masking(input=row, baseline=torch.zeros(()), labels=torch.arange(2)), lambda z: z[:, 0], chunk=4
    )

    table(game)

    assert (sizes, game.chunk, game.evaluations) == ([4, 2, 2], 2, 4)


def test_a_value_that_is_not_finite_names_the_masked_state():
    game = linear_game([1.0, math.inf, 2.0])

    with pytest.raises(NumericalError, match=r"inf when only players \[1\] are present"):
        table(game)


def test_a_broken_baseline_is_told_as_such():
    masking = Masking(input=torch.ones(2), baseline=torch.tensor(math.nan), labels=torch.arange(2))

    with pytest.raises(NumericalError, match="nan when all players are masked"):
        table(Game(lambda batch: batch, masking, lambda logits: logits.sum(1)))


def test_a_constant_output_is_refused():
    with pytest.raises(NumericalError, match=r"is 0\.0 in all 4 masked states"):
        table(linear_game([0.0, 0.0]))


def test_players_of_a_feature_map_play_behind_their_layer():
    """Masking the first layer's map by zero, as in Appendix I.2, against doing so by hand."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 64, 2)).eval()
    input = torch.randn(1, 8, 8)
    split = cut(model, "1", input)
    labels = central_cells(8, 8, cells=4, players=3, generator=torch.Generator().manual_seed(0))
    masking = Masking(input=split.activation, baseline=torch.zeros(()), labels=labels)

    found = table(Game(split.tail, masking, _values.value_function("log-odds", Target(index=1))))

    assert split.partial
    with torch.no_grad():
        kept = model[:2](input[None]) * (labels != 2)
        expected = _values.log_odds(model[2:](kept), Target(index=1))
    assert float(found[0b011]) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"players": 13, "most": 12, "budget_bytes": 2**40}, "at most 12 players, got 13: the cap is 12"),
        (
            {"players": 12, "most": 20, "budget_bytes": 100_000},
            "at most 11 players, got 12: 2.n values need 196608 bytes",
        ),
        ({"players": 5, "most": 20, "budget_bytes": 2**40, "cells": 4}, "at most 4 players, one a cell, got 5"),
    ],
)
def test_too_many_players_are_refused_with_the_number_that_fits(arguments, message):
    with pytest.raises(InvalidParameters, match=message):
        check_players(**arguments)


def test_players_that_fit_are_let_through():
    check_players(12, most=12, budget_bytes=2**20, cells=12)


def test_a_content_key_depends_on_every_part():
    parts = ["model", torch.tensor([1.0, 2.0])]
    others = [
        ["model", torch.tensor([1.0, 3.0])],
        ["model", torch.tensor([[1.0, 2.0]])],
        ["model", torch.tensor([1.0, 2.0], dtype=torch.float64)],
        ["model ", torch.tensor([1.0, 2.0])],
        ["mode", "l", torch.tensor([1.0, 2.0])],
    ]

    assert content_key(*parts) == content_key(*parts)
    assert len({content_key(*parts), *(content_key(*other) for other in others)}) == 6
