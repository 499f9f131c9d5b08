"""NID of an uploaded network: what is read off its layers, fields, refusals, and the answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from jobs.errors import InvalidParameters, UnsupportedModel
from jobs.schemas import FeatureEncoding, Target
from worker.methods._registry import Subject
from worker.methods.nid.explanation import NetworkParams, explain
from worker.methods.nid.fields import Group
from worker.methods.nid.lipschitz import LIPSCHITZ
from worker.methods.nid.reading import read

ROUNDING = 1e-5  # networks are float32; folded by hand, a product has another order
STEEPER = 1e-4  # a grid of slopes can miss the steepest by its spacing, and the constants have seven digits


def network(inputs=6, outputs=1, *, seed=0, activation=nn.ReLU):
    torch.manual_seed(seed)
    layers = (nn.Linear(inputs, 8), activation(), nn.Linear(8, 5), activation(), nn.Linear(5, outputs))
    return nn.Sequential(*layers).eval().requires_grad_(False)


def ask(model, *, target=None, features=None, names=None, inputs=6, **params):
    subject = Subject(model=model, input=torch.zeros(inputs), target=target, features=features, names=names)
    return explain(subject, NetworkParams.model_validate(params))


def matrix(model, **asked):
    return ask(model, **asked).arrays["strengths_matrix"]


def by_hand(model, scale=None):
    """Σ_s z_s min(|W_si|, |W_sj|), in loops, of a network of three linear layers."""
    W1, W2, W3 = (model[place].weight.double().abs().numpy() for place in (0, 2, 4))
    W1 = W1 if scale is None else W1 * np.asarray(scale)
    z = (W3 @ W2).sum(0)
    p = W1.shape[1]
    found = np.zeros((p, p))
    for i in range(p):
        for j in range(p):
            if i != j:
                found[i, j] = sum(z[s] * min(W1[s, i], W1[s, j]) for s in range(len(z)))
    return found


def normalisation(size, seed):
    torch.manual_seed(seed)
    layer = nn.BatchNorm1d(size).eval().requires_grad_(False)
    layer.weight.copy_(torch.randn(size))
    layer.bias.copy_(torch.randn(size))
    layer.running_mean.copy_(torch.randn(size))
    layer.running_var.copy_(torch.rand(size) + 0.5)
    return layer


def test_pairs_are_those_of_the_paper():
    model = network(outputs=3)

    np.testing.assert_allclose(matrix(model), by_hand(model), rtol=ROUNDING)


def test_the_strongest_pairs_come_first_and_no_more_than_asked_for():
    answer = ask(network(), top_k=4)
    strengths = [one.strength for one in answer.interactions]

    assert len(strengths) == 4
    assert strengths == sorted(strengths, reverse=True)
    assert strengths[0] == pytest.approx(answer.arrays["strengths_matrix"].max())


def test_a_batch_norm_between_layers_is_folded():
    model, norm = network(), normalisation(8, 1)
    by_itself = nn.Sequential(model[0], norm, *model[1:])
    folded = network()
    folded[0].weight.mul_((norm.weight / (norm.running_var + norm.eps).sqrt())[:, None])

    np.testing.assert_allclose(matrix(by_itself), matrix(folded), rtol=ROUNDING)


def test_a_batch_norm_behind_an_activation_is_folded_into_the_next_layer():
    model, norm = network(), normalisation(8, 1)
    by_itself = nn.Sequential(*model[:2], norm, *model[2:])
    folded = network()
    folded[2].weight.mul_((norm.weight / (norm.running_var + norm.eps).sqrt())[None])

    np.testing.assert_allclose(matrix(by_itself), matrix(folded), rtol=ROUNDING)


def test_a_batch_norm_on_the_inputs_says_how_they_vary():
    model, norm = network(), normalisation(6, 1)
    answer = ask(nn.Sequential(norm, *model))

    assert answer.details["scale"] == "batch norm"
    # Standardised, what is left of the norm is its weight.
    expected = by_hand(model, norm.weight.double().abs() * (norm.running_var / (norm.running_var + norm.eps)).sqrt())
    np.testing.assert_allclose(answer.arrays["strengths_matrix"], expected, rtol=ROUNDING)


def test_dropout_changes_nothing():
    model = network()

    np.testing.assert_array_equal(
        matrix(nn.Sequential(nn.Dropout(), *model[:2], nn.Dropout(), *model[2:])), matrix(model)
    )


def test_linear_layers_without_an_activation_between_them_are_one():
    torch.manual_seed(0)
    first, second, rest = nn.Linear(6, 4), nn.Linear(4, 8), nn.Sequential(*network()[1:])
    joined = nn.Linear(6, 8)
    joined.weight = nn.Parameter(second.weight @ first.weight)

    np.testing.assert_allclose(
        matrix(nn.Sequential(first, second, *rest)), matrix(nn.Sequential(joined, *rest)), rtol=1e-4
    )


@pytest.mark.parametrize("kind", LIPSCHITZ, ids=lambda kind: kind.__name__)
def test_an_activation_is_nowhere_steeper_than_its_constant_and_somewhere_as_steep(kind):
    x = torch.linspace(-30, 30, 600_001, dtype=torch.float64, requires_grad=True)
    slopes = torch.autograd.grad(kind()(x).sum(), x)[0].abs()

    assert float(slopes.max()) == pytest.approx(LIPSCHITZ[kind], abs=STEEPER)


def test_a_flatter_activation_weakens_what_is_behind_it():
    np.testing.assert_allclose(
        matrix(network(activation=nn.Sigmoid)), matrix(network(activation=nn.ReLU)) / 16, rtol=ROUNDING
    )


def test_a_zero_column_has_no_strength():
    model = network()
    model[0].weight[:, 2] = 0

    assert not matrix(model)[2].any()


def test_the_order_of_hidden_units_does_not_matter():
    model, shuffled = network(), network()
    order = torch.randperm(8)
    shuffled[0].weight.copy_(model[0].weight[order])
    shuffled[2].weight.copy_(model[2].weight[:, order])

    np.testing.assert_allclose(matrix(shuffled), matrix(model), rtol=ROUNDING)


def test_scale_moves_between_a_unit_and_the_next_layer():
    model, scaled = network(), network()
    scaled[0].weight[3] *= 7
    scaled[2].weight[:, 3] /= 7

    np.testing.assert_allclose(matrix(scaled), matrix(model), rtol=ROUNDING)


def test_a_contrast_reads_the_difference_of_two_outputs():
    model, difference = network(outputs=2), network(outputs=1)
    for place in (0, 2):
        difference[place].weight.copy_(model[place].weight)
    difference[4].weight.copy_(model[4].weight[0] - model[4].weight[1])

    found = matrix(model, target=Target(index=0, against=1))
    np.testing.assert_allclose(found, matrix(difference), rtol=ROUNDING)


def test_outputs_add_up():
    model = network(outputs=2)
    each = [matrix(model, target=Target(index=index)) for index in (0, 1)]

    np.testing.assert_allclose(matrix(model), sum(each), rtol=ROUNDING)
    assert any("summed over all 2 outputs" in note for note in ask(model).notes)


def test_an_unknown_scale_is_said_and_a_given_one_used():
    model, scale = network(), [1.0, 2.0, 3.0, 1.0, 0.5, 9.0]

    assert any(note.startswith("scale: unknown") for note in ask(model).notes)
    np.testing.assert_allclose(matrix(model, scale=scale), by_hand(model, scale), rtol=ROUNDING)


def test_categories_weigh_as_their_contribution_varies():
    block = torch.randn(5, 3, dtype=torch.float64)
    drawn = np.repeat(np.arange(3), [10, 30, 60])
    weights = Group(inputs=(0, 1, 2), shares=(0.1, 0.3, 0.6)).weigh(block)

    np.testing.assert_allclose(weights, block.numpy()[:, drawn].std(axis=1))


def test_a_constant_added_to_all_categories_is_no_interaction():
    model, moved = network(), network()
    moved[0].weight[:, 1:4] += 3.0
    groups = [{"inputs": [1, 2, 3]}]

    np.testing.assert_allclose(matrix(moved, groups=groups), matrix(model, groups=groups), rtol=1e-4)


def test_groups_are_fields_by_name():
    answer = ask(network(), names=tuple("abcdef"), groups=[{"name": "colour", "inputs": ["b", "d"]}])

    assert answer.players.names == ("a", "colour", "c", "e", "f")
    assert answer.arrays["strengths_matrix"].shape == (5, 5)


def test_numbers_of_a_group_add_up_as_independent_ones():
    block = torch.tensor([[3.0, 4.0]])

    assert Group(inputs=(0, 1), kind="numbers").weigh(block).tolist() == [5.0]


def test_columns_of_the_manifest_are_fields():
    columns = [{"name": "age"}, {"name": "job", "categories": ["x", "y", "z"]}, {"name": "a"}, {"name": "b"}]
    answer = ask(network(), features=FeatureEncoding.model_validate({"columns": columns}))

    assert answer.players.names == ("feature 0", "job", "feature 4", "feature 5")
    assert answer.details["scale"] == "manifest"


@pytest.mark.parametrize("inputs", [[6], ["nobody"], [0, 0]])
def test_a_group_of_inputs_that_are_not_there_is_refused(inputs):
    with pytest.raises(InvalidParameters, match="each once"):
        ask(network(), groups=[{"inputs": inputs}])


def test_a_scale_for_other_inputs_is_refused():
    with pytest.raises(InvalidParameters, match="expected 6 deviations"):
        ask(network(), scale=[1.0])


def test_sets_of_any_size_are_ranked_without_redundant_ones():
    found = ask(network(), order="any", largest=3).interactions

    assert {one.kind for one in found} == {"set"}
    assert max(one.order for one in found) <= 3
    for place, one in enumerate(found):
        assert not any(set(one.members) < set(stronger.members) for stronger in found[:place])


def test_averages_differ():
    assert (matrix(network(), average="maximum") >= matrix(network())).all()
    assert not np.allclose(matrix(network(), average="maximum"), matrix(network()))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2, 1)), "convolution.*h-sets"),
        (nn.Sequential(nn.Embedding(4, 2), nn.Flatten(), nn.Linear(2, 1)), "embedding.*and-or"),
        (nn.Sequential(nn.Linear(6, 4), nn.LayerNorm(4), nn.ReLU(), nn.Linear(4, 1)), "layer norm.*and-or"),
        (nn.Sequential(nn.MultiheadAttention(4, 2)), "attention.*and-or"),
        (nn.Sequential(nn.Linear(6, 1)), "no hidden layer.*integrated-gradients"),
        (nn.Sequential(nn.ReLU(), nn.Linear(6, 4), nn.Linear(4, 1)), "no hidden layer"),
        (nn.Sequential(nn.Linear(6, 4), nn.Softmax(1), nn.Linear(4, 1)), "not a Softmax"),
    ],
    ids=["convolution", "embedding", "layer-norm", "attention", "linear", "linear-chain", "other"],
)
def test_what_cannot_be_read_is_refused_with_what_to_use_instead(model, reason):
    with pytest.raises(UnsupportedModel, match=reason):
        read(model, (6,))
