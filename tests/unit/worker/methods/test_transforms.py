"""The fast transforms against their definitions, against each other, and against matrices."""

import numpy as np
import pytest
import torch

from tests.reference import transforms as reference
from worker.methods import _transforms as fast

ROUNDING = 1e-12  # sums of at most 256 numbers of size 1 in float64
LONG_ROUNDING = 1e-9  # 2^14 alternating numbers of size 1: the Möbius transform amplifies by up to 2^n


def random_table(n, *batch, seed=0):
    return torch.randn(*batch, 2**n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("n", range(9))
def test_interactions_match_their_definition(n):
    table = random_table(n)

    np.testing.assert_allclose(fast.mobius(table), reference.and_interactions(table.numpy()), atol=ROUNDING)
    np.testing.assert_allclose(fast.or_mobius(table), reference.or_interactions(table.numpy()), atol=ROUNDING)


@pytest.mark.parametrize("n", range(9))
@pytest.mark.parametrize(
    ("transform", "adjoint", "trigger"),
    [
        (fast.zeta, fast.zeta_adjoint, reference.and_trigger),
        (fast.or_zeta, fast.or_zeta_adjoint, reference.or_trigger),
    ],
)
def test_values_and_adjoints_match_the_trigger_matrix(n, transform, adjoint, trigger):
    table, matrix = random_table(n), reference.matrix(trigger, n)

    np.testing.assert_allclose(transform(table), matrix @ table.numpy(), atol=ROUNDING)
    np.testing.assert_allclose(adjoint(table), matrix.T @ table.numpy(), atol=ROUNDING)


@pytest.mark.parametrize("n", [1, 3, 6, 7, 13, 14])
@pytest.mark.parametrize(
    ("forward", "inverse"),
    [
        (fast.zeta, fast.mobius),
        (fast.zeta_adjoint, fast.mobius_adjoint),
        (fast.or_zeta, fast.or_mobius),
        (fast.or_zeta_adjoint, fast.or_mobius_adjoint),
    ],
)
def test_inverses_undo_their_transforms(n, forward, inverse):
    table = random_table(n)

    torch.testing.assert_close(inverse(forward(table)), table, atol=LONG_ROUNDING, rtol=0)
    torch.testing.assert_close(forward(inverse(table)), table, atol=LONG_ROUNDING, rtol=0)


@pytest.mark.parametrize("transform", [fast.zeta, fast.mobius, fast.or_zeta, fast.or_mobius, fast.or_mobius_adjoint])
def test_a_batch_is_transformed_table_by_table(transform):
    tables = random_table(7, 2, 3)

    one_by_one = torch.stack([transform(table) for table in tables.reshape(6, -1)]).reshape(tables.shape)

    torch.testing.assert_close(transform(tables), one_by_one, atol=ROUNDING, rtol=0)


def test_orders_count_members():
    assert fast.orders(3).tolist() == [0, 1, 1, 2, 1, 2, 2, 3]


def test_a_table_of_another_size_is_refused():
    with pytest.raises(ValueError, match="2\\^n coalitions on the last axis, got 6"):
        fast.zeta(torch.zeros(6))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_what_the_cpu_gives():
    table = random_table(10, 4)

    torch.testing.assert_close(fast.or_mobius(table.cuda()).cpu(), fast.or_mobius(table), atol=LONG_ROUNDING, rtol=0)
