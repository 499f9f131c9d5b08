"""The answer of `and-or` on a small network, and what every parameter does to it."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from jobs.catalog import evaluate
from jobs.errors import NumericalError
from jobs.quantities import quantities
from jobs.schemas import Explanation, Target
from tests import networks
from worker.methods._indices import index_values
from worker.methods._registry import Subject, methods
from worker.methods.and_or import AndOrParams, explain
from worker.methods.and_or import problem as sparse
from worker.methods.and_or.answer import strongest

MATCHING = 1e-10
"""The issue's: universal matching in float64."""
ROUNDING = 1e-9
"""Of sums of 2^9 numbers around 1."""


def subject(**changes: Any) -> Subject:
    return networks.subject(size=12, **changes)


def explained(**params: Any) -> Explanation:
    return explain(subject(), AndOrParams(**{"grid_rows": 2, "grid_columns": 3, **params}))


def check(found: Explanation, name: str) -> Any:
    return next(check for check in found.checks if check.name == name)


@pytest.fixture(scope="module")
def plain() -> Explanation:
    return explained()


# ---------------------------------------------------------------- the answer


def test_the_listed_interactions_are_the_salient_ones_strongest_first(plain):
    strengths = [abs(one.strength) for one in plain.interactions]
    atoms = plain.kept["atoms"]

    assert strengths == sorted(strengths, reverse=True)
    assert min(strengths) > plain.orders.threshold
    assert len(strengths) == int((np.abs(atoms[:, 1:]) > plain.orders.threshold).sum())
    assert sum(plain.details["salient"].values()) == len(strengths) == plain.orders.salient_count


def test_interactions_name_their_players(plain):
    for one in plain.interactions:
        assert one.order == len(one.members)
        assert one.kind == ("main" if one.order == 1 else one.kind)
        assert one.kind in ("main", "and", "or")
        assert one.details["players"] == [plain.players.names[member] for member in one.members]


def test_strengths_are_those_of_the_kept_atoms(plain):
    for one in plain.interactions:
        state = sum(1 << member for member in one.members)
        assert plain.kept["atoms"][int(one.kind == "or"), state] == one.strength


def test_the_logical_model_matches_every_masked_state(plain):
    atoms, table = torch.tensor(plain.kept["atoms"]), torch.tensor(plain.kept["table"])
    band = plain.details["noise_band"]

    h = sparse.predict(atoms[None], table[:1], torch.arange(64))[0]

    assert float((table - h).abs().max()) <= band + MATCHING
    assert check(plain, "matching-residual").passed
    assert check(plain, "matching-residual").value <= MATCHING


def test_the_gap_is_certified(plain):
    details, gap = plain.details, check(plain, "certified-gap")

    assert gap.passed
    assert gap.value == details["gap"] <= 1e-4
    assert details["bound"] <= details["objective"] * (1 + ROUNDING)
    assert details["objective"] == pytest.approx(float(np.abs(plain.kept["atoms"]).sum()))


def test_main_effects_are_merged(plain):
    """The OR atoms of single players are the same functions as the AND ones."""
    disjunctions = plain.kept["atoms"][1]

    assert not disjunctions[[0, *(1 << player for player in range(6))]].any()


def test_the_profile_adds_up_to_the_strength_of_all_interactions(plain):
    profile = plain.orders

    assert sum(profile.all.positive) + sum(profile.all.negative) == pytest.approx(plain.details["objective"])
    listed = sum(abs(one.strength) for one in plain.interactions)
    assert sum(profile.salient.positive) + sum(profile.salient.negative) == pytest.approx(listed)


def test_the_profile_is_decay_spindle_and_residual(plain):
    parts = plain.orders.disentangled

    for sign in ("positive", "negative"):
        together = np.array([getattr(part, sign) for part in (parts.decay, parts.spindle, parts.residual)]).sum(0)
        assert together == pytest.approx(getattr(plain.orders.all, sign), abs=ROUNDING)
    assert parts.mode == "self"
    assert len(parts.sensitivity) > 10


def test_arrays_are_what_the_renderer_knows(plain):
    strengths = plain.arrays["strengths"]

    assert len(strengths) == plain.details["distinct_interactions"] == 2**7 - 6 - 2
    assert (np.diff(strengths) <= 0).all()
    assert plain.arrays["player_labels"].shape == (12, 12)
    assert plain.kept["atoms"].shape == (2, 64)
    assert plain.kept["table"].shape == (64,)


def test_the_output_without_players_is_the_bias(plain):
    assert plain.details["bias"] == pytest.approx(plain.details["output_all_masked"], abs=ROUNDING)


def test_notes_say_what_absence_is_and_what_is_merged(plain):
    notes = " ".join(plain.notes)

    assert "An absent player is replaced by zero" in notes
    assert "trained on inputs with masked parts" in notes
    assert "AND and OR of a single player are the same function" in notes
    assert "at most 20 players" in notes


# ---------------------------------------------------------------- parameters


def test_a_wider_noise_band_makes_the_model_sparser(plain):
    wide = explained(noise=0.1)

    assert wide.details["noise_band"] == pytest.approx(5 * plain.details["noise_band"])
    assert wide.details["objective"] < plain.details["objective"]
    assert check(wide, "matching-residual").passed


def test_a_smaller_tolerance_gets_a_smaller_gap(plain):
    rough, fine = explained(tolerance=0.05), explained(tolerance=1e-7)

    assert fine.details["gap"] <= 1e-7
    assert rough.details["iterations"] < plain.details["iterations"] < fine.details["iterations"]


def test_the_published_recipe_is_never_below_the_optimum(plain):
    published = explained(solver="published", steps=400)

    assert published.details["solver"] == "published"
    assert published.details["objective"] >= plain.details["bound"]
    assert check(published, "certified-gap").passed is None
    assert check(published, "matching-residual").passed
    assert any("published recipe" in note for note in published.notes)


def test_steps_and_learning_rate_change_the_published_recipe():
    few, more = (explained(solver="published", steps=steps).details["objective"] for steps in (50, 400))
    faster = explained(solver="published", steps=50, learning_rate=1e-4).details["objective"]

    assert len({few, more, faster}) == 3
    assert more < few


def test_the_published_empty_state_has_a_band_too(plain):
    published = explained(empty="published")

    assert published.details["bias"] != plain.details["bias"]
    assert abs(published.details["bias"] - plain.details["bias"]) <= plain.details["noise_band"] * (1 + ROUNDING)
    assert published.details["objective"] <= plain.details["objective"] * (1 + 1e-4)


def test_a_higher_salience_lists_fewer(plain):
    fewer = explained(salience=0.2)

    assert fewer.orders.threshold == pytest.approx(10 * plain.orders.threshold)
    assert len(fewer.interactions) < len(plain.interactions)
    assert fewer.details["objective"] == plain.details["objective"]


def test_the_strongest_can_be_listed_instead(plain):
    three, all_of_them = explained(top_k=3), explained(top_k=10_000)

    assert three.interactions == plain.interactions[:3]
    assert three.orders == plain.orders
    assert len(plain.interactions) < len(all_of_them.interactions) <= plain.details["distinct_interactions"]


def test_delta_changes_the_decay():
    small, large = (explained(delta=delta).orders.disentangled for delta in (1e-3, 0.5))

    assert (small.delta, large.delta) == (1e-3, 0.5)
    assert small.decay != large.decay


def test_indices_come_from_the_same_table(plain):
    found = explained(indices=["SV", "BV", "SII", "BII", "k-SII", "STII", "FSII"], index_order=3)
    table = torch.tensor(found.kept["table"])

    assert set(found.details["indices"]) == {"SV", "BV", "SII", "BII", "k-SII", "STII", "FSII"}
    best = found.details["indices"]["STII"]["strongest"][0]
    exact = index_values(table, "STII", order=3)
    assert best["value"] == float(exact.values[exact.sets.index(tuple(best["members"]))])
    assert found.details["indices"]["STII"]["order"] == 3
    assert plain.details["indices"]["k-SII"]["order"] == 2
    assert set(found.documents) > set(plain.documents) >= {"moebius", "or", "sv", "k-sii"}


def test_no_index_need_be_computed():
    assert explained(indices=[]).details["indices"] == {}


def test_the_order_of_an_index_ends_at_the_players():
    assert explained(index_order=20).details["indices"]["k-SII"]["order"] == 6


@pytest.mark.parametrize(
    ("params", "target", "unit"),
    [
        ({}, None, "log-odds of the class, log p/(1 - p)"),
        ({"value": "logit"}, None, "logit of the class"),
        ({"value": "probability"}, None, "probability of the class"),
        ({}, Target(index=0, against=1), "difference of the two classes' logits"),
    ],
)
def test_the_unit_names_the_value(params, target, unit):
    found = explain(subject(target=target), AndOrParams(grid_rows=1, grid_columns=3, **params))

    assert found.unit == unit


# ---------------------------------------------------------------- cost, progress, failure


def test_the_cost_is_within_the_estimate(plain):
    names = quantities(
        AndOrParams(grid_rows=2, grid_columns=3).model_dump(mode="json"), kind="image", shape=(3, 12, 12), outputs=4
    )

    assert 64 < plain.cost.forwards <= evaluate(methods()["and-or"].cost["forwards"], names)


class Tables:
    """A cache of tables."""

    def __init__(self) -> None:
        self.known: dict[str, Tensor] = {}

    def get(self, key: str) -> Tensor | None:
        return self.known.get(key)

    def put(self, key: str, table: Tensor) -> None:
        self.known[key] = table


def test_a_known_table_is_not_evaluated_again():
    tables = Tables()
    first, second, other = (
        explain(subject(tables=tables), AndOrParams(grid_rows=2, grid_columns=2, **params))
        for params in ({}, {"salience": 0.1}, {"baseline": "black"})
    )

    assert (first.details["table_cached"], second.details["table_cached"]) == (False, True)
    assert second.cost.forwards == first.cost.forwards - 16
    assert (second.kept["table"] == first.kept["table"]).all()
    assert not other.details["table_cached"]


@pytest.mark.parametrize("params", [{}, {"solver": "published"}, {"grid_columns": 5}])
def test_the_search_can_be_canceled(params):
    class CanceledError(Exception):
        pass

    def report(stage: str, done: int, total: int) -> None:
        stages.append(stage)
        if stage.startswith("logical model") and done >= 1:
            raise CanceledError

    stages: list[str] = []
    with pytest.raises(CanceledError):
        explain(subject(report=report), AndOrParams(grid_rows=2, **params))

    assert stages[0] == "masked inputs"


class Broken(nn.Module):
    """Gives `value` when the upper left corner is absent."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, batch: Tensor) -> Tensor:
        corner = batch[:, 0, 0, 0]
        logits = torch.stack([corner, -corner], dim=1) + 1
        return torch.where((corner == 0)[:, None], self.value, logits)


def test_an_output_that_is_no_number_fails_with_the_masked_state():
    with pytest.raises(NumericalError, match="the output is nan when all players are masked"):
        explain(subject(model=Broken(float("nan"))), AndOrParams(grid_rows=1, grid_columns=2))


def test_a_constant_output_fails():
    model = nn.Sequential(nn.Flatten(), networks.frozen(nn.Linear(432, 3), torch.float64))
    model[1].weight.zero_()

    with pytest.raises(NumericalError, match="in all 4 masked states"):
        explain(subject(model=model), AndOrParams(grid_rows=1, grid_columns=2))


def test_an_output_that_returns_to_where_it_was_has_an_empty_band():
    """v(N) = v(∅), so ζ = τ = 0: everything is matched exactly and everything is salient."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(432, 2, dtype=torch.float64))
    with torch.no_grad():
        model[1].weight.zero_()
        model[1].bias.zero_()
        row = subject().input.flatten()
        model[1].weight[0, 0], model[1].weight[0, 6] = 1 / row[0], -1 / row[6]

    found = explain(subject(model=model, target=Target(index=0)), AndOrParams(grid_rows=1, grid_columns=2))

    assert check(found, "matching-residual").passed
    assert [(one.members, round(one.strength, 6)) for one in found.interactions[:2]] == [((0,), 1.0), ((1,), -1.0)]


def test_no_more_than_can_be_read_are_listed(monkeypatch):
    # The package's `answer` is the function, which hides the module of that name.
    monkeypatch.setattr(sys.modules[strongest.__module__], "MOST_LISTED", 5)

    found = explained()

    assert len(found.interactions) == 5
    assert any("Only the 5 strongest of" in note for note in found.notes)
