"""Tables v(T) of real networks for the AND-OR benchmark: cells of an early feature map, masked by zero.

As in Appendix I.2 of the paper: n random cells are players, the rest of the map stays, and v is the log-odds of the
predicted class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torchvision
from torch import Tensor, nn

from benchmarks import _digits, _photographs
from worker.methods._coalitions import all_coalitions

CHUNK = 128


@dataclass(frozen=True)
class Case:
    """One table, `(2^n,)` float64."""

    name: str
    table: Tensor


def digits(players: tuple[int, ...], *, overfitted: bool = False, samples: int = 2) -> Iterator[Case]:
    """A CNN trained on digits, or overfitted to a tenth of wrong labels; 16 cells of 2 x 2 on the first ReLU's map."""
    model = _digits.trained(epochs=150, redrawn=0.1) if overfitted else _digits.trained(epochs=30)
    name = "overfitted digits" if overfitted else "digits"
    pictures, _ = _digits.pictures()
    assert isinstance(model, nn.Sequential)
    for n in players:
        cells = _some(torch.arange(16), n)
        for sample in range(samples):
            picture = pictures[_digits.TRAINING + sample]
            yield Case(f"{name} n={n} #{sample}", table(model[:2], model[2:], picture, cells, grid=4))


def random_resnet(n: int) -> Iterator[Case]:
    """A ResNet-18 with random weights on a 64 x 64 scene of noise; cells of the central 6 x 6 of 8 x 8."""
    torch.manual_seed(0)
    model = torchvision.models.resnet18().eval().requires_grad_(False)
    stages = list(model.children())
    rest = nn.Sequential(*stages[3:-1], nn.Flatten(), stages[-1])
    yield Case(
        f"random resnet18 n={n}",
        table(nn.Sequential(*stages[:3]), rest, torch.rand(3, 64, 64), _some(_central(), n), grid=8),
    )


def photograph(players: tuple[int, ...]) -> Iterator[Case]:
    """The pretrained MobileNetV2 on a real photograph; cells of the central 6 x 6 of 8 x 8 on the first ReLU6's map."""
    model = _photographs.network()
    features = model.features
    assert isinstance(features, nn.Sequential)
    rest = nn.Sequential(features[1:], nn.AdaptiveAvgPool2d(1), nn.Flatten(), model.get_submodule("classifier"))
    picture = _photographs._input(_photographs.IMAGES / _photographs.names()[0])
    for n in players:
        yield Case(f"mobilenet_v2 n={n}", table(features[:1], rest, picture, _some(_central(), n), grid=8))


@torch.no_grad()
def table(start: nn.Module, rest: nn.Module, picture: Tensor, cells: Tensor, *, grid: int) -> Tensor:
    """Evaluate every masked state of `cells`, numbered row by row on a `grid` x `grid` partition of the map."""
    features = start(picture[None])
    label = int(rest(features).argmax())
    height, width = (side // grid for side in features.shape[-2:])
    odds = []
    for coalitions in all_coalitions(len(cells)).split(CHUNK):
        present = torch.ones(len(coalitions), grid * grid, dtype=torch.bool)
        present[:, cells] = coalitions
        mask = present.view(-1, 1, grid, grid).repeat_interleave(height, -2).repeat_interleave(width, -1)
        odds.append(_log_odds(rest(features * mask).double(), label))
    return torch.cat(odds)


def _log_odds(logits: Tensor, label: int) -> Tensor:
    others = logits.clone()
    others[:, label] = -torch.inf
    return logits[:, label] - others.logsumexp(1)


def _central() -> Tensor:
    return torch.arange(64).view(8, 8)[1:7, 1:7].flatten()


def _some(cells: Tensor, n: int) -> Tensor:
    chosen = torch.randperm(len(cells), generator=torch.Generator().manual_seed(n))[:n]
    return cells[chosen].sort().values
