"""From subjects to games: who plays, what absence is, what is refused before the network runs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from jobs.catalog import evaluate
from jobs.errors import InvalidParameters, UnsupportedModel
from jobs.quantities import quantities
from jobs.rules import broken
from jobs.schemas import Target
from tests import networks
from worker.methods._baselines import baseline as baseline_of
from worker.methods._game_params import GameParams
from worker.methods._game_rules import PLAYER_COUNT, at_most
from worker.methods._play import Played, play
from worker.methods._registry import Subject

MOST = 20
SIZE = 16
COLUMNS = 6
ROUNDING = 1e-12
"""Of float64 sums of numbers around 1, in another order."""


class Counted(nn.Module):
    """Counts the inputs that go forward."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.forwards = 0

    def forward(self, batch: Tensor) -> Tensor:
        self.forwards += len(batch)
        return self.model(batch)


def picture(**changes: Any) -> Subject:
    return networks.subject(size=SIZE, **changes)


def columns(**changes: Any) -> Subject:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(COLUMNS, 8), nn.ReLU(), nn.Linear(8, 3))
    row = torch.randn(COLUMNS, dtype=torch.float64)
    given = {"input": row, "pixels": None, "mean": (), "std": (), "names": tuple("abcdef"), **changes}
    return networks.subject(networks.frozen(model, torch.float64), **given)


def text(**changes: Any) -> Subject:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(28, 2))
    given = {
        "input": torch.tensor([1, 5, 6, 7, 5, 2, 0]), "pixels": None, "mean": (), "std": (), "mask_id": 3,
        "names": ("[CLS]", "play", "##ing", "ball", "play", "[SEP]", ""), "words": (None, 4, 4, 5, 5, None, None),
        **changes,
    }  # fmt: skip
    return networks.subject(networks.frozen(model, torch.float32), **given)


def played(subject: Subject, **params: Any) -> Played:
    return play(subject, GameParams(**params), most=MOST)


def value(game: Played, present: list[int]) -> float:
    coalition = torch.zeros(1, game.n, dtype=torch.bool)
    coalition[0, present] = True
    return float(game.game(coalition))


# ---------------------------------------------------------------- who plays


def test_a_picture_is_played_by_the_cells_of_a_grid():
    game = played(picture(), grid_rows=2, grid_columns=4)

    assert (game.players.kind, game.players.shape, game.who) == ("patch", (8,), "grid")
    assert game.players.names[5] == "row 2, column 2"
    assert game.player_labels.shape == (SIZE, SIZE)
    assert int(game.player_labels[SIZE - 1, 4]) == 5


def test_cells_of_the_central_block_are_drawn_by_the_seed():
    game, same, other = (played(picture(seed=seed), players="cells", count=6) for seed in (1, 1, 2))

    assert game.players == same.players != other.players
    assert int(game.player_labels[:2].max()) == int(game.player_labels[:, -2:].max()) == -1  # the border
    assert int((game.player_labels >= 0).sum()) == 6 * (SIZE // 8) ** 2
    assert "drawn by the seed" in game.notes[0]


def test_the_size_of_the_block_and_its_border_can_be_chosen():
    game = played(picture(), players="cells", count=4, cell_grid=4, cell_border=0)

    assert int((game.player_labels >= 0).sum()) == 4 * (SIZE // 4) ** 2


def test_behind_a_layer_cells_of_its_feature_map_are_masked_with_zero():
    subject = picture()
    game = played(subject, layer="2", players="grid", grid_rows=2, grid_columns=2)

    map_ = subject.model[:3](subject.input[None])
    map_[:, :, SIZE // 2 :] = 0
    expected = game.game._value(subject.model[3:](map_))

    assert value(game, [0, 1]) == pytest.approx(float(expected), abs=ROUNDING)
    assert game.player_labels.tolist() == played(subject, grid_rows=2, grid_columns=2).player_labels.tolist()


def test_naming_a_layer_asks_for_ten_of_its_cells():
    game = played(picture(), layer="2")

    assert (game.who, game.n, game.layer, game.baseline) == ("cells", 10, "2", "zeros")


def test_tables_of_inputs_with_the_same_feature_map_have_different_keys():
    """A skip connection brings in what the feature map does not show."""
    one = picture()
    other = picture(input=one.input.clone() + 1e-12)

    assert played(one, layer="2").key != played(other, layer="2").key


def test_the_largest_regions_play_and_the_rest_is_always_present():
    boxes = [[0, 0, 2, 2], [4, 4, 12, 12], [12, 12, 16, 16]]
    game = played(picture(), prior="given", regions={"boxes": boxes}, count=2)

    assert (game.players.kind, game.players.names) == ("region", ("region 1", "region 2"))
    assert int((game.player_labels == 0).sum()) == 64
    assert game.notes == ("2 of 3 regions play, the largest, 31% of the picture; the rest is always present.",)


def test_regions_can_be_drawn():
    boxes = [[2 * k, 0, 2 * k + 2, 2 + k] for k in range(8)]
    given = {"prior": "given", "regions": {"boxes": boxes}, "count": 3, "region_choice": "random"}

    assert len({played(picture(seed=seed), **given).players.names for seed in range(5)}) > 1


def test_all_given_regions_play_by_default():
    labels = torch.arange(SIZE)[:, None].expand(SIZE, SIZE) // 2 * 2  # of every other label, there is none
    game = played(picture(), prior="given", regions={"labels": labels.tolist()})

    assert (game.n, game.notes) == (8, ())


@pytest.mark.parametrize("prior", ["slic", "quickshift"])
def test_a_picture_is_cut_into_regions(prior):
    game = played(picture(), players="regions", prior=prior, slic_segments=30, quickshift_max_distance=4.0)

    assert 2 <= game.n <= 10
    assert game.players.names == tuple(f"region {player}" for player in range(game.n))
    assert game.who == "regions"


def test_all_columns_play_by_name():
    game = played(columns())

    assert (game.players.kind, game.players.names, game.player_labels) == ("feature", tuple("abcdef"), None)


def test_columns_play_in_groups_by_name_or_number():
    game = played(columns(), groups=[["a", 2], ["f"]])

    assert game.players.names == ("a + c", "f")
    assert game.game.masking.labels.tolist() == [0, -1, 0, -1, -1, 1]
    assert game.notes == ("3 columns play in no group and are always present.",)


def test_some_columns_can_be_drawn():
    game = played(columns(), count=3)

    assert game.n == 3
    assert "3 of 6 columns play" in game.notes[0]


def test_words_play_with_all_their_tokens():
    game = played(text())

    assert game.players.kind == "token"
    assert game.players.names == ("playing", "ballplay")
    assert game.game.masking.labels.tolist() == [-1, 0, 0, 1, 1, -1, -1]
    assert game.players.passage.texts == ("[CLS]", "play", "##ing", "ball", "play", "[SEP]")


def test_tokens_of_a_word_that_are_apart_stay_apart_in_its_name():
    words = (None, 0, 1, 0, 1, None, None)

    assert played(text(words=words)).players.names == ("play ball", "##ing play")


def test_an_absent_word_is_the_mask_token():
    game = played(text())

    assert game.baseline == "mask"
    assert game.game.masking(torch.tensor([[False, True]])).tolist() == [[1, 3, 3, 7, 5, 2, 0]]


def test_words_can_be_grouped_by_their_numbers():
    game = played(text(words=(0, 1, 2, 3, 4, None, None)), groups=[[1, 2], [4]])

    assert game.game.masking.labels.tolist() == [-1, 0, 0, -1, 1, -1, -1]


# ---------------------------------------------------------------- absence and value


@pytest.mark.parametrize("baseline", ["zeros", "black", "mean", "blur"])
def test_the_baseline_is_seen_where_players_are_absent(baseline):
    subject = picture()
    expected = baseline_of(baseline, subject.input, mean=subject.mean, std=subject.std)

    masked = played(subject, baseline=baseline).game.masking(torch.zeros(1, 9, dtype=torch.bool))[0]

    torch.testing.assert_close(masked, expected, rtol=0, atol=0)


def test_a_given_colour_is_in_pixels():
    masked = played(picture(), baseline="given", baseline_values=networks.MEAN).game.masking(
        torch.zeros(1, 9, dtype=torch.bool)
    )

    assert float(masked.abs().max()) < 1e-6  # the mean pixel is zero for the network


def test_given_values_stand_for_absent_columns():
    game = played(columns(), baseline="given", baseline_values=[1, 2, 3, 4, 5, 6])

    assert game.game.masking(torch.tensor([[True] * 5 + [False]]))[0, 5] == 6


def test_every_player_can_have_its_own_baseline():
    game = played(picture(), grid_rows=1, grid_columns=2, player_baselines=["zeros", "black"])
    masked = game.game.masking(torch.zeros(1, 2, dtype=torch.bool))[0]

    assert game.baseline == "mixed"
    assert float(masked[:, :, : SIZE // 2].abs().max()) == 0
    assert float(masked[:, :, SIZE // 2 :].max()) < 0


@pytest.mark.parametrize("name", ["log-odds", "logit", "probability"])
def test_the_value_is_that_of_the_logits(name):
    subject = columns()
    logits = subject.model(subject.input[None])[0]
    p = logits.softmax(0)[1]
    expected = {"log-odds": torch.log(p / (1 - p)), "logit": logits[1], "probability": p}[name]

    game = played(columns(target=Target(index=1)), value=name)

    assert value(game, list(range(COLUMNS))) == pytest.approx(float(expected), abs=ROUNDING)
    assert game.value == name


def test_two_classes_are_contrasted():
    subject = columns(target=Target(index=1, against=2))
    logits = subject.model(subject.input[None])[0]

    game = played(subject)

    assert value(game, list(range(COLUMNS))) == pytest.approx(float(logits[1] - logits[2]), abs=ROUNDING)
    assert game.value == "contrast"


def test_the_explained_output_names_what_is_left_with_nobody_present():
    subject = columns()
    game = played(subject)

    absent = subject.model(torch.zeros(1, COLUMNS, dtype=torch.float64))[0]

    assert game.explained(subject).baseline_value == pytest.approx(float(absent[game.target.index]), abs=ROUNDING)


def test_forward_passes_are_counted():
    subject = picture(model=Counted(networks.small_cnn()))
    game = played(subject, grid_rows=2, grid_columns=2)
    game.table(subject)

    assert game.forwards + game.game.evaluations == subject.model.forwards == 2 + 16


def test_forward_passes_behind_a_layer_are_counted():
    model = Counted(networks.small_cnn())
    subject = picture(model=model)
    game = played(subject, layer="model.2", players="grid", grid_rows=2, grid_columns=2)
    before = model.forwards

    assert game.forwards >= before  # those through the layer's tail alone do not pass the counter


# ---------------------------------------------------------------- refusals

REFUSED: list[tuple[Subject, dict[str, Any], str]] = [
    (picture(), {"grid_rows": 3, "grid_columns": 7}, "at most 20 players, got 21"),
    (picture(), {"grid_rows": 17, "grid_columns": 1}, "at most 16 x 16 cells"),
    (picture(), {"players": "cells", "count": 21}, "at most 20 players, got 21"),
    (picture(), {"players": "cells", "count": 5, "cell_grid": 4}, "at most 4 players"),
    (picture(), {"players": "columns"}, "grid or cells or regions"),
    (picture(), {"layer": "2", "players": "regions"}, "grid or cells behind a layer"),
    (picture(), {"layer": "2", "baseline": "black"}, "zeros, mean or blur"),
    (picture(), {"layer": "2", "count": 2, "player_baselines": ["zeros", "black"]}, "zeros, mean or blur"),
    (picture(), {"groups": [[0], [1]]}, "groups for columns and words only"),
    (picture(), {"baseline": "mask"}, "only a text has a mask token"),
    (picture(), {"baseline": "given", "baseline_values": [0.5]}, "expected 3 channels, got 1"),
    (picture(), {"baseline": "given", "baseline_values": [0.5, 0.5, 1.5]}, "a colour from 0 to 1"),
    (picture(), {"count": 5}, "no count for the cells of a grid"),
    (picture(), {"player_baselines": ["zeros"] * 10}, "9, one a player, got 10"),
    (picture(), {"grid_rows": 1, "grid_columns": 1}, "at least 2 players"),
    (picture(), {"prior": "given", "regions": {"boxes": [[0, 0, 4, 4]]}}, "at least 2 players"),
    (
        picture(),
        {"prior": "given", "regions": {"boxes": [[0, 0, 4, 4], [4, 4, 8, 8]]}, "count": 3},
        "at most 2 players",
    ),
    (picture(target=Target(index=0, against=1)), {"value": "probability"}, "log-odds or logit"),
    (columns(), {"players": "words"}, "players columns"),
    (columns(), {"count": 7}, "at most 6 players"),
    (columns(), {"layer": "0"}, "grid or cells behind a layer"),
    (columns(), {"baseline": "mean"}, "baseline zeros"),
    (columns(), {"baseline": "given", "baseline_values": [1.0, 2.0]}, "expected 6 columns, got 2"),
    (text(), {"players": "grid"}, "players words"),
    (text(), {"baseline": "zeros"}, "mask for a text"),
    (text(), {"count": 3}, "at most 2 players"),
    (text(), {"player_baselines": ["zeros", "zeros"]}, "none for a text"),
    (text(words=(None, 4, 4, 4, 4, None, None)), {}, "at least 2 players"),
]

REFUSED_BY_RUNNERS: list[tuple[Subject, dict[str, Any], str]] = [
    (picture(), {"layer": "nowhere"}, "the name of a layer"),
    (columns(), {"groups": [[0, 1], [1]]}, "different columns"),
    (columns(), {"groups": [[0], [6]]}, "columns from 0 to 5"),
    (columns(), {"groups": [["a"], ["z"]]}, "got 'z'"),
    (text(), {"groups": [[4], [6]]}, "numbers of words"),
    (text(mask_id=None), {}, "mask token"),
]
"""What needs the network, the names, or the words one by one."""


@pytest.mark.parametrize(("subject", "params", "detail"), [*REFUSED, *REFUSED_BY_RUNNERS])
def test_what_cannot_be_played_is_refused_before_the_network_runs(subject, params, detail):
    ran: list[object] = []
    hook = subject.model.register_forward_pre_hook(lambda module, arguments: ran.append(module))

    with pytest.raises((InvalidParameters, UnsupportedModel), match=detail):
        played(subject, **params)

    hook.remove()
    assert not ran


@pytest.mark.parametrize(("subject", "params", "detail"), REFUSED)
def test_the_gateway_refuses_the_same(subject, params, detail):
    assert list(broken((*GameParams.rules, at_most(MOST)), named(subject, GameParams(**params))))


ACCEPTED: list[tuple[Subject, dict[str, Any]]] = [
    (picture(), {}),
    (picture(), {"players": "cells"}),
    (picture(), {"layer": "2", "count": 4}),
    (picture(), {"layer": "2", "players": "grid", "baseline": "mean"}),
    (picture(), {"prior": "given", "regions": {"boxes": [[0, 0, 4, 4], [4, 4, 8, 8]]}}),
    (picture(), {"prior": "given", "regions": {"boxes": [[0, 0, 4, 4], [4, 4, 8, 8], [8, 8, 9, 9]]}, "count": 2}),
    (picture(), {"baseline": "given", "baseline_values": [0.1, 0.2, 0.3]}),
    (picture(), {"player_baselines": ["zeros"] * 9}),
    (columns(), {}),
    (columns(), {"count": 4}),
    (columns(), {"groups": [["a", "b"], ["c"]]}),
    (text(), {}),
    (text(words=(0, 1, 2, 3, 4, None, None)), {"count": 3}),
]


@pytest.mark.parametrize(("subject", "params"), ACCEPTED)
def test_the_gateway_counts_the_players_that_there_are(subject, params):
    names = named(subject, GameParams(**params))

    assert not list(broken((*GameParams.rules, at_most(MOST)), names))
    assert evaluate(PLAYER_COUNT, names) == played(subject, **params).n


def test_a_table_beyond_the_memory_is_refused_with_the_number_that_fits():
    with pytest.raises(InvalidParameters, match=r"at most 6 players, got 9: 2\^n values need 24576 bytes; lower grid"):
        played(picture(memory_bytes=48 * 100))


def test_a_game_without_a_table_needs_no_memory_for_it():
    assert play(picture(memory_bytes=48), GameParams(grid_rows=8, grid_columns=8), most=100, tabled=False).n == 64


def test_a_layer_without_a_feature_map_is_refused():
    with pytest.raises(InvalidParameters, match=r"a feature map .* gives \[12\]"):
        played(picture(), layer="8", players="grid")


def test_parameters_that_contradict_each_other_are_refused():
    for params in (
        {"prior": "given"},
        {"baseline": "given"},
        {"baseline_values": [1.0]},
        {"count": 3, "players": "grid"},
    ):
        with pytest.raises(ValueError, match="expected"):
            GameParams(**params)


def named(subject: Subject, params: GameParams) -> dict[str, Any]:
    """What the gateway would know."""
    kind = "tokens" if subject.words is not None else ("image" if subject.input.ndim == 3 else "features")
    return quantities(
        params.model_dump(mode="json"), kind=kind, shape=tuple(subject.input.shape), outputs=4,
        words=len({word for word in subject.words or () if word is not None}),
        contrast=subject.target is not None and subject.target.against is not None,
    )  # fmt: skip
