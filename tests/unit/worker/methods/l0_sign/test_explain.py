import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.reference import l0_sign as reference
from tests.unit.worker.methods.l0_sign.rows import batches, network, nodes_of, oracle, rows_of
from worker.methods.l0_sign import explain
from worker.methods.l0_sign.explain import PairTable, contributions
from worker.methods.l0_sign.pairs import pairs_of

SUM = 1e-6
"""What the service promises for bias + contributions − margin, in float32; measured 5e-8."""
EXACT = 1e-12
"""Sums of a dozen float64 numbers around 1 in another order."""

designs = st.sampled_from([{}, {"gated": False}, {"mean": "nodes"}, {"compat": "published"}])


@given(batches, designs)
def test_contributions_and_bias_add_up_to_the_margin(batch, design):
    model, rows = network(**design).float(), rows_of(*batch)
    noise = model.noise(pairs_of(rows), torch.Generator().manual_seed(1))

    parts = contributions(model, rows, noise)

    margins = model.evaluate(rows, pairs_of(rows), noise).margins
    total = torch.full((len(batch),), parts.bias, dtype=torch.float64)
    total.index_add_(0, parts.pairs.row, parts.values)
    assert float((total - margins).abs().max()) <= SUM
    assert torch.equal(total, parts.margins)


class WithoutEdge(reference.Model):
    """The oracle with one gate shut."""

    shut: tuple[int, int]

    def gate(self, one, other, draw):
        e, pi = super().gate(one, other, draw)
        return (0.0, pi) if sorted((one[0], other[0])) == sorted(self.shut) else (e, pi)


@pytest.mark.parametrize("values", [None, [0.5, -2.0, 1.5]])
def test_a_contribution_is_what_the_margin_loses_with_its_edge(values):
    """With means over nodes, where the share of an edge does not depend on the others."""
    model, row = network(mean="nodes"), [0, 3, 5]
    rows = rows_of(row, values=values)
    parts, nodes = contributions(model, rows), nodes_of(rows)[0]
    whole = oracle(model)
    margin = whole.row(nodes, 0, None).outputs[0]

    for first, second, value in zip(parts.pairs.first, parts.pairs.second, parts.values, strict=True):
        rest = WithoutEdge(whole.weights, whole.published, whole.gated, whole.mean)
        rest.shut = (row[first], row[second])
        assert margin - rest.row(nodes, 0, None).outputs[0] == pytest.approx(float(value), abs=EXACT)


def test_a_closed_gate_contributes_nothing():
    parts = contributions(network(), rows_of([0, 1, 2, 3, 4, 5, 6]))

    assert bool((parts.gates == 0).any())
    assert parts.values[parts.gates == 0].unique().tolist() == [0.0]


@given(batches, batches, designs)
def test_looking_up_is_the_same_as_asking(known, asked, design):
    model, rows = network(**design), rows_of(*asked)

    found = PairTable.of(model, rows_of(*known)).contributions(model, rows)

    direct = contributions(model, rows)
    torch.testing.assert_close(found.values, direct.values, atol=EXACT, rtol=0)
    torch.testing.assert_close(found.margins, direct.margins, atol=EXACT, rtol=0)
    assert found.bias == direct.bias


def test_a_table_holds_every_pair_once():
    table = PairTable.of(network(), rows_of([0, 1], [1, 0], [1, -1]))

    assert table.keys.tolist() == [0, 1, 9, 15, 63]
    assert len(table.gates) == len(table.scores) == 5


@given(batches, designs, st.lists(st.floats(-3, 3, width=16), min_size=20, max_size=20))
def test_rows_with_values_are_explained_with_them(batch, design, values):
    model, rows = network(**design), rows_of(*batch, values=values[: sum(map(len, batch))])

    found = PairTable.of(model, rows_of([0, 1, 2])).contributions(model, rows)

    direct = contributions(model, rows)
    torch.testing.assert_close(found.values, direct.values, atol=EXACT, rtol=0)
    torch.testing.assert_close(found.margins, direct.margins, atol=EXACT, rtol=0)


def test_a_part_at_a_time_is_the_same_as_all_at_once(monkeypatch):
    model, rows = network(), rows_of([0, 1, 2, 3, 4], values=[0.5, -2.0, 1.5, 3.0, 0.25])
    whole = PairTable.of(model, rows).contributions(model, rows)

    monkeypatch.setattr(explain, "_ASKED_AT_ONCE", 2)

    torch.testing.assert_close(
        PairTable.of(model, rows).contributions(model, rows).values, whole.values, atol=EXACT, rtol=0
    )
