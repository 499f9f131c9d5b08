import pytest
import torch

from benchmarks._l0_dense import DenseL0Sign, block_of, noise_of
from benchmarks._l0_scatter import ScatterL0Sign, graph_of
from tests.unit.worker.methods.l0_sign.rows import FEATURES, network, rows_of
from worker.methods.l0_sign.losses import Lambdas, risk
from worker.methods.l0_sign.model import Noise
from worker.methods.l0_sign.pairs import pairs_of

SAME = 1e-6
"""Risks around 1 in float64, but for the noise, which a form may hold in float32."""
LAMBDAS = Lambdas(gates=0.03, messages=0.02)
LISTS = ([0, 3, 5], [2], [6, -1, 3, 1], [5, 3])
LABELS = torch.tensor([1, 0, 1, 0])


@torch.no_grad()
def risks():
    """Ours, the scatter form's and the dense form's, on the same rows with the same noise."""
    ours, rows = network(), rows_of(*LISTS)
    pairs = pairs_of(rows)
    uniform = torch.rand(len(pairs.row), generator=torch.Generator().manual_seed(2))
    block = block_of(rows, features=FEATURES)
    return (
        float(risk(ours.evaluate(rows, pairs, Noise(uniform=uniform)), LABELS, LAMBDAS, objective="cross-entropy")),
        float(ScatterL0Sign(ours).risk(graph_of(rows, features=FEATURES), uniform, LABELS.double(), LAMBDAS)),
        float(DenseL0Sign(ours).risk(block, noise_of(rows, block, uniform), LABELS.double(), LAMBDAS)),
    )


def test_the_forms_that_l0_sign_is_timed_against_compute_the_same_risk():
    ours, scatter, dense = risks()

    assert scatter == pytest.approx(ours, abs=SAME)
    assert dense == pytest.approx(ours, abs=SAME)
