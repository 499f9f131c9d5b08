import numpy as np
import pytest
import torch
from torch import Tensor, nn

from worker.methods.nid.descent import Recipe, Rows
from worker.methods.nid.losses import Task
from worker.methods.nid.networks import Design, Parameters, additive, deep_weights, forward, initial, main_effects, mlp
from worker.methods.nid.penalties import Lasso, sparsity
from worker.methods.nid.training import evaluate, predict, train

ALONE = 1e-5
"""Fifty steps in float32: sums of a hundred rows in another order, carried along by Adam."""
CLOSE = 1e-5

HIDDEN = (8, 6)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def regression(rows: int = 200, inputs: int = 4) -> Rows:
    x = torch.randn(rows, inputs, generator=torch.Generator().manual_seed(1))
    return Rows(x, (x[:, :1] * x[:, 1:2] + x[:, 2:3]).clone())


def recipe(members: int, **changes: object) -> Recipe:
    defaults = {"task": "regression", "l1": torch.zeros(members), "batch": 20, "epochs": 3}
    return Recipe(**{**defaults, **changes})  # type: ignore[arg-type]


def as_modules(design: Design, parameters: Parameters, member: int) -> tuple[nn.Sequential, list[nn.Sequential]]:
    """One MLP or MLP-M of an ensemble, as anybody would write it."""
    part = int((design.owner == member).nonzero()[0])
    deep = _sequential(design.deep_shapes, parameters.deep[part], last_bias=True)
    rows = parameters.mains[member * design.inputs : (member + 1) * design.inputs]
    return deep, [_sequential(design.main_shapes, row, last_bias=False) for row in rows]


def _sequential(shapes: list[tuple[int, int]], row: Tensor, *, last_bias: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    at = 0
    for fan_in, fan_out in shapes:
        layer = nn.Linear(fan_in, fan_out, bias=last_bias or (fan_in, fan_out) != shapes[-1])
        layer.weight.data = row[at : at + fan_in * fan_out].view(fan_in, fan_out).T.clone()
        at += fan_in * fan_out
        layers += [layer, nn.ReLU()]
    for layer in layers[::2]:
        assert isinstance(layer, nn.Linear)
        if layer.bias is not None:
            layer.bias.data = row[at : at + layer.out_features].clone()
            at += layer.out_features
    assert at == len(row)
    return nn.Sequential(*layers[:-1])


def alone(deep: nn.Sequential, mains: list[nn.Sequential], x: Tensor) -> Tensor:
    return deep(x) + sum(main(x[:, [column]]) for column, main in enumerate(mains))


@pytest.mark.parametrize("mains", [False, True])
def test_networks_of_an_ensemble_answer_like_single_ones(mains: bool):
    design = mlp(4, 2, members=3, mains=mains, hidden=HIDDEN)
    parameters = initial(design, generators(0, 1, 2))
    x = torch.randn(3, 7, 4)

    answers = forward(design, parameters, x)

    for member in range(3):
        expected = alone(*as_modules(design, parameters, member), x[member])
        torch.testing.assert_close(answers[member], expected, rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize("mains", [False, True])
def test_a_network_of_an_ensemble_trains_as_it_would_alone(mains: bool):
    """Fifty steps beside two others, against a plain loop with `torch.optim.Adam`."""
    rows, seeds = regression(), (5, 6, 7)
    design = mlp(4, 1, members=3, mains=mains, hidden=HIDDEN)
    l1 = torch.tensor([0.0, 1e-3, 1e-2])
    deep, small = as_modules(design, initial(design, generators(*seeds)), 1)
    fitted = train(design, rows, rows, recipe(3, l1=l1, epochs=5, patience=9), seeds=seeds)

    history = plain_loop(deep, small, rows, l1=1e-3, seed=6, design=design)

    assert fitted.history[1] == pytest.approx(history, abs=ALONE)


def plain_loop(
    deep: nn.Sequential, small: list[nn.Sequential], rows: Rows, *, l1: float, seed: int, design: Design
) -> list[float]:
    generator = torch.Generator().manual_seed(seed)
    initial(design.of(torch.tensor([True, False, False])), [generator])  # draws what the network drew first
    trained = [*deep.parameters(), *(weight for main in small for weight in main.parameters())]
    optimizer = torch.optim.Adam(trained, 0.01)
    history = []
    for epoch in range(5):
        optimizer.param_groups[0]["lr"] = 0.01 * 0.95**epoch
        for batch in torch.randperm(200, generator=generator).split(20):
            optimizer.zero_grad()
            weights = sum(layer.weight.abs().sum() for layer in deep if isinstance(layer, nn.Linear))
            loss = (alone(deep, small, rows.x[batch]) - rows.y[batch]).square().mean() + l1 * weights
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            history.append(float((alone(deep, small, rows.x) - rows.y).square().mean()))
    return history


def test_a_network_is_the_same_whoever_leaves_before():
    """Members that stop early free their rows; nobody else's optimizer may notice."""
    rows = regression()
    rates = torch.tensor([0.0, 10.0, 1e-4])  # the second cannot learn anything, and stops at once
    together = mlp(4, 1, members=3, mains=False, hidden=HIDDEN)
    single = mlp(4, 1, members=1, mains=False, hidden=HIDDEN)
    how = {"epochs": 12, "patience": 2}

    fitted = train(together, rows, rows, recipe(3, l1=rates, **how), seeds=(1, 2, 3))
    last = train(single, rows, rows, recipe(1, l1=rates[2:], **how), seeds=(3,))

    assert len(fitted.history[1]) < len(fitted.history[2])
    assert fitted.history[2] == pytest.approx(last.history[0], abs=ALONE)
    assert int(fitted.epochs[2]) == int(last.epochs[0])


@pytest.mark.parametrize("threads", [2, 3])
def test_networks_are_the_same_on_however_many_threads(threads: int):
    """Of the paper's size, so that every thread gets some."""
    rows, design = regression(), mlp(4, 1, members=4, mains=True)
    how = recipe(4, l1=torch.full((4,), 1e-4), epochs=2)
    single = train(design, rows, rows, how, seeds=range(4))

    torch.set_num_threads(threads)
    try:
        several = train(design, rows, rows, how, seeds=range(4))
    finally:
        torch.set_num_threads(1)

    assert np.array(several.history) == pytest.approx(np.array(single.history), abs=ALONE)


def test_the_best_epoch_is_what_stays():
    rows = regression()
    design = mlp(4, 1, members=2, mains=True, hidden=HIDDEN)

    fitted = train(design, rows, rows, recipe(2, learning_rate=0.1, decay=1.0, epochs=9, patience=9), seeds=(1, 2))

    best = [min(history) for history in fitted.history]
    assert fitted.loss.tolist() == pytest.approx(best)
    assert evaluate(design, fitted.parameters, rows, "regression").tolist() == pytest.approx(best, rel=CLOSE)
    assert [history.index(min(history)) + 1 for history in fitted.history] == fitted.epochs.tolist()


def test_training_stops_when_nobody_is_left():
    told: list[tuple[int, int]] = []
    rows = Rows(torch.randn(50, 4), torch.full((50, 1), torch.nan))
    design = mlp(4, 1, members=2, mains=False, hidden=HIDDEN)

    fitted = train(
        design, rows, rows, recipe(2, epochs=50, patience=3), seeds=(1, 2),
        watch=lambda epoch, training, loss: told.append((epoch, training)),
    )  # fmt: skip

    assert told == [(1, 2), (2, 2), (3, 0)]
    assert fitted.loss.tolist() == [torch.inf, torch.inf]


@pytest.mark.parametrize(
    ("task", "outputs", "targets"),
    [
        ("binary", 1, lambda x: (x[:, :1] * x[:, 1:2] > 0).float()),
        ("multiclass", 3, lambda x: (x[:, 0] * x[:, 1] > 0).long() + (x[:, 2] > 1).long()),
    ],
)
def test_classes_are_learned(task: Task, outputs: int, targets):
    x = torch.randn(600, 4, generator=torch.Generator().manual_seed(0))
    rows = Rows(x, targets(x))
    design = mlp(4, outputs, members=2, mains=False, hidden=(20, 10))

    fitted = train(design, rows, rows, recipe(2, task=task, epochs=15), seeds=(1, 2))

    answers = predict(design, fitted.parameters, x)
    found = answers[..., 0] > 0 if task == "binary" else answers.argmax(-1)
    right = rows.y[:, 0] > 0 if task == "binary" else rows.y
    assert ((found == right).float().mean(1) > 0.9).all()


@pytest.mark.parametrize("lasso", ["none", "inputs", "units", "sparse-inputs", "sparse-units"])
def test_the_penalised_norm_is_the_paper_s(lasso: Lasso):
    design = mlp(4, 1, members=2, mains=True, hidden=HIDDEN)
    parameters = initial(design, generators(1, 2))

    norm = sparsity(design, parameters, lasso)

    for member in range(2):
        first, *later = (weights[member] for weights in deep_weights(design, parameters))
        by_input = 8**0.5 * sum(float(first[:, column].norm()) for column in range(4))
        by_unit = 4**0.5 * sum(float(first[row].norm()) for row in range(8))
        single = float(first.abs().sum())
        expected = {
            "none": single, "inputs": by_input, "units": by_unit, "sparse-inputs": by_input + single,
            "sparse-units": by_unit + single,
        }[lasso] + sum(float(weights.abs().sum()) for weights in later)  # fmt: skip
        assert float(norm[member]) == pytest.approx(expected, rel=CLOSE)


def test_a_group_lasso_switches_idle_inputs_off():
    rows = regression(inputs=6)  # the last three say nothing
    design = mlp(6, 1, members=2, mains=False, hidden=HIDDEN)
    rates = torch.tensor([0.0, 0.01])

    fitted = train(design, rows, rows, recipe(2, l1=rates, lasso="inputs", epochs=30, patience=30), seeds=(1, 1))

    free, held = deep_weights(design, fitted.parameters)[0].norm(dim=1)
    assert held[3:].sum() < 0.5 * free[3:].sum()
    assert held[:3].min() > 2 * held[3:].max()


def test_a_deep_part_sees_its_own_inputs_alone():
    design = additive(4, 1, [[], [(0, 1)], [(0, 1), (1, 2, 3)]], hidden=HIDDEN)
    parameters = initial(design, generators(0, 1, 2))
    x = torch.randn(3, 5, 4)
    changed = x.clone()
    changed[:, :, 3] += 1

    moved = forward(design, parameters, changed) - forward(design, parameters, x)
    mains = (main_effects(design, parameters, changed) - main_effects(design, parameters, x)).sum(1)

    torch.testing.assert_close(moved[:2], mains[:2], rtol=CLOSE, atol=CLOSE)
    assert not torch.allclose(moved[2], mains[2], atol=1e-3)


def test_weights_come_out_as_layers_have_them():
    design = mlp(4, 2, members=3, mains=True, hidden=HIDDEN)
    parameters = initial(design, generators(0, 1, 2))

    weights = deep_weights(design, parameters)

    deep, _ = as_modules(design, parameters, 2)
    expected = [layer.weight for layer in deep if isinstance(layer, nn.Linear)]
    for found, layer in zip(weights, expected, strict=True):
        assert torch.equal(found[2], layer)
