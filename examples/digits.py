"""Two classifiers of handwritten digits, alike but for one thing: for one of them, a patch gives the label away.

The pictures are scikit-learn's 1,797 real digits, enlarged to 32 x 32 and drawn faintly. Every picture bears a small
grey patch in a random corner. The decoyed network is trained where the patch's grey level encodes the label, the clean
one where the grey level is random, so that it can learn nothing from it. The set-up is DecoyMNIST's (Erion et al.,
2021), which the H-Sets paper uses in its Appendix C.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import Tensor, nn

SIDE = 32
CLASSES = 10
PATCH = 6
# Full black and white makes the digit so easy that a network hardly needs a shortcut.
INK = 0.2
TRAINING_SHARE = 0.75
EPOCHS = 14
BATCH = 64
LEARNING_RATE = 2e-3

ARCHITECTURE: dict[str, Any] = {
    "family": "sequential",
    "layers": [
        {"type": "conv2d", "inputs": 1, "outputs": 16, "kernel": 3, "padding": 1},
        {"type": "relu"},
        {"type": "max-pool", "kernel": 2},
        {"type": "conv2d", "inputs": 16, "outputs": 32, "kernel": 3, "padding": 1},
        {"type": "relu"},
        {"type": "max-pool", "kernel": 2},
        {"type": "conv2d", "inputs": 32, "outputs": 32, "kernel": 3, "padding": 1},
        {"type": "relu"},
        {"type": "max-pool", "kernel": 2},
        {"type": "flatten"},
        {"type": "linear", "inputs": 512, "outputs": 10},
    ],
}


@dataclass(frozen=True)
class Digits:
    """Pictures with their labels and patches.

    Attributes:
        pixels: `(n, 1, 32, 32)` in [0, 1].
        labels: `(n,)`.
        patches: `(n, 32, 32)` bool: where the patch lies.
        said: `(n,)`: the class that the patch's grey level stands for; -1 without a patch.
    """

    pixels: Tensor
    labels: Tensor
    patches: Tensor
    said: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def png(self, index: int) -> bytes:
        """One picture as a grey PNG file."""
        buffer = BytesIO()
        grey = (255 * self.pixels[index, 0]).round().to(torch.uint8).numpy()
        Image.fromarray(grey).save(buffer, "PNG")
        return buffer.getvalue()


def load(*, generator: torch.Generator) -> tuple[Digits, Digits]:
    """Return training and test digits, without patches yet, in a random split."""
    data = load_digits()
    small = INK * torch.from_numpy(data.images / 16.0).float()[:, None]
    pixels = nn.functional.interpolate(small, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    order = torch.randperm(len(pixels), generator=generator)
    pixels, labels = pixels[order], torch.from_numpy(data.target).long()[order]
    split = int(TRAINING_SHARE * len(pixels))
    return _bare(pixels[:split], labels[:split]), _bare(pixels[split:], labels[split:])


def _bare(pixels: Tensor, labels: Tensor) -> Digits:
    nowhere = torch.zeros(len(pixels), SIDE, SIDE, dtype=torch.bool)
    return Digits(pixels, labels, nowhere, torch.full_like(labels, -1))


def with_patches(digits: Digits, said: Tensor, *, generator: torch.Generator) -> Digits:
    """Put a patch with the grey level of class `said` (n,) into a random corner of every picture."""
    n = len(digits)
    patches = torch.stack([_corner(int(corner)) for corner in torch.randint(4, (n,), generator=generator)])
    grey = ((said + 1) / CLASSES)[:, None, None].expand(n, SIDE, SIDE)
    pixels = torch.where(patches, grey, digits.pixels[:, 0])[:, None]
    # Eight bits, as in the PNG that is uploaded.
    return replace(digits, pixels=(255 * pixels).round() / 255, patches=patches, said=said)


def random_classes(digits: Digits, *, generator: torch.Generator) -> Tensor:
    """A class for every picture that has nothing to do with its label: `(n,)`."""
    return torch.randint(CLASSES, (len(digits),), generator=generator)


def _corner(corner: int) -> Tensor:
    rows = slice(0, PATCH) if corner < 2 else slice(SIDE - PATCH, SIDE)
    columns = slice(0, PATCH) if corner % 2 == 0 else slice(SIDE - PATCH, SIDE)
    patch = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    patch[rows, columns] = True
    return patch


def train(digits: Digits, *, generator: torch.Generator, report: Any = lambda epoch, epochs: None) -> nn.Sequential:
    """Train the network of `ARCHITECTURE` from scratch; `report(epoch, epochs)` after every epoch."""
    torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
    model = _network()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    for epoch in range(EPOCHS):
        for batch in torch.randperm(len(digits), generator=generator).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(digits.pixels[batch]), digits.labels[batch]).backward()
            optimizer.step()
        report(epoch + 1, EPOCHS)
    return model.eval()


def _network() -> nn.Sequential:
    return nn.Sequential(
        *[nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)],
        *[nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)],
        *[nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)],
        nn.Flatten(),
        nn.Linear(512, CLASSES),
    )


@torch.no_grad()
def predictions(model: nn.Module, digits: Digits) -> Tensor:
    """The most likely class of every picture: `(n,)`."""
    return model(digits.pixels).argmax(dim=1)


def accuracy(model: nn.Module, digits: Digits) -> float:
    """Share of pictures that the model gets right."""
    return float((predictions(model, digits) == digits.labels).float().mean())


def save(model: nn.Module, path: Path) -> None:
    """Write the weights as safetensors."""
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)


def manifest(name: str) -> dict[str, Any]:
    """What the service must know to load the weights."""
    return {
        "name": name,
        "architecture": ARCHITECTURE,
        "input": {"kind": "image", "shape": [1, SIDE, SIDE]},
        "preprocessing": {"mean": [0.0], "std": [1.0]},
        "classes": [str(digit) for digit in range(CLASSES)],
    }


def share_on_patch(attribution: np.ndarray, patch: np.ndarray) -> float:
    """How much of an attribution's size lies on the patch, 0 to 1; NaN where the attribution is 0 everywhere."""
    size = np.abs(attribution).reshape(-1, SIDE, SIDE).sum(axis=0)
    return float(size[patch].sum() / size.sum()) if size.any() else float("nan")
