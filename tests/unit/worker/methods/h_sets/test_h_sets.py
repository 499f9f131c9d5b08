from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from jobs.errors import InvalidInput, InvalidParameters
from jobs.layers import Node
from jobs.schemas import Explanation, ModelInput, Target
from jobs.set_scores import score, subset_blocks
from tests.networks import frozen, linear_model, small_cnn, small_vit, subject
from tests.reference import h_sets as reference
from worker.methods._registry import Subject
from worker.methods.h_sets import HSetsParams, explain
from worker.models.graph import build_graph
from worker.models.surgery import twice_differentiable

FLOAT64_SCORES = 1e-9
FLOAT32_SCORES = 1e-3
"""float32 convolutions of one point and of eight take other kernels."""


def run(given: Subject | None = None, **params: object) -> Explanation:
    few: dict[str, object] = {"sets": 3, "max_rows": 3, "path_steps": 6, "prior": "grid", "grid_cells": 2}
    return explain(subject() if given is None else given, HSetsParams.model_validate({**few, **params}))


def masks_of(answer: Explanation, rank: int, *, subsets: int, seed: int = 0) -> list[torch.Tensor]:
    """Return the random subsets of one set as masks of the input's shape."""
    members = np.array(sorted(answer.interactions[rank].members))
    kept = np.concatenate(list(subset_blocks(members, subsets=subsets, seed=seed)))
    masks = np.zeros((subsets, int(np.prod(answer.players.shape))))
    masks[:, members] = kept
    return list(torch.from_numpy(masks.reshape(subsets, *answer.players.shape)))


TOLERANCES = [(torch.float64, FLOAT64_SCORES), (torch.float32, FLOAT32_SCORES)]


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
@pytest.mark.parametrize("baseline", ["zeros", "black"])
def test_paper_scores_are_the_papers(dtype, tolerance, baseline):
    given = subject(dtype=dtype)

    answer = run(given, subsets=5, baseline=baseline)

    model, x = small_cnn(), given.input.double()
    mean, std = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (given.mean, given.std))
    absent = torch.zeros_like(x) if baseline == "zeros" else (-mean / std).expand_as(x)
    for rank, found in enumerate(answer.interactions):
        masks = masks_of(answer, rank, subsets=5)
        expected = reference.score(model, x, absent, masks, steps=6, target=answer.explained.index)
        assert found.strength == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_published_scores_are_the_published_codes(dtype, tolerance):
    given = subject(dtype=dtype)

    answer = run(given, preset="published", set_size=40, path_steps=30)

    for rank, found in enumerate(answer.interactions):
        masks = masks_of(answer, rank, subsets=30)
        expected = reference.published_score(small_cnn(), given.input.double(), masks)
        assert found.strength == pytest.approx(expected, rel=tolerance)


def test_published_sets_are_the_published_codes():
    """Seeds by the signed gradient of the model itself, one a region; signed min-max rows; growth anywhere."""
    given = subject()

    answer = run(given, preset="published", set_size=40, sets=4)

    model = given.model
    target = answer.explained.index
    gradient = reference.gradient(model, given.input, None).flatten().numpy()
    regions = np.broadcast_to(answer.arrays["regions"], given.input.shape).reshape(-1)
    H = reference.hessian(twice_differentiable(model), given.input, target).numpy()
    expected, seen = {}, set()
    for seed in np.argsort(-gradient, kind="stable"):
        if regions[seed] not in seen:
            seen.add(regions[seed])
            expected[int(seed)] = tuple(reference.published_grow(H, int(seed), threshold=0.5, set_size=40))
    assert {found.details["seed"]: found.members for found in answer.interactions} == expected


def test_paper_sets_are_algorithm_1s():
    given = subject()

    answer = run(given, set_size=9, sets=4)

    attribution = answer.arrays["integrated_gradients"].reshape(-1)
    regions = np.broadcast_to(answer.arrays["regions"], given.input.shape).reshape(-1)
    H = reference.hessian(twice_differentiable(given.model), given.input, answer.explained.index).numpy()
    for found in answer.interactions:
        region = found.details["region"]
        seed = max(np.flatnonzero(regions == region), key=lambda index: attribution[index])
        members, rows = reference.grow(H, int(seed), list(regions), threshold=0.5, set_size=9, max_rows=3)
        assert found.details["seed"] == seed
        assert (list(found.members), found.details["rows"]) == (members, rows)


class Tally(nn.Module):
    """Counts, on its own, the samples that go through a model forward and backward."""

    counts: dict[str, int]

    class Pass(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            Tally.counts["forwards"] += len(x)
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            Tally.counts["backwards"] += len(gradient)
            return gradient.clone()

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(Tally.Pass.apply(x))


@pytest.mark.parametrize("preset", ["paper", "published"])
@pytest.mark.parametrize(("sets", "subsets"), [(1, 1), (1, 1000), (7, 1), (7, 1000)])
def test_thirty_one_points_serve_any_number_of_sets_and_subsets(preset, sets, subsets):
    Tally.counts = {"forwards": 0, "backwards": 0}

    answer = run(
        subject(Tally(small_cnn())), preset=preset, sets=sets, subsets=subsets, path_steps=30, grid_cells=3,
    )  # fmt: skip

    rows = sum(found.details["rows"] for found in answer.interactions)
    assert len(answer.interactions) == sets
    assert answer.cost.hessian_rows == rows
    # 31 of the path, and the graph that all rows share; each row is one more way back.
    assert Tally.counts == {"forwards": 31 + 1, "backwards": 31 + 1 + rows}
    assert (answer.cost.forwards, answer.cost.backwards) == (31 + 1, 31 + 1)


def test_the_map_is_the_sum_of_the_scored_sets():
    answer = run()

    expected = np.zeros(int(np.prod(answer.players.shape)))
    for found in answer.interactions:
        expected[list(found.members)] += found.strength
    np.testing.assert_allclose(answer.arrays["attribution"].reshape(-1), expected, rtol=1e-6)
    assert answer.arrays["sets"].reshape(3, -1).sum(axis=1).tolist() == [found.order for found in answer.interactions]


def test_sets_are_ranked_by_score():
    strengths = [found.strength for found in run(sets=4).interactions]

    assert strengths == sorted(strengths, reverse=True)


def test_a_set_scores_the_same_when_a_user_draws_it():
    answer = run()
    found = answer.interactions[0]

    again = score(
        answer.kept["path_gradients"], answer.kept["difference"], found.members, formula="paper", subsets=1000, seed=0
    )  # fmt: skip

    assert (again.value, again.standard_error) == (found.strength, found.standard_error)


def test_the_same_seed_gives_the_same_answer_and_another_one_other_subsets():
    first, second, other = (run(subject(seed=seed), seeds="random") for seed in (1, 1, 2))

    assert first.model_dump() == second.model_dump()
    np.testing.assert_array_equal(first.arrays["attribution"], second.arrays["attribution"])
    assert first.interactions != other.interactions


def test_doubling_the_output_doubles_scores_and_keeps_sets():
    class Doubled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = small_cnn()

        def forward(self, x):
            return 2 * self.model(x)

    plain, doubled = run(), run(subject(Doubled()))

    assert [found.members for found in doubled.interactions] == [found.members for found in plain.interactions]
    assert [found.strength for found in doubled.interactions] == pytest.approx(
        [2 * found.strength for found in plain.interactions], rel=FLOAT64_SCORES
    )


def test_swapping_classes_of_a_contrast_changes_no_score():
    """phi is a size: f_a - f_b and f_b - f_a differ in the seeds' sign only."""
    one, other = (
        run(subject(target=target), seeds="random")
        for target in (Target(index=0, against=1), Target(index=1, against=0))
    )

    assert [found.strength for found in one.interactions] == pytest.approx(
        [found.strength for found in other.interactions], rel=FLOAT64_SCORES
    )
    assert one.explained.value == pytest.approx(-other.explained.value)


def test_a_linear_model_is_told_that_nothing_interacts():
    answer = run(subject(linear_model()))

    assert any("No interaction found" in note for note in answer.notes)
    assert {found.order for found in answer.interactions} == {1}
    assert {found.details["stopped"] for found in answer.interactions} == {"exhausted"}
    assert answer.cost.hessian_rows == len(answer.interactions)


def test_checks_pass_on_a_well_behaved_model():
    checks = {check.name: check for check in run(path_steps=60).checks}

    assert {name for name, check in checks.items() if check.passed} == {
        "completeness-gap",
        "hessian-asymmetry",
        "monte-carlo-error",
    }
    assert 0 < checks["smoothing-fidelity"].value <= 1


@pytest.mark.parametrize("chunk", [1, 5])
def test_a_vision_transformer_is_explained_by_pixels(chunk):
    given = subject(small_vit(), size=16, dtype=torch.float32, chunk=chunk)

    answer = run(given)

    assert answer.players.shape == (3, 16, 16)
    assert max(found.order for found in answer.interactions) > 1
    # A transformer has no ReLU to smooth.
    assert {check.name: check.value for check in answer.checks}["smoothing-fidelity"] == pytest.approx(1, abs=1e-5)


def test_a_grey_picture_has_one_channel():
    given = subject(small_cnn(channels=1))
    grey = subject(small_cnn(channels=1), input=given.input[:1], mean=given.mean[:1], std=given.std[:1])

    answer = run(grey, baseline="black", prior="quickshift")

    assert answer.arrays["attribution"].shape == (1, 8, 8)


BOXES = {"boxes": [[0, 0, 4, 4], [4, 4, 8, 8]]}
LABELS = {"labels": [[0] * 8] * 4 + [[-1] * 8] * 4}


@pytest.mark.parametrize(
    "params",
    [
        *({"prior": prior} for prior in ("quickshift", "slic", "grid", "none")),
        {"prior": "given", "regions": BOXES},
        {"prior": "given", "regions": LABELS},
        *({"seeds": seeds} for seeds in ("integrated-gradients", "gradient", "random")),
        *({"threshold_kind": kind} for kind in ("relative", "quantile", "min-max")),
        {"threshold_kind": "absolute", "threshold": 1e-5},
        *({"growth": growth} for growth in ("region", "prefer", "anywhere")),
        *({"search": search} for search in ("strongest-first", "depth-first")),
        {"keep_seed": False},
        *({"smoothing": smoothing} for smoothing in ("paper", "algebraic", "softplus")),
        {"smoothing_t": 0.1, "straight_through": False},
        *({"baseline": baseline} for baseline in ("zeros", "black", "mean", "blur")),
        *({"path_class": path_class} for path_class in ("fixed", "per-point")),
        *({"formula": formula} for formula in ("paper", "published")),
        {"preset": "published"},
        {"preset": "published", "set_size": 7, "max_rows": 1},
        {"sets": 1, "set_size": 1, "max_rows": 1, "path_steps": 1, "subsets": 1},
        {"prior": "quickshift", "quickshift_kernel": 1, "quickshift_max_distance": 5, "quickshift_ratio": 1},
        {"prior": "slic", "slic_segments": 3},
    ],
)
def test_every_parameter_is_accepted(params):
    answer = run(**params)

    set_size = HSetsParams.model_validate({"prior": "grid", **params}).set_size
    assert answer.interactions
    assert all(1 <= found.order <= set_size for found in answer.interactions)
    assert all(found.strength >= 0 for found in answer.interactions)
    regions = np.broadcast_to(answer.arrays["regions"], answer.players.shape).reshape(-1)
    assert all(regions[found.details["seed"]] >= 0 for found in answer.interactions)


def trace(answer: Explanation) -> list[object]:
    """What a parameter can change: regions, sets, scores, and how the Hessian was smoothed."""
    fidelity = {check.name: check.value for check in answer.checks}["smoothing-fidelity"]
    sets = [(found.members, found.strength, found.details["rows"]) for found in answer.interactions]
    return [answer.arrays["regions"].tolist(), sets, fidelity, answer.explained.baseline_value]


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({}, {"sets": 2}),
        ({}, {"set_size": 2}),
        ({}, {"seeds": "gradient"}),
        ({}, {"seeds": "random"}),
        ({}, {"prior": "none"}),
        ({}, {"grid_cells": 3}),
        ({"prior": "slic", "slic_segments": 2}, {"slic_segments": 9}),
        ({"prior": "quickshift", "quickshift_kernel": 1}, {"quickshift_kernel": 3}),
        ({"prior": "quickshift", "quickshift_kernel": 1}, {"quickshift_max_distance": 2}),
        ({"prior": "quickshift", "quickshift_kernel": 1, "quickshift_max_distance": 4}, {"quickshift_ratio": 1}),
        ({}, {"threshold": 0.2}),
        ({}, {"threshold_kind": "quantile"}),
        ({}, {"growth": "anywhere"}),
        ({"threshold": 0.2, "max_rows": 6}, {"search": "depth-first"}),
        ({"set_size": 20}, {"keep_seed": False}),
        ({"threshold": 0.7}, {"max_rows": 1}),
        ({}, {"smoothing": "softplus"}),
        ({}, {"smoothing_t": 0.1}),
        ({}, {"straight_through": False}),
        ({}, {"baseline": "black"}),
        ({}, {"path_steps": 7}),
        ({}, {"formula": "published"}),
        ({}, {"subsets": 999}),
    ],
)
def test_every_parameter_has_an_effect(given, changed):
    assert trace(run(**{**given, **changed})) != trace(run(**given))


def test_the_published_preset_is_the_published_codes_settings():
    preset = HSetsParams(preset="published").model_dump()

    assert {name: preset[name] for name in HSetsParams.presets["published"]} == {
        "seeds": "gradient",
        "threshold_kind": "min-max",
        "growth": "anywhere",
        "search": "depth-first",
        "keep_seed": False,
        "set_size": 2001,  # max_features = 2000, and the loop takes one more
        "max_rows": 64,
        "path_class": "per-point",
        "formula": "published",
        "subsets": 30,
    }
    assert (preset["threshold"], preset["sets"], preset["path_steps"], preset["smoothing_t"]) == (0.5, 5, 30, 1e-3)


class Shifted(nn.Module):
    """A network whose predicted class changes between the baseline and the input."""

    def __init__(self, x: torch.Tensor) -> None:
        super().__init__()
        self.model = small_cnn().to(x.dtype)
        with torch.no_grad():
            here, there = self.model(torch.stack([x, torch.zeros_like(x)]))
        gain = here - there
        self.rising, self.falling = int(gain.argmax()), int(gain.argmin())
        middle = (here + there) / 2
        # At the middle of the path the two classes are about equal, and far above all others.
        shift = torch.full_like(middle, -100.0)
        shift[[self.rising, self.falling]] = -middle[[self.rising, self.falling]]
        self.register_buffer("shift", shift)

    def forward(self, x):
        return self.model(x) + self.shift


def test_published_gradients_are_of_the_class_predicted_at_each_point():
    given = subject()
    model = Shifted(given.input).eval().requires_grad_(False)
    with torch.no_grad():
        predicted = model(torch.stack([0 * given.input, given.input])).argmax(dim=1).tolist()
    assert predicted == [model.falling, model.rising]

    answer = run(subject(model), preset="published", set_size=40, path_steps=30)

    for rank, found in enumerate(answer.interactions):
        expected = reference.published_score(model, given.input, masks_of(answer, rank, subsets=30))
        assert found.strength == pytest.approx(expected, rel=FLOAT64_SCORES)
    fixed = run(subject(model), preset="published", set_size=40, path_steps=30, path_class="fixed")
    assert fixed.interactions[0].strength != pytest.approx(answer.interactions[0].strength, rel=FLOAT32_SCORES)
    assert answer.explained.baseline_value is None


def test_equal_logits_are_not_blended():
    """A maximum would give each of three equal logits a third of the gradient; the code takes the first."""

    class Tied(nn.Module):
        def forward(self, x):
            total = x.flatten(1).sum(dim=1, keepdim=True)
            return torch.cat([3 * total, 2 * total, total], dim=1)

    answer = run(subject(Tied()), preset="published")

    np.testing.assert_allclose(answer.kept["path_gradients"][0], 3.0)


def test_a_sum_of_squares_has_curvature_but_no_interaction():
    class Squares(nn.Module):
        def forward(self, x):
            return torch.stack([(x**2).flatten(1).sum(dim=1), x.flatten(1).sum(dim=1)], dim=1)

    answer = run(subject(Squares(), target=Target(index=0)))

    assert any("No interaction found" in note for note in answer.notes)


def test_details_and_coverage_are_sums_of_integrated_gradients():
    answer = run()

    attributed = answer.arrays["integrated_gradients"].reshape(-1)
    inside = answer.arrays["sets"].any(axis=0).reshape(-1)
    change = answer.explained.value - answer.explained.baseline_value
    covered = {check.name: check.value for check in answer.checks}["share-of-output-covered"]
    assert covered == pytest.approx(attributed[inside].sum() / change)
    for found in answer.interactions:
        members = list(found.members)
        assert found.details["integrated_gradients"] == pytest.approx(attributed[members].sum())
        gradients, z = answer.kept["path_gradients"][1:, members], answer.kept["difference"][members]
        whole = np.abs(gradients @ z).mean() / np.linalg.norm(z)
        assert found.details["full_set_value"] == pytest.approx(whole)


def test_without_a_prior_no_seed_is_used_twice():
    answer = run(subject(size=16), preset="published", prior="none", set_size=20, sets=5)

    seeds = [found.details["seed"] for found in answer.interactions]
    assert len(set(seeds)) == len(seeds) == 5


def test_a_label_map_without_regions_is_refused():
    with pytest.raises(InvalidParameters, match="no region to grow in"):
        run(prior="given", regions={"labels": [[-1] * 8] * 8})


def test_sets_keep_to_given_regions():
    answer = run(prior="given", regions=BOXES, sets=5)

    assert len(answer.interactions) == 2
    assert any("no more regions" in note for note in answer.notes)
    assert all((answer.arrays["regions"] >= 0)[mask.any(axis=0)].all() for mask in answer.arrays["sets"])


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"prior": "given", "regions": {"boxes": [[0, 0, 9, 4]]}}, "right <= 8"),
        ({"prior": "given", "regions": {"labels": [[0, 1]]}}, "8 rows of 8 labels"),
        ({"prior": "sam"}, "needs a Segment Anything model"),
    ],
)
def test_a_prior_that_does_not_fit_is_refused(params, words):
    with pytest.raises(InvalidParameters, match=words):
        run(**params)


def test_a_target_does_not_go_with_the_class_of_each_point():
    with pytest.raises(InvalidParameters, match="leave the target out"):
        run(subject(target=Target(index=1)), preset="published")

    assert run(subject(target=Target(index=1)), preset="published", path_class="fixed").explained.index == 1


def test_a_segmentation_needs_a_picture():
    with pytest.raises(InvalidInput, match="without pixels"):
        run(subject(pixels=None), prior="quickshift")


def test_progress_tells_the_stages_and_can_stop_the_method():
    stages: list[str] = []

    def report(stage: str, done: int, total: int) -> None:
        assert 0 <= done <= total
        stages.append(stage)
        if stage == "scores":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(subject(report=report))

    assert list(dict.fromkeys(stages)) == ["regions", "path", "graph", "rows", "scores"]


class Residual(nn.Module):
    """What `RESIDUAL` describes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.a, self.b, self.head = nn.ReLU(), nn.ReLU(), nn.Linear(4 * 8 * 8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.a(self.stem(x))
        scores: torch.Tensor = self.head((hidden + self.b(self.block(hidden))).flatten(1))
        return scores


RESIDUAL = [
    {"name": "stem", "type": "conv2d", "outputs": 4, "kernel": 3, "padding": 1}, {"name": "a", "type": "relu"},
    {"name": "block", "type": "conv2d", "outputs": 4, "kernel": 3, "padding": 1}, {"name": "b", "type": "relu"},
    {"name": "sum", "type": "add", "takes": ["a", "b"]}, {"name": "flat", "type": "flatten"},
    {"name": "head", "type": "linear", "outputs": 4},
]  # fmt: skip


def test_a_graph_of_pictures_is_explained_as_the_module_that_it_describes():
    torch.manual_seed(5)
    module = Residual()
    graph = build_graph([Node.model_validate(node) for node in RESIDUAL], ModelInput(kind="image", shape=(3, 8, 8)))
    graph.load_state_dict(module.state_dict())

    ours, plain = (run(subject(frozen(one, torch.float64))) for one in (graph, module))

    assert [one.members for one in ours.interactions] == [one.members for one in plain.interactions]
    strengths = [[one.strength for one in answer.interactions] for answer in (ours, plain)]
    assert strengths[0] == pytest.approx(strengths[1], rel=FLOAT64_SCORES)
    assert max(map(abs, strengths[0])) > 0
