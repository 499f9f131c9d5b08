"""NID of networks that are no chain: influence along all paths, inputs that go past, functions of single features."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from jobs.layers import Node
from jobs.quantities import quantities
from jobs.rules import broken, rules
from jobs.schemas import ModelInput, Target
from tests.reference import nid as reference
from worker.methods._registry import Subject
from worker.methods.nid.explanation import NetworkParams, explain
from worker.methods.nid.reading import Reading, read
from worker.models.graph import Graph, build_graph

EXACT = 1e-12  # float64 in both, sums in another order
PRINTED = 1e-6  # the answer's matrix is float32
FEATURES = 4
SLOPES = {"relu": 1.0, "tanh": 1.0, "sigmoid": 0.25}

seeds = st.integers(0, 2**32 - 1)


def graph(*nodes, features=FEATURES, seed=0) -> Graph:
    torch.manual_seed(seed)
    found = build_graph([Node.model_validate(node) for node in nodes], ModelInput(kind="features", shape=(features,)))
    for module in found.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_var.uniform_(0.5, 2)
    for parameter in found.parameters():
        nn.init.normal_(parameter)
    return found.eval().double().requires_grad_(False)


def reading(model, features=FEATURES) -> Reading:
    return read(model, (features,))


def strengths(model, features=FEATURES, target=None):
    subject = Subject(model=model, input=torch.zeros(features), target=target)
    return torch.from_numpy(explain(subject, NetworkParams()).arrays["strengths_matrix"])


def drawn(seed: int) -> list[dict]:
    """A first hidden layer, and behind it layers, sums and concatenations of whatever came before."""
    draw = random.Random(seed)
    nodes = [{"name": "first", "type": "linear", "outputs": 3}, {"name": "units", "type": "relu"}]
    widths = {"units": 3}
    for place in range(draw.randint(1, 5)):
        name, (taken, width) = f"n{place}", draw.choice(list(widths.items()))
        kind = draw.choice(["linear", "relu", "tanh", "sigmoid", "add", "concat", "batch-norm", "affine"])
        node = {"name": name, "type": kind, "takes": [taken]}
        if kind == "linear":
            node["outputs"] = draw.randint(1, 3)
        elif kind == "add":
            node["takes"] = [taken, draw.choice([one for one, other in widths.items() if other == width])]
        elif kind == "concat":
            node["takes"] = draw.choices(list(widths), k=draw.randint(1, 3))
        widths[name] = {
            "linear": node.get("outputs", 0), "concat": sum(widths[one] for one in node["takes"])
        }.get(kind, width)  # fmt: skip
        nodes.append(node)
    # Whatever nobody takes goes into the last layer, as a graph has no dead ends.
    loose = [name for name in widths if not any(name in node.get("takes", ()) for node in nodes)]
    return [*nodes, {"name": "all", "type": "concat", "takes": loose}, {"name": "out", "type": "linear", "outputs": 2}]


def as_written(model: Graph) -> tuple[dict[str, reference.Node], dict[str, int]]:
    """The network for the oracle, and how wide each node is."""
    written, widths, values = {}, {}, {"input": torch.zeros(1, FEATURES).double()}
    for name, takes in model.wiring:
        layer = model.get_submodule(name)
        values[name] = layer(*[values[one] for one in takes])
        widths[name] = values[name].shape[1]
        match layer:
            case nn.Linear():
                written[name] = ("linear", takes, layer.weight.tolist())
            case nn.BatchNorm1d():
                scale = layer.weight / (layer.running_var + layer.eps).sqrt()
                written[name] = ("scale", takes, scale.tolist())
            case _ if type(layer).__name__ == "Affine":
                written[name] = ("scale", takes, layer.weight.tolist())
            case _ if type(layer).__name__ in ("Add", "Concat"):
                written[name] = (type(layer).__name__.lower(), takes, None)
            case _:
                written[name] = ("activation", takes, SLOPES[type(layer).__name__.lower()])
    return written, widths


@given(seeds)
@settings(deadline=None)
def test_influence_is_the_sum_over_all_paths(seed: int):
    model = graph(*drawn(seed), seed=seed)
    written, widths = as_written(model)

    found = reading(model).influences(None)

    expected = [reference.influence_in_graph(written, widths, "units", unit) for unit in range(3)]
    assert found.tolist() == pytest.approx(expected, rel=EXACT)


HIDDEN = ({"name": "first", "type": "linear", "outputs": 6}, {"name": "units", "type": "relu"})
RESIDUAL = (
    *HIDDEN,
    {"name": "inner", "type": "linear", "outputs": 6}, {"name": "bent", "type": "tanh"},
    {"name": "sum", "type": "add", "takes": ["units", "bent"]},
    {"name": "both", "type": "concat", "takes": ["sum", "bent"]},
    {"name": "out", "type": "linear", "outputs": 2},
)  # fmt: skip
MEETING_INPUTS_LATER = (
    {"name": "both", "type": "concat", "takes": ["units", "input"]},
    {"name": "mixing", "type": "linear", "outputs": 3},
    {"name": "later", "type": "relu"},
    {"name": "out", "type": "linear", "outputs": 1},
)


@given(seeds, st.integers(0, FEATURES - 1))
@settings(deadline=None, max_examples=20)
def test_a_zero_column_has_no_strength(seed: int, column: int):
    model = graph(*RESIDUAL, seed=seed)
    model.first.weight[:, column] = 0

    assert not strengths(model)[column].any()


@given(seeds, st.permutations(range(6)))
@settings(deadline=None, max_examples=20)
def test_the_order_of_units_does_not_matter(seed: int, order: list[int]):
    model, shuffled = graph(*RESIDUAL, seed=seed), graph(*RESIDUAL, seed=seed)
    for name in ("first", "inner"):
        layer = shuffled.get_submodule(name)
        layer.weight.copy_(layer.weight[order])
    for part in (0, 6):
        shuffled.out.weight[:, part : part + 6] = model.out.weight[:, part : part + 6][:, order]
    shuffled.inner.weight.copy_(model.inner.weight[order][:, order])

    torch.testing.assert_close(strengths(shuffled), strengths(model), rtol=PRINTED, atol=PRINTED)


@given(seeds, st.floats(0.01, 100), st.integers(0, 5))
@settings(deadline=None, max_examples=20)
def test_scale_moves_between_a_unit_and_all_that_takes_it(seed: int, scale: float, unit: int):
    nodes = (*RESIDUAL[:4], {"name": "both", "type": "concat", "takes": ["units", "bent"]}, RESIDUAL[-1])
    model, scaled = graph(*nodes, seed=seed), graph(*nodes, seed=seed)
    scaled.first.weight[unit] *= scale
    scaled.inner.weight[:, unit] /= scale
    scaled.out.weight[:, unit] /= scale

    torch.testing.assert_close(strengths(scaled), strengths(model), rtol=PRINTED, atol=PRINTED)


@given(seeds, st.permutations(range(FEATURES)))
@settings(deadline=None, max_examples=20)
def test_renaming_features_renames_strengths(seed: int, order: list[int]):
    model, renamed = graph(*RESIDUAL, seed=seed), graph(*RESIDUAL, seed=seed)
    renamed.first.weight.copy_(model.first.weight[:, order])

    expected = strengths(model)[order][:, order]
    torch.testing.assert_close(strengths(renamed), expected, rtol=PRINTED, atol=PRINTED)


def test_a_linear_skip_to_the_outputs_changes_nothing_and_is_not_warned_of():
    plain = graph(*HIDDEN, {"name": "out", "type": "linear", "outputs": 1})
    skipping = graph(
        *HIDDEN,
        {"name": "both", "type": "concat", "takes": ["units", "input"]},
        {"name": "out", "type": "linear", "outputs": 1},
    )
    skipping.first.weight.copy_(plain.first.weight)
    skipping.out.weight[:, :6] = plain.out.weight

    torch.testing.assert_close(strengths(skipping), strengths(plain))
    assert not reading(skipping).blind


def test_an_input_that_meets_hidden_units_in_a_later_layer_is_warned_of():
    model = graph(*HIDDEN, *MEETING_INPUTS_LATER)

    answer = explain(Subject(model=model, input=torch.zeros(FEATURES)), NetworkParams())

    assert answer.details["blind"] == ["later"]
    assert any("later layer (later)" in note for note in answer.notes)


def test_inputs_that_go_past_count_by_their_own_weights_in_the_layer_that_they_reach():
    """x0 and x1 are mixed by the first layer, x2 and x3 by a later one only."""
    model = graph(*HIDDEN, *MEETING_INPUTS_LATER)
    model.first.weight[:, 2:] = 0
    model.mixing.weight[:, 6:8] = 0
    direct, z = model.mixing.weight[:, 6:].abs(), model.out.weight[0].abs()

    expected = (z * torch.minimum(direct[:, 2], direct[:, 3])).sum()
    assert float(strengths(model)[2, 3]) == pytest.approx(float(expected), rel=PRINTED)


def test_a_layer_of_single_features_is_not_the_first_that_mixes():
    """A diagonal layer and its activation work feature by feature."""
    model = graph({"name": "diagonal", "type": "linear", "outputs": 4}, {"name": "curve", "type": "sigmoid"}, *HIDDEN,
                  {"name": "out", "type": "linear", "outputs": 1})  # fmt: skip
    model.diagonal.weight.copy_(torch.diag(torch.tensor([1.0, -2.0, 3.0, 4.0])))
    plain = graph(*HIDDEN, {"name": "out", "type": "linear", "outputs": 1})
    plain.first.weight.copy_(model.first.weight * torch.tensor([1.0, 2.0, 3.0, 4.0]) / 4)
    plain.out.weight.copy_(model.out.weight)

    torch.testing.assert_close(strengths(model), strengths(plain))


def test_two_functions_of_one_feature_do_not_cancel():
    model = graph(
        {"name": "bent", "type": "tanh", "takes": ["input"]},
        {"name": "both", "type": "concat", "takes": ["input", "bent"]},
        *HIDDEN,
        {"name": "out", "type": "linear", "outputs": 1},
    )
    model.first.weight[:, FEATURES:] = -model.first.weight[:, :FEATURES]

    torch.testing.assert_close(reading(model).first, 2 * model.first.weight[:, :FEATURES].abs())


def test_branches_that_mix_on_their_own_are_first_layers_all():
    model = graph(
        {"name": "a", "type": "linear", "outputs": 2, "takes": ["input"]}, {"name": "bent", "type": "relu"},
        {"name": "b", "type": "linear", "outputs": 3, "takes": ["input"]}, {"name": "curved", "type": "sigmoid"},
        {"name": "both", "type": "concat", "takes": ["bent", "curved"]},
        {"name": "out", "type": "linear", "outputs": 1},
    )  # fmt: skip
    found = reading(model)

    torch.testing.assert_close(found.first, torch.cat([model.a.weight, model.b.weight]))
    out = model.out.weight[0].abs()
    torch.testing.assert_close(found.influences(None), torch.cat([out[:2], out[2:] / 4]))


def test_a_contrast_through_a_sum_of_branches_subtracts_weights():
    model = graph(*RESIDUAL)
    found = reading(model).influences(Target(index=0, against=1))
    row = (model.out.weight[0] - model.out.weight[1]).abs()
    onto_sum, onto_bent = row[:6], row[6:]

    torch.testing.assert_close(found, onto_sum + (onto_sum + onto_bent) @ model.inner.weight.abs())


def test_a_picture_is_read_by_pixels_and_by_patches():
    torch.manual_seed(0)
    layers = (nn.Flatten(), nn.Linear(3 * 4 * 6, 8), nn.ReLU(), nn.Linear(8, 2))
    model = nn.Sequential(*layers).eval().requires_grad_(False)
    subject = Subject(model=model, input=torch.zeros(3, 4, 6), std=(1.0, 1.0, 1.0))
    squares = layers[1].weight.double().square().reshape(8, 3, 4, 6).sum(1)

    by_pixel = explain(subject, NetworkParams())
    by_patch = explain(subject, NetworkParams(patch=4))

    assert by_pixel.players.shape == (4, 6)
    assert by_pixel.players.names is not None
    assert by_pixel.players.names[7] == "pixel 2, 2"
    assert by_patch.players.shape == (1, 2)
    weights = [squares[:, :, :4].sum((1, 2)).sqrt(), squares[:, :, 4:].sum((1, 2)).sqrt()]
    z = layers[3].weight.double().abs().sum(0)
    expected = float((z * torch.minimum(*weights)).sum())
    assert by_patch.interactions[0].strength == pytest.approx(expected, rel=EXACT)


def test_a_large_picture_is_read_by_patches_of_which_there_are_not_too_many():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 40 * 40, 2), nn.ReLU()).eval().requires_grad_(False)

    assert explain(Subject(model=model, input=torch.zeros(3, 40, 40)), NetworkParams()).players.shape == (20, 20)


@pytest.mark.parametrize(("side", "fits"), [(None, True), (16, True), (2, True), (1, False)])
def test_patches_that_are_too_many_are_refused_before_a_job(side: int | None, fits: bool):
    """64 pixels a side are 4,096 patches at most; 65 are more."""
    named = quantities(NetworkParams(patch=side).model_dump(), kind="image", shape=(3, 65, 65), outputs=2)

    faults = list(broken(rules(NetworkParams.model_json_schema()), named))

    assert [fault.detail for fault in faults] == ([] if fits else ["expected at most 4096 patches, got 4225"])
