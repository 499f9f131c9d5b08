"""Multi-order interactions as a method: from a subject to an explanation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from jobs.catalog import estimate
from jobs.catalog import spec as method_spec
from jobs.errors import InvalidParameters, NumericalError
from jobs.quantities import quantities
from jobs.rules import broken, rules
from jobs.schemas import Explanation, Target
from tests.networks import frozen, linear_model, small_cnn, small_vit, subject
from tests.reference import multi_order as reference
from worker.methods._games import table
from worker.methods._play import play
from worker.methods._registry import Subject
from worker.methods.multi_order import MultiOrderParams, explain
from worker.methods.multi_order.estimates import Estimate
from worker.methods.multi_order.measure import Measured
from worker.methods.multi_order.profile import context_orders, joined
from worker.methods.multi_order.strength import order_grid

ROUNDING = 1e-12
"""Float64 throughout, values around 1."""
FIVE_SIGMA = 5.0
"""A few hundred cells are looked at."""
CHUNK = 512


def table_subject(n: int = 8, *, seed: int = 0, **changes) -> Subject:
    """Return a row of a table and an MLP on it, in float64."""
    torch.manual_seed(seed)
    model = frozen(nn.Sequential(nn.Linear(n, 16), nn.Tanh(), nn.Linear(16, 3)), torch.float64)
    return Subject(**{"model": model, "input": torch.randn(n, dtype=torch.float64), "chunk": CHUNK, **changes})


def picture_subject(**changes) -> Subject:
    return subject(size=8, chunk=CHUNK, **changes)


def params(**changes) -> MultiOrderParams:
    return MultiOrderParams(**changes)


def sampled(**changes) -> MultiOrderParams:
    return params(**{"computation": "sampled", "budget": 3000, **changes})


def interactions(answer: Explanation) -> np.ndarray:
    return answer.arrays["interactions"]


def off_diagonal(matrices: np.ndarray) -> np.ndarray:
    i, j = np.triu_indices(matrices.shape[-1], 1)
    return matrices[..., i, j]


# ---------------------------------------------------------------- exact


def test_exact_interactions_match_the_paper():
    given = table_subject(7)
    values = table(play(given, params(), most=20).game)

    answer = explain(given, params())

    expected = off_diagonal(reference.multi_order(values))
    np.testing.assert_allclose(off_diagonal(interactions(answer)), expected, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(answer.contexts.strength, np.abs(expected).mean(axis=1), rtol=0, atol=ROUNDING)


def test_the_identities_are_checked():
    answer = explain(table_subject(), params())

    found = {check.name: check for check in answer.checks}
    for name in ("efficiency-residual", "modulation-residual", "index-gap"):
        assert found[name].passed
        assert found[name].value < ROUNDING
    assert found["standard-error"].value == 0
    parts = answer.contexts.efficiency
    assert parts.own_effects + sum(parts.by_order) == pytest.approx(parts.output, abs=ROUNDING)
    assert parts.output == pytest.approx(answer.explained.value - answer.explained.baseline_value, rel=5)


def test_pairs_are_listed_by_their_mean_size_over_the_orders():
    answer = explain(table_subject(), params(top=5))

    sizes = np.abs(off_diagonal(interactions(answer))).mean(axis=0)
    assert [one.strength for one in answer.interactions] == pytest.approx(sorted(sizes, reverse=True)[:5])
    first = answer.interactions[0]
    i, j = first.members
    assert first.kind == "pair"
    assert first.details["by_order"] == pytest.approx(interactions(answer)[:, i, j].tolist())
    assert first.details["shapley_interaction_index"] == pytest.approx(interactions(answer)[:, i, j].mean())


def test_the_strongest_pairs_of_the_low_middle_and_high_order_are_named():
    answer = explain(table_subject(), params())

    low, middle, high = answer.contexts.strongest
    assert (low.order, middle.order, high.order) == (0, 3, 6)
    for place in (low, middle, high):
        i, j = place.pairs[0].members
        values = interactions(answer)[place.order]
        assert place.pairs[0].strength == values[i, j]
        assert abs(values[i, j]) == np.abs(off_diagonal(values)).max()


def test_a_pair_that_is_large_by_noise_is_not_called_the_strongest():
    """By hand, of three pairs: 3 ± 2, 2 ± 0.1, and 5 of a single sample."""
    values, errors = (torch.full((2, 3, 3), torch.nan, dtype=torch.float64) for _ in range(2))
    for (i, j), value, error in (((0, 1), 3.0, 2.0), ((0, 2), 2.0, 0.1), ((1, 2), 5.0, torch.nan)):
        values[:, i, j] = values[:, j, i] = value
        errors[:, i, j] = errors[:, j, i] = error
    estimate = Estimate(orders=(0, 1), values=values, standard_errors=errors, evaluations=0)
    one = Measured(estimate=estimate, scale=1.0, whole=None)

    found = joined([one], rounding=1e-16, level=0.9, generator=torch.Generator().manual_seed(0))

    pairs = context_orders(found, level=0.9).strongest[0].pairs
    assert [pair.members for pair in pairs] == [(0, 2), (0, 1), (1, 2)]
    assert [pair.standard_error for pair in pairs] == [0.1, 2.0, None]


def test_two_players_have_one_context_order():
    answer = explain(table_subject(2), params())

    assert answer.contexts.orders == (0,)
    assert [place.order for place in answer.contexts.strongest] == [0]
    assert answer.contexts.theory == ()
    answer.model_dump_json()


def test_a_linear_model_has_no_interaction():
    """Its second differences are rounding; a strength relative to rounding would mean nothing."""
    answer = explain(replace(picture_subject(model=linear_model()), target=Target(index=1, against=0)), params())

    assert answer.interactions == ()
    assert answer.contexts.relative is None
    assert any("No interaction" in note for note in answer.notes)


def test_a_constant_model_is_refused():
    model = linear_model()
    nn.init.zeros_(model[1].weight)

    with pytest.raises(NumericalError, match="do not reach it"):
        explain(picture_subject(model=model), params(grid_rows=2, grid_columns=2))


def test_an_output_that_is_not_finite_is_named():
    model = linear_model()
    nn.init.constant_(model[1].weight, torch.nan)

    with pytest.raises(NumericalError, match="the output is nan"):
        explain(picture_subject(model=model), params(grid_rows=2, grid_columns=2))


# ---------------------------------------------------------------- sampled


@pytest.mark.parametrize("estimator", ["layered", "sub-cubes", "stars", "published"])
def test_sampled_interactions_are_near_the_exact_ones_by_their_own_errors(estimator):
    given = table_subject(10)
    exact = explain(given, params(order_shares=[0, 0.5, 1]))

    answer = explain(given, sampled(estimator=estimator, order_shares=[0, 0.5, 1]))

    errors = off_diagonal(answer.arrays["standard_errors"])
    gaps = np.abs(off_diagonal(interactions(answer) - interactions(exact)))
    known = errors > 0
    assert known.sum() >= 10 or estimator == "layered"
    # A few samples make a standard error itself uncertain; that of 2 is off by any factor.
    assert np.quantile(gaps[known] / errors[known], 0.9) < FIVE_SIGMA if known.any() else True
    np.testing.assert_allclose(gaps[errors == 0], 0, atol=ROUNDING)
    assert answer.details["estimator"] == estimator
    assert answer.cost.forwards <= 3000 + 6


def test_auto_is_exact_where_the_budget_covers_all_coalitions():
    given = table_subject(10)

    exact, short = (explain(given, params(budget=budget)) for budget in (1024, 1023))

    assert exact.details["computation"] == "exact"
    assert exact.details["estimator"] is None
    assert short.details["computation"] == "sampled"
    assert short.details["evaluations_by_input"][0] <= 1023


def test_auto_serves_every_pair_only_where_many_are_wanted():
    given = table_subject(24)
    few = [(0, 1), (2, 3), (4, 5)]

    answers = [explain(given, sampled(budget=1500)), explain(given, sampled(pairs="given", given_pairs=few))]

    assert [answer.details["estimator"] for answer in answers] == ["layered", "stars"]
    assert {one.members for one in answers[1].interactions} == set(few)
    assert answers[1].contexts.pairs == 3


def test_sampling_stops_at_the_wanted_precision_and_says_where_it_ended():
    given = table_subject(12)
    wanted = sampled(estimator="stars", budget=100_000, order_shares=[0, 0.5, 1])

    loose = explain(given, wanted.model_copy(update={"precision": 0.05}))
    unreachable = explain(given, wanted.model_copy(update={"precision": 1e-9, "budget": 3000}))

    found = {check.name: check for check in loose.checks}["standard-error"]
    assert found.passed
    assert 0 < found.value <= 0.05
    assert loose.cost.forwards < 100_000
    missed = {check.name: check for check in unreachable.checks}["standard-error"]
    assert missed.passed is False
    assert any("not reached" in note for note in unreachable.notes)


def test_orders_of_one_context_are_exact_for_chosen_pairs():
    given = picture_subject()
    wanted = sampled(pairs="neighbours", radius=1, grid_rows=6, grid_columns=6, estimator="layered", budget=2500)

    answer = explain(given, wanted)

    errors = answer.arrays["standard_errors"]
    assert answer.contexts.orders == order_grid(36)
    assert np.nanmax(errors[[0, -1]]) == 0
    assert np.nanmin(off_diagonal(errors[5])) > 0
    assert answer.cost.forwards <= 2500 + 6


def test_a_budget_that_is_too_small_is_refused_with_what_is_needed():
    for estimator in ("layered", "sub-cubes", "stars", "published"):
        seen = []
        given = table_subject(20, report=lambda *progress, seen=seen: seen.append(progress))
        with pytest.raises(InvalidParameters, match=r"expected a budget of \d+ or more") as error:
            explain(given, sampled(estimator=estimator, budget=100))
        assert error.value.errors[0].pointer == "/params/budget"
        assert not seen


def test_pairs_that_the_budget_never_met_are_counted_and_left_out():
    given = table_subject(16)

    answer = explain(given, sampled(estimator="sub-cubes", block=2, budget=120, order_shares=[0.4, 0.5], top=1000))

    assert answer.contexts.pairs == len(answer.interactions) < 60
    assert any(f"enough for {answer.contexts.pairs} of the 120 wanted pairs" in note for note in answer.notes)


@pytest.mark.parametrize(("budget", "known"), [(150, False), (1500, True)])
def test_of_a_linear_model_sampling_leaves_noise_and_says_so(budget, known):
    answer = explain(picture_subject(model=linear_model()), sampled(value="logit", estimator="layered", budget=budget))

    share = {check.name: check for check in answer.checks}["noise-share"].value
    assert answer.contexts.corrected is None or min(answer.contexts.corrected.values) == 0
    assert (share is not None and share > 0.5) if known else share is None
    hidden = "is not 0 but unknown" if answer.contexts.corrected else "explains all that was measured"
    assert any(hidden in note for note in answer.notes)
    assert not any("explains all" in note for note in explain(picture_subject(), params()).notes)


def test_more_orders_than_fit_the_memory_are_refused():
    given = table_subject(40, memory_bytes=2**22)

    with pytest.raises(InvalidParameters, match="expected at most 3 context orders of 40 players") as error:
        explain(given, sampled(estimator="layered"))
    assert error.value.errors[0].pointer == "/params/order_shares"
    assert explain(given, sampled(estimator="layered", order_shares=[0, 0.5, 1])).contexts.orders == (0, 19, 38)


def test_a_seed_decides_what_is_sampled():
    given = table_subject(12)

    one, same, other = (interactions(explain(replace(given, seed=seed), sampled(budget=800))) for seed in (1, 1, 2))

    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other, equal_nan=True)


def test_progress_is_told_and_can_cancel():
    seen = []

    def report(stage, done, total):
        seen.append((done, total))
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explain(table_subject(20, report=report, chunk=16), sampled(budget=2000))
    assert len(seen) == 3
    assert all(0 <= done <= total for done, total in seen)


# ---------------------------------------------------------------- players and inputs


@pytest.mark.parametrize(
    ("model", "size", "changes"),
    [
        (small_cnn(), 8, {"grid_rows": 2, "grid_columns": 3}),
        (small_vit(), 16, {"grid_rows": 3, "grid_columns": 2}),
        (small_cnn(), 8, {"players": "regions", "count": 5, "slic_segments": 8}),
        (small_cnn(), 8, {"layer": "4", "players": "grid", "grid_rows": 2, "grid_columns": 2}),
        (small_cnn(), 8, {"baseline": "blur", "value": "logit", "grid_rows": 2, "grid_columns": 2}),
    ],
)
def test_pictures_cnns_vits_regions_and_feature_maps_are_measured(model, size, changes):
    dtype = next(model.parameters()).dtype
    given = subject(model, size=size, dtype=dtype, chunk=CHUNK)

    answer = explain(given, params(**changes))

    assert answer.contexts.players == len(answer.players.names)
    assert answer.arrays["player_labels"].shape == (size, size)
    assert all(check.passed is not False for check in answer.checks)
    answer.model_dump_json()


def text_subject() -> Subject:
    torch.manual_seed(5)
    layers = nn.Embedding(20, 4), nn.Flatten(), nn.Linear(24, 8), nn.Tanh(), nn.Linear(8, 2)
    return Subject(
        model=frozen(nn.Sequential(*layers), torch.float64), input=torch.tensor([1, 5, 6, 7, 8, 9]), mask_id=0,
        words=(None, 0, 0, 1, 2, 3), names=("[CLS]", "un", "##likely", "story", "it", "is"), chunk=CHUNK,
    )  # fmt: skip


def test_words_have_neighbours():
    answer = explain(text_subject(), params(pairs="neighbours", radius=1))

    assert answer.players.names == ("unlikely", "story", "it", "is")
    assert {one.members for one in answer.interactions} == {(0, 1), (1, 2), (2, 3)}


def test_columns_have_no_neighbours():
    with pytest.raises(InvalidParameters, match="only cells of a grid and words have neighbours"):
        explain(table_subject(), params(pairs="neighbours"))


def test_a_contrast_of_two_classes_is_the_difference_of_their_interactions():
    one, other, both = (
        explain(table_subject(target=target), params(value="logit"))
        for target in (Target(index=1), Target(index=2), Target(index=1, against=2))
    )

    np.testing.assert_allclose(interactions(both), interactions(one) - interactions(other), atol=ROUNDING)
    assert both.details["value"] == "contrast"


def test_256_cells_and_all_their_pairs_fit():
    """A game that is quick to play: what is tested is the memory and time of 32,640 pairs."""
    given = subject(linear_model(size=16), size=16, chunk=4096)
    bent = nn.Sequential(given.model, nn.Tanh())

    answer = explain(
        replace(given, model=bent), sampled(grid_rows=16, grid_columns=16, budget=1000, order_shares=[0, 0.5, 1])
    )

    assert answer.contexts.pairs == 32_640
    assert answer.contexts.orders == (0, 127, 254)
    assert len(answer.interactions) == 20


# ---------------------------------------------------------------- several samples


def test_strengths_are_averaged_over_samples():
    given = table_subject()
    others = tuple(replace(given, input=given.input + step) for step in (0.5, 1.0, -0.5))

    together = explain(replace(given, samples=others), params())

    alone = [explain(one, params()) for one in (given, *others)]
    expected = np.mean([answer.contexts.strength for answer in alone], axis=0)
    np.testing.assert_allclose(together.contexts.strength, expected, rtol=0, atol=ROUNDING)
    assert together.contexts.samples == 4
    assert together.contexts.resampled == "samples"
    assert together.contexts.relative.interval is not None
    assert together.cost.forwards == sum(answer.cost.forwards for answer in alone)
    np.testing.assert_array_equal(interactions(together), interactions(alone[0]))


def test_of_one_input_the_intervals_are_over_pairs_and_a_note_says_so():
    answer = explain(table_subject(), params())

    assert answer.contexts.resampled == "pairs"
    assert any("over the pairs of one input" in note for note in answer.notes)


def test_samples_of_other_numbers_of_players_are_refused():
    given = text_subject()
    other = replace(given, words=(None, 0, 0, 1, 2, None))

    with pytest.raises(
        InvalidParameters, match="expected 4 players in every sample, as in the input, got 3 in sample 0"
    ):
        explain(replace(given, samples=(other,)), params())


def test_progress_runs_on_over_samples():
    seen = []
    given = table_subject(6, report=lambda stage, done, total: seen.append((stage, done, total)))

    explain(replace(given, samples=(given,)), params())

    states = [(done, total) for stage, done, total in seen if stage == "masked inputs"]
    assert states == [(64, 128), (128, 128)]


# ---------------------------------------------------------------- parameters


def test_the_level_widens_the_intervals():
    narrow, wide = (explain(table_subject(), params(level=level)).contexts for level in (0.5, 0.95))

    assert wide.relative.interval.low[0] < narrow.relative.interval.low[0]
    assert wide.relative.interval.high[0] > narrow.relative.interval.high[0]


def test_the_radius_takes_in_more_pairs():
    counts = [
        explain(picture_subject(), params(pairs="neighbours", radius=radius, grid_rows=3)).contexts.pairs
        for radius in (1, 2)
    ]

    assert counts == [2 * 4 + 3 * 3 + 2 * 2 * 3, 12 * 11 // 2 - 3 * 2 - 3]


def test_larger_blocks_serve_more_pairs_each():
    """A block of 6 players serves 15 pairs, one of 3 serves 3."""
    few, many = (
        explain(table_subject(12), sampled(estimator="sub-cubes", block=block, budget=budget, order_shares=[0.5, 0.6]))
        for block, budget in ((3, 100), (6, 800))
    )

    assert few.contexts.pairs < 40
    assert many.contexts.pairs > 50


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"pairs": "given"}, "given_pairs together with pairs=given"),
        ({"given_pairs": [(0, 1)]}, "given_pairs together with pairs=given"),
        ({"pairs": "given", "given_pairs": [(2, 2)]}, "two different players"),
        ({"radius": 0}, "greater than or equal to 1"),
        ({"grid_rows": 17}, "less than or equal to 16"),
        ({"order_shares": [0.5, 1.5]}, "less than or equal to 1"),
        ({"budget": 10}, "greater than or equal to 100"),
        ({"estimator": "guess"}, "Input should be"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        params(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"pairs": "given", "given_pairs": [(0, 8)]}, "expected players from 0 to 7, got 8"),
        ({"pairs": "given", "given_pairs": [(0, 1), (1, 0)]}, r"got \[0, 1\] twice"),
        ({"computation": "sampled", "estimator": "sub-cubes", "block": 9}, "blocks of at most 8 players"),
    ],
)
def test_pairs_and_blocks_of_players_that_are_not_there_are_refused(wrong, message):
    with pytest.raises(InvalidParameters, match=message):
        explain(table_subject(8), params(**wrong))


def test_exact_has_a_cap_of_players():
    with pytest.raises(InvalidParameters, match="expected at most 20 players, got 21"):
        explain(table_subject(21), params(computation="exact"))


@pytest.mark.parametrize(
    ("changes", "kind", "shape", "parameter"),
    [
        ({"computation": "exact", "grid_rows": 5, "grid_columns": 5}, "image", (3, 32, 32), "players"),
        ({"pairs": "neighbours"}, "features", (8,), "pairs"),
        ({"pairs": "neighbours", "players": "cells"}, "image", (3, 32, 32), "pairs"),
        ({"estimator": "sub-cubes", "block": 9, "computation": "sampled"}, "features", (8,), "block"),
        ({"pairs": "given"}, "features", (8,), "given_pairs"),
    ],
)
def test_the_gateway_refuses_what_a_runner_would_have_to(changes, kind, shape, parameter):
    spec = method_spec("multi-order")
    complete = {**params().model_dump(mode="json"), **changes}

    found = list(broken(rules(spec.parameters), quantities(complete, kind=kind, shape=shape, outputs=3)))

    assert [fault.pointer for fault in found] == [f"/params/{parameter}"]


@pytest.mark.parametrize("changes", [{}, {"computation": "sampled", "budget": 700}, {"budget": 200}])
def test_the_estimate_bounds_what_is_evaluated(changes):
    given = replace(table_subject(10), samples=(table_subject(10, seed=1),))
    names = quantities(params(**changes).model_dump(mode="json"), kind="features", shape=(10,), outputs=3, samples=2)

    answer = explain(given, params(**changes))

    bound = estimate(method_spec("multi-order"), names).forwards
    assert bound / 2 <= answer.cost.forwards <= bound
