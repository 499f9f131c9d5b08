"""Small networks and subjects that tests explain."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import VisionTransformer

from worker.methods._registry import Subject

MEAN = (0.5, 0.4, 0.3)
STD = (0.2, 0.25, 0.3)


def small_cnn(*, classes: int = 4, channels: int = 3, dtype: torch.dtype = torch.float64) -> nn.Module:
    """Return a CNN with ReLUs, batch norm, pooling and a strided convolution, for any input size."""
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(channels, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 12),
        nn.ReLU(),
        nn.Linear(12, classes),
    )
    nn.init.normal_(model[1].running_mean, std=0.1)
    return frozen(model, dtype)


def small_vit(*, size: int = 16, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Return torchvision's vision transformer, as vit_b_16 is, with 2 layers of width 16."""
    torch.manual_seed(2)
    model = VisionTransformer(
        image_size=size, patch_size=4, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=4
    )
    nn.init.normal_(model.heads.head.weight)
    return frozen(model, dtype)


def linear_model(*, size: int = 8, dtype: torch.dtype = torch.float64) -> nn.Module:
    """Return a model without any interaction."""
    torch.manual_seed(3)
    return frozen(nn.Sequential(nn.Flatten(), nn.Linear(3 * size * size, 4)), dtype)


def frozen(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Return the model as a runner would hand it to a method."""
    return model.eval().to(dtype).requires_grad_(False)


def picture(size: int = 8) -> Tensor:
    """Return `(size, size, 3)` pixels in [0, 1]: two flat halves under noise."""
    noise = torch.rand(size, size, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    half = (torch.arange(size) < size // 2).double()[None, :, None]
    return (0.6 * half + 0.4 * noise).clamp(0, 1)


def subject(
    model: nn.Module | None = None, *, size: int = 8, dtype: torch.dtype = torch.float64, **changes: Any
) -> Subject:
    """Return a subject over `picture(size)`, normalised with `MEAN` and `STD`."""
    pixels = picture(size)
    normalised = (pixels - torch.tensor(MEAN)) / torch.tensor(STD)
    given: dict[str, Any] = {
        "model": small_cnn(dtype=dtype) if model is None else model,
        "input": normalised.permute(2, 0, 1).to(dtype),
        "pixels": pixels.float(),
        "mean": MEAN,
        "std": STD,
        "chunk": 8,
    }
    return Subject(**{**given, **changes})


PLANTED_WORDS = ("[pad]", "[mask]", "[cls]", "not", "##good", "bad", "awful", "slow", "film")
PLANTED_TEXT = ("[cls]", "film", "not", "##good", "bad", "awful", "slow")
PLANTED = {("and", ("not", "##good")): 2.0, ("or", ("bad", "awful")): 3.0, ("main", ("slow",)): -1.0}
"""What the log-odds of class 1 consist of, beside a constant of 0.5."""

PLANTED_MANIFEST: dict[str, Any] = {
    "name": "planted words",
    "architecture": {
        "family": "sequential",
        "layers": [
            {"type": "embedding", "outputs": len(PLANTED_WORDS)},
            {"type": "token-max"},
            {"type": "linear", "outputs": 3},
            {"type": "relu"},
            {"type": "linear", "outputs": 2},
        ],
    },
    "input": {
        "kind": "tokens",
        "shape": [10],
        "vocabulary": len(PLANTED_WORDS),
        "mask_id": 1,
        "padding_id": 0,
        "names": list(PLANTED_WORDS),
    },
    "classes": ["praise", "blame"],
}


def planted_weights() -> dict[str, Tensor]:
    """Return the weights of a text classifier whose logits are exactly [0, 0.5 + PLANTED].

    The pool sees which words are there. Of the rectifiers, the first fires when `not` and `##good` both are, the second
    unless `bad` or `awful` is, the third when `slow` is.
    """
    size = len(PLANTED_WORDS)
    embedding = torch.eye(size)
    embedding[:2] = 0
    hidden, bias = torch.zeros(3, size), torch.tensor([-1.0, 1.0, 0.0])
    for unit, weight, words in ((0, 1.0, ("not", "##good")), (1, -1.0, ("bad", "awful")), (2, 1.0, ("slow",))):
        hidden[unit, [PLANTED_WORDS.index(word) for word in words]] = weight
    head = torch.tensor([[0.0, 0.0, 0.0], [2.0, -3.0, -1.0]])
    return {
        "0.weight": embedding, "2.weight": hidden, "2.bias": bias, "4.weight": head,
        "4.bias": torch.tensor([0.0, 3.5]),
    }  # fmt: skip


def planted_tokens(text: tuple[str, ...] = PLANTED_TEXT) -> dict[str, Any]:
    """Return the text as a request sends it, `[cls]` never playing."""
    return {
        "ids": [PLANTED_WORDS.index(word) for word in text],
        "words": [None if word == "[cls]" else index for index, word in enumerate(text)],
    }
