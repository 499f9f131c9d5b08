"""rows.json and features.json of a training."""

from __future__ import annotations

import pytest
import torch

from tests.unit.worker.trainings.l0_sign.planted import FIRST_ID, planted, sets
from worker.trainings._registry import TrainingTask
from worker.trainings.l0_sign import L0SignParams, examples, train

EXACT = 1e-12
"""Ten float64 numbers below 1 in another order."""


def documents(data=None):
    return train(TrainingTask(data=data or planted(60)), L0SignParams(epochs=2)).result.documents


@pytest.mark.parametrize("listed", [3, 1000])
def test_edges_what_is_not_listed_and_the_bias_add_up_to_the_margin(listed, monkeypatch):
    monkeypatch.setattr(examples, "_MOST_EDGES", listed)

    rows = documents()["rows"]

    for row in rows:
        terms = [edge["contribution"] for edge in row["edges"]]
        rest = row["rest"]
        assert sum(terms) + rest["contribution"] + row["bias"] == pytest.approx(row["margin"], abs=EXACT)
        assert len(terms) + rest["edges"] == 10
        assert rest["kept"] <= rest["edges"]
        assert row["predicted"] == ("yes" if row["margin"] > 0 else "no")


def test_without_fields_the_features_in_most_rows_are_told():
    labels = torch.tensor([0, 1] * 20)
    features = torch.tensor([0, 1, 0, 2] * 20, dtype=torch.int32)  # rows (0, 1) and (0, 2) in turn
    offsets = torch.arange(41) * 2

    found = documents(sets(labels, features=features, offsets=offsets))["features"]

    assert found["names"] == [str(FIRST_ID), str(FIRST_ID + 1), str(FIRST_ID + 2)]
    support = torch.tensor(found["support"])
    assert torch.equal(support, support.T)
    assert support[0, 0] == support[1, 1] + support[2, 2] == support[0, 1] + support[0, 2]
    assert support[1, 2] == 0 == found["contribution"][1][2]
    assert "features" not in documents()
