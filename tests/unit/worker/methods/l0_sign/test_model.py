import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import l0_sign as reference
from tests.unit.worker.methods.l0_sign.rows import FEATURES, batches, network, nodes_of, oracle, rows_of
from worker.methods.l0_sign.losses import Lambdas, message_penalty, risk
from worker.methods.l0_sign.model import Design, Noise, margin
from worker.methods.l0_sign.pairs import Pairs, Rows, pairs_of

EXACT = 1e-10
"""Sums of some hundred float64 products of numbers around 1 in another order; the brief allows 1e-6."""
SINGLE = 1e-6
"""The same in float32, on outputs around 1."""

BATCH = ([0, 3, 5], [], [2], [6, -1, 3, 1], [5, 3])
LABELS = [1, 0, 1, 0, 1]
VALUES = [0.5, -2.0, 1.0, 1.5, 1.0, 0.25, -1.0, 2.0, 1.0, -0.5]
DESIGNS = [
    {}, {"gated": False}, {"mean": "nodes"}, {"compat": "published"}, {"compat": "published", "gated": False},
]  # fmt: skip
LAMBDAS = Lambdas(gates=0.03, messages=0.02)


def draws_of(rows: Rows, pairs: Pairs, noise: Noise | None) -> reference.Draws | None:
    if noise is None:
        return None
    start = rows.offsets[pairs.row]
    places = zip(*(x.tolist() for x in (pairs.row, pairs.first - start, pairs.second - start)), strict=True)
    kept = [None] * len(pairs.row) if noise.kept is None else noise.kept.tolist()
    return dict(zip(places, zip(noise.uniform.tolist(), kept, strict=True), strict=True))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("values", [None, VALUES])
@pytest.mark.parametrize("design", DESIGNS)
def test_outputs_and_risk_match_the_oracle(design, values, training):
    model, rows = network(**design).train(training), rows_of(*BATCH, values=values)
    pairs = pairs_of(rows)
    noise = model.noise(pairs, torch.Generator().manual_seed(3))
    draws, slow = draws_of(rows, pairs, noise), oracle(model)

    found = model.evaluate(rows, pairs, noise)

    expected = [slow.row(nodes, at, draws).outputs for at, nodes in enumerate(nodes_of(rows))]
    assert found.outputs.flatten().tolist() == pytest.approx([x for row in expected for x in row], abs=EXACT)
    value = float(risk(found, torch.tensor(LABELS), LAMBDAS, objective="cross-entropy"))
    weights = (LAMBDAS.gates, LAMBDAS.messages)
    assert value == pytest.approx(slow.risk(nodes_of(rows), LABELS, *weights, draws), abs=EXACT)


@pytest.mark.parametrize("design", [{}, {"compat": "published"}])
def test_the_loss_of_every_step_matches_the_oracle(design):
    model, rows = network(**design).train().requires_grad_(), rows_of(*BATCH)
    optimizer = torch.optim.Adagrad(model.parameters(), lr=0.05)
    generator, pairs = torch.Generator().manual_seed(4), pairs_of(rows)

    for _ in range(4):
        noise = model.noise(pairs, generator)
        loss = risk(model.evaluate(rows, pairs, noise), torch.tensor(LABELS), LAMBDAS, objective="cross-entropy")
        slow = oracle(model).risk(nodes_of(rows), LABELS, LAMBDAS.gates, LAMBDAS.messages, draws_of(rows, pairs, noise))
        assert float(loss.detach()) == pytest.approx(slow, abs=EXACT)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_single_precision_is_close_enough():
    model, rows = network(), rows_of(*BATCH)
    expected = [x for at, nodes in enumerate(nodes_of(rows)) for x in oracle(model).row(nodes, at, None).outputs]

    outputs = model.float()(rows, torch.Generator()).outputs

    assert outputs.flatten().tolist() == pytest.approx(expected, abs=SINGLE)


@given(batches, st.sampled_from(DESIGNS[:3]), st.randoms(use_true_random=False))
def test_the_order_of_a_row_does_not_matter(batch, design, random):
    model, shuffled = network(**design), [random.sample(row, len(row)) for row in batch]

    outputs, again = (model(rows_of(*rows), torch.Generator()).outputs for rows in (batch, shuffled))

    torch.testing.assert_close(again, outputs, atol=EXACT, rtol=0)


def test_the_order_of_a_row_matters_to_the_published_code():
    model = network(compat="published")

    outputs = [model.evaluate(rows, pairs_of(rows), None).margins for rows in (rows_of([0, 3, 5]), rows_of([5, 0, 3]))]

    assert abs(float(outputs[0] - outputs[1])) > SINGLE


def test_values_multiply_embeddings_and_count_as_one_in_the_published_code():
    for compat, differs in (("paper", True), ("published", False)):
        model = network(compat=compat)
        plain, scaled = (
            model.evaluate(rows, pairs_of(rows), None).margins
            for rows in (rows_of([0, 3]), rows_of([0, 3], values=[2.0, 3.0]))
        )
        assert (abs(float(plain - scaled)) > SINGLE) == differs


def test_noise_is_off_at_evaluation_unless_published():
    pairs, generator = pairs_of(rows_of([0, 3])), torch.Generator().manual_seed(0)

    assert network().noise(pairs, generator) is None
    assert network().train().noise(pairs, generator).kept is None
    assert network(compat="published").noise(pairs, generator).kept is None
    assert network(compat="published").train().noise(pairs, generator).kept.shape == (3, 32)
    assert network(gated=False).train().noise(pairs, generator) is None


def test_a_row_without_features_is_given_the_bias():
    model = network()

    outputs = model(rows_of([], [1], []), torch.Generator()).outputs

    assert outputs[[0, 2]].flatten().tolist() == [float(model.head.bias)] * 2


def test_every_unknown_feature_is_one_and_the_same():
    model = network()

    outputs = model(rows_of([-1, 2], [FEATURES, 2]), torch.Generator()).outputs

    assert outputs[0] == outputs[1]


def test_the_published_message_penalty_grows_with_the_batch():
    for compat, times in (("paper", 1), ("published", 2)):
        model = network(compat=compat)
        once, twice = (
            model.evaluate(rows, pairs_of(rows), None) for rows in (rows_of([0, 3]), rows_of([0, 3], [0, 3]))
        )
        assert float(message_penalty(twice)) == pytest.approx(times * float(message_penalty(once)))


def test_weights_weigh_the_loss_of_rows():
    found = network()(rows_of([0, 3], [5]), torch.Generator())
    none, labels = Lambdas(gates=0, messages=0), torch.tensor([1, 0])

    both = risk(found, labels, none, objective="cross-entropy", weights=torch.tensor([3.0, 0.0]))

    assert float(both) == pytest.approx(1.5 * float(torch.nn.functional.softplus(-found.margins[0])))


def test_a_number_is_learned_by_squared_errors():
    found = network()(rows_of([0, 3]), torch.Generator())

    loss = risk(found, torch.tensor([2.5]), Lambdas(gates=0, messages=0), objective="squared")

    assert float(loss) == pytest.approx((float(found.margins) - 2.5) ** 2)


@pytest.mark.parametrize("compat", ["paper", "published"])
def test_labels_other_than_0_and_1_are_refused(compat):
    found = network(compat=compat)(rows_of([0, 3]), torch.Generator())

    with pytest.raises(ValueError, match="expected labels 0 and 1, got 2"):
        risk(found, torch.tensor([2]), LAMBDAS, objective="cross-entropy")


def test_the_published_mean_is_over_neighbours():
    with pytest.raises(ValueError, match="mean over neighbours"):
        Design(features=3, compat="published", mean="nodes")


def test_two_outputs_are_the_scores_of_two_classes():
    assert margin(torch.tensor([[1.0, 3.0]])).tolist() == [2.0]
    assert margin(torch.tensor([[3.0]])).tolist() == [3.0]
