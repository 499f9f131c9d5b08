"""The two phases of training, seen through AND-OR interactions: the pictures of docs/images.

python -m examples.two_phases FOLDER

A small network learns 400 of scikit-learn's digits, every tenth of them with a random label, until it knows those by
heart. First it sheds interactions between many cells, then such interactions come back. No service is needed: the
method and its pictures are called as a runner calls them.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from worker import render
from worker.methods._registry import Checkpoint, Subject, methods

EPOCHS = (0, 8, 20, 60, 150)
TRAINING = 400
EXPLAINED = (507, 512, 530)
PARAMS = {"layer": "1", "players": "grid"}  # 3 x 3 cells of the first ReLU's map


def main() -> None:
    """Train, explain, draw."""
    parser = argparse.ArgumentParser(prog="python -m examples.two_phases", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("docs/images"))
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    method = methods()["and-or"]
    subject = _subject(dict(training(EPOCHS)))
    explanation = method.explain(subject, method.params.model_validate(PARAMS))
    pictures = render.pictures(explanation, subject.pixels.numpy() if subject.pixels is not None else None)
    for name, picture in (("interactions", "and-or.png"), ("dynamics", "two-phases.png")):
        (folder / picture).write_bytes(pictures[f"{name}.png"])


def training(epochs: tuple[int, ...]) -> Iterator[tuple[int, nn.Module]]:
    """Train on digits of which some have random labels; yield the network at `epochs`."""
    torch.manual_seed(0)
    x, y = digits()
    labels = y[:TRAINING].clone()
    labels[::10] = torch.randint(10, labels[::10].shape)
    network = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1024, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip
    optimizer = torch.optim.SGD(network.parameters(), 0.02, momentum=0.9)
    for epoch in range(max(epochs) + 1):
        if epoch in epochs:
            yield epoch, copy.deepcopy(network).eval().requires_grad_(False)
        for batch in torch.randperm(TRAINING).split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[batch]), labels[batch]).backward()
            optimizer.step()


def digits() -> tuple[Tensor, Tensor]:
    """Return `(1797, 1, 8, 8)` in [0, 1] and `(1797,)` labels."""
    data = load_digits()
    return torch.tensor(data.images, dtype=torch.float32)[:, None] / 16, torch.tensor(data.target)


def _subject(networks: dict[int, nn.Module]) -> Subject:
    *earlier, last = networks.items()
    first, *others = (_one(index, last) for index in EXPLAINED)
    checkpoints = tuple(_checkpoint(epoch, network) for epoch, network in earlier)
    return Subject(**{**vars(first), "samples": tuple(others), "checkpoints": checkpoints})


def _one(index: int, last: tuple[int, nn.Module]) -> Subject:
    picture = digits()[0][index]
    return Subject(
        model=last[1], model_name=f"epoch {last[0]}", input=picture, pixels=picture[0][..., None].repeat(1, 1, 3),
        mean=(0.0,), std=(1.0,), classes=tuple(map(str, range(10))), chunk=1024,
    )  # fmt: skip


def _checkpoint(epoch: int, network: nn.Module) -> Checkpoint:
    return Checkpoint(id=f"epoch-{epoch}", name=f"epoch {epoch}", load=lambda: network)


if __name__ == "__main__":
    torch.set_num_threads(1)  # batches are so small that threads would mostly wait for each other
    main()
