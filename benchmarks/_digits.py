"""A small CNN trained on scikit-learn's digits, and its games of 4 × 4 cells (n = 16), for benchmarks and tests."""

from __future__ import annotations

from collections.abc import Callable

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from jobs.schemas import Target
from worker.methods._games import Game
from worker.methods._masking import Masking
from worker.methods._players import grid_cells
from worker.methods._values import value_function

TRAINING = 500
"""Pictures to train on; the next ones are explained."""


def pictures() -> tuple[Tensor, Tensor]:
    """Return `(1797, 1, 8, 8)` in [0, 1] and `(1797,)` labels."""
    digits = load_digits()
    return torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16, torch.tensor(digits.target)


def trained(*, seed: int = 0, epochs: int = 30, redrawn: float = 0.0) -> nn.Module:
    """Train on the first pictures: 2 CPU seconds, about 90 % right on the others.

    Args:
        redrawn: Share of the labels that are drawn at random, which many epochs overfit to.
    """
    torch.manual_seed(seed)
    x, y = (part[:TRAINING].clone() for part in pictures())
    wrong = torch.randperm(TRAINING, generator=torch.Generator().manual_seed(seed))[: int(redrawn * TRAINING)]
    y[wrong] = torch.randint(10, (len(wrong),), generator=torch.Generator().manual_seed(seed))
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(epochs):
        for batch in torch.randperm(TRAINING).split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    return model.eval().requires_grad_(False)


def game(model: nn.Module, index: int, *, report: Callable[[str, int, int], None] = lambda *progress: None) -> Game:
    """Play for the log-odds of a picture's label, with the training mean as baseline."""
    x, y = pictures()
    masking = Masking(input=x[index], baseline=x[:TRAINING].mean(0), labels=grid_cells(8, 8, rows=4, columns=4))
    value = value_function("log-odds", Target(index=int(y[index])))
    return Game(model, masking, value, chunk=4096, report=report)
