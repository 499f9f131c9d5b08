import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from tests.reference import recommenders as reference
from tests.unit.worker.methods.l0_sign.rows import nodes_of, rows_of
from worker.methods.recommenders import RECOMMENDERS, recommender

EXACT = 1e-10
"""Sums of some hundred float64 products of numbers around 1 in another order."""
LEARNED = 0.95
"""Accuracy on a label that two features decide together; either alone, or the first order, decides 0.5 of it."""

FEATURES, FIELDS = 6, 3
SETS = ([0, 3, 5], [], [2], [4, -1, 3, 1], [5, 3])
OF_FIELDS = ([0, 2, 4], [1, 3, 5], [-1, 2, 5], [0, 3, -1])
JOINING = ("deepfm", "xdeepfm", "autoint")


def values_of(*rows):
    """Numbers around 1, of either sign."""
    generator = torch.Generator().manual_seed(5)
    return (1.5 * torch.randn(sum(map(len, rows)), generator=generator, dtype=torch.float64)).tolist()


def model_of(name, fields=None):
    """A model in float64 whose weights are all of a size that counts."""
    generator = torch.Generator().manual_seed(1)
    model = recommender(name, features=FEATURES, fields=fields, embedding=3, generator=generator).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.7, generator=generator)
    return model


@pytest.mark.parametrize("valued", [False, True])
@pytest.mark.parametrize("fields", [None, FIELDS])
@pytest.mark.parametrize("name", RECOMMENDERS)
def test_logits_match_the_oracle(name, fields, valued):
    lists = SETS if fields is None else OF_FIELDS
    rows = rows_of(*lists, values=values_of(*lists) if valued else None)
    model = model_of(name, fields)
    weights = {key: tensor.tolist() for key, tensor in model.state_dict().items()}

    logits = model(rows)

    expected = [getattr(reference, name)(weights, row, fields) for row in nodes_of(rows)]
    assert logits.tolist() == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("name", RECOMMENDERS)
def test_the_order_of_a_set_does_not_matter(name):
    model, backwards = model_of(name), [row[::-1] for row in SETS]

    assert model(rows_of(*backwards)).tolist() == pytest.approx(model(rows_of(*SETS)).tolist(), abs=EXACT)


@pytest.mark.parametrize("name", JOINING)
def test_a_field_has_weights_of_its_own(name):
    model = model_of(name, FIELDS)

    one, other = model(rows_of([0, 2, 4], [4, 2, 0])).tolist()

    assert abs(one - other) > 1000 * EXACT


@pytest.mark.parametrize("name", RECOMMENDERS)
def test_rows_do_not_touch_each_other(name):
    model = model_of(name)

    alone = [model(rows_of(row)).item() for row in SETS]

    assert model(rows_of(*SETS)).tolist() == pytest.approx(alone, abs=EXACT)


@pytest.mark.parametrize("fields", [None, FIELDS])
@pytest.mark.parametrize("name", RECOMMENDERS)
def test_every_parameter_gets_a_gradient(name, fields):
    lists = SETS if fields is None else OF_FIELDS
    model = model_of(name, fields)

    model(rows_of(*lists, values=values_of(*lists))).square().sum().backward()

    silent = [key for key, one in model.named_parameters() if one.grad is None or not one.grad.abs().max() > 0]
    assert silent == []
    assert all(one.grad.isfinite().all() for one in model.parameters())


@pytest.mark.parametrize("name", RECOMMENDERS)
def test_unknown_features_say_nothing_at_first(name):
    model = recommender(name, features=FEATURES, fields=None, embedding=3, generator=torch.Generator().manual_seed(0))

    assert model.vectors(rows_of([-1])).abs().max() == 0


@pytest.mark.parametrize("fields", [None, 2])
@pytest.mark.parametrize("name", RECOMMENDERS)
def test_a_planted_pair_is_learned(name, fields):
    """The label is whether two binary fields agree: without first-order effects, so the pair has to be found."""
    rows = rows_of([0, 2], [0, 3], [1, 2], [1, 3])
    labels = torch.tensor([1.0, 0.0, 0.0, 1.0])
    model = recommender(name, features=4, fields=fields, embedding=8, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(model.parameters(), 0.02)

    for _ in range(150):
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(model(rows), labels).backward()
        optimizer.step()

    assert float(((model(rows) > 0) == (labels > 0)).double().mean()) > LEARNED


@pytest.mark.parametrize("name", JOINING)
def test_a_row_without_an_entry_for_every_field_is_refused(name):
    with pytest.raises(ValueError, match="expected 3 entries in every row, one a field, got a row of 2"):
        model_of(name, FIELDS)(rows_of([0, 2, 4], [1, 3]))


@pytest.mark.parametrize("name", RECOMMENDERS)
def test_the_same_generator_gives_the_same_model(name):
    one, other = (
        recommender(name, features=FEATURES, fields=None, embedding=3, generator=torch.Generator().manual_seed(seed))
        for seed in (4, 4)
    )

    assert one(rows_of(*SETS)).tolist() == other(rows_of(*SETS)).tolist()


def test_a_model_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="expected one of fm, afm, nfm, deepfm, xdeepfm, autoint, got 'ffm'"):
        recommender("ffm", features=1, fields=None, embedding=1, generator=torch.Generator())
