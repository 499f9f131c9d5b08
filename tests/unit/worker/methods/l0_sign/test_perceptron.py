import pytest
import torch

from worker.methods.l0_sign.perceptron import Affine, Perceptron

SHAPES = [(3, 5), (5, 3), (4, 1)]
"""The weight's gradient is multiplied in one order where it is wide, and in the other where it is tall."""


@pytest.mark.parametrize(("into", "out"), SHAPES)
def test_gradients_are_those_of_finite_differences(into, out):
    affine = Affine(into, out, torch.Generator().manual_seed(0)).double()
    x = torch.randn(into, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)

    # gradcheck moves the parameters in place, so the affine map sees what it moves.
    assert torch.autograd.gradcheck(lambda x, *_: affine.of(x), (x, affine.weight, affine.bias))


def test_columns_are_independent_of_each_other():
    perceptron = Perceptron(3, 4, 2, torch.Generator().manual_seed(0))
    x = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))

    together = perceptron.outer.of(perceptron.activations(x))

    alone = [perceptron.outer.of(perceptron.activations(column[:, None])) for column in x.T]
    torch.testing.assert_close(torch.cat(alone, dim=1), together)
