"""The slopes that are written out, against autograd."""

import pytest
import torch
from torch import Tensor

from worker.methods.nid.blocks import Block
from worker.methods.nid.descent import Descent, Recipe, Rows, Standing
from worker.methods.nid.losses import Task, losses
from worker.methods.nid.networks import Design, Parameters, additive, forward, initial, mlp
from worker.methods.nid.penalties import Lasso, Penalty, sparsity
from worker.methods.nid.slopes import Pass

SLOPES = 1e-10
"""float64: sums of a few dozen products of numbers around 1, in another order."""
STEP = 1e-6
"""float32: one step of Adam is the learning rate, 0.01, whatever the slope; its rounding is what is left."""

HIDDEN = (8, 6)
BATCH = 7
OUTPUTS = {"regression": 2, "binary": 1, "multiclass": 3}


def drawn(design: Design) -> Parameters:
    generators = [torch.Generator().manual_seed(seed) for seed in range(design.members)]
    found = initial(design, generators)
    return Parameters(found.deep.double(), found.mains.double())


def batch(design: Design, task: Task, size: int = BATCH) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(9)
    x = torch.randn(design.members, size, design.inputs, generator=generator, dtype=torch.float64)
    if task == "multiclass":
        return x, torch.randint(0, design.outputs, x.shape[:2], generator=generator)
    y = torch.randn(design.members, size, design.outputs, generator=generator, dtype=torch.float64)
    return x, y if task == "regression" else (y > 0).double()


def designs(outputs: int) -> list[Design]:
    whole = [mlp(4, outputs, members=3, mains=mains, hidden=HIDDEN) for mains in (False, True)]
    return [*whole, additive(4, outputs, [[], [(0, 1)], [(0, 1), (1, 2, 3)]], hidden=HIDDEN)]


@pytest.mark.parametrize("which", [0, 1, 2], ids=["MLP", "MLP-M", "additive"])
@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_slopes_of_the_loss_are_autograd_s(task: Task, which: int):
    design = designs(OUTPUTS[task])[which]
    parameters, (x, y) = drawn(design), batch(design, task)
    values = Block.of(design, parameters)
    slopes = Block(design, torch.zeros_like(values.numbers))

    Pass(design, values, slopes, BATCH).run(x, y, task)

    rows = [numbers.requires_grad_() for numbers in (parameters.deep, parameters.mains)]
    losses(forward(design, parameters, x), y, task).sum().backward()
    for found, row in zip((slopes.deep.rows(), slopes.mains.rows()), rows, strict=True):
        expected = torch.zeros_like(row) if row.grad is None else row.grad
        torch.testing.assert_close(found, expected, rtol=SLOPES, atol=SLOPES)


@pytest.mark.parametrize("lasso", ["none", "inputs", "units", "sparse-inputs", "sparse-units"])
@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_slopes_of_the_penalty_are_autograd_s(lasso: Lasso, l2: float):
    design = designs(1)[1]
    parameters, l1 = drawn(design), torch.tensor([0.0, 0.2, 0.7], dtype=torch.float64)
    values = Block.of(design, parameters)
    slopes = Block(design, torch.full_like(values.numbers, torch.nan))

    Penalty(values, l1, l2=l2, lasso=lasso).write_slopes(values, slopes)

    rows = [numbers.requires_grad_() for numbers in (parameters.deep, parameters.mains)]
    squares = sum(row.square().sum() for row in rows)
    ((l1 * sparsity(design, parameters, lasso)).sum() + l2 * squares).backward()
    for found, row in zip((slopes.deep.rows(), slopes.mains.rows()), rows, strict=True):
        expected = torch.zeros_like(row) if row.grad is None else row.grad
        torch.testing.assert_close(found, expected, rtol=SLOPES, atol=SLOPES)


@pytest.mark.parametrize("lasso", ["none", "inputs", "sparse-units"])
def test_a_penalty_does_not_move_weights_that_are_zero(lasso: Lasso):
    design = designs(1)[0]
    values = Block(design, torch.zeros_like(Block.of(design, drawn(design)).numbers))
    slopes = Block(design, torch.full_like(values.numbers, torch.nan))

    Penalty(values, torch.ones(3, dtype=torch.float64), l2=1.0, lasso=lasso).write_slopes(values, slopes)

    assert not slopes.numbers.any()


def test_a_block_holds_the_numbers_of_its_rows():
    for design in designs(2):
        parameters = drawn(design)
        found = Block.of(design, parameters).parameters()
        assert torch.equal(found.deep, parameters.deep)
        assert torch.equal(found.mains, parameters.mains)


def test_an_epoch_s_last_batch_may_be_smaller():
    """Seven rows in batches of five: the second step sees two, as two steps of torch's Adam on the same slopes do."""
    design = mlp(4, 1, members=2, mains=True, hidden=HIDDEN)
    start = initial(design, [torch.Generator().manual_seed(seed) for seed in range(2)])
    x, y = (part[0].float() for part in batch(design, "regression"))
    orders = torch.stack([torch.randperm(BATCH, generator=torch.Generator().manual_seed(seed)) for seed in (3, 4)])
    descent = Descent(Standing.fresh(design, start), Recipe(task="regression", l1=torch.zeros(2), batch=5))

    descent.run(Rows(x, y), orders, learning_rate=0.01, beat=lambda: None)

    rows = [start.deep.clone().requires_grad_(), start.mains.clone().requires_grad_()]
    optimizer = torch.optim.Adam(rows, 0.01)
    for at in orders.split(5, dim=1):
        optimizer.zero_grad()
        losses(forward(design, Parameters(*rows), x[at]), y[at], "regression").sum().backward()
        optimizer.step()
    standing = descent.standing()
    assert standing.steps == 2
    for found, row in zip((standing.parameters.deep, standing.parameters.mains), rows, strict=True):
        torch.testing.assert_close(found, row.detach(), rtol=STEP, atol=STEP)
