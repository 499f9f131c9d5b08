"""A transformer trained on the tweets of the `twitter_graph` data, for benchmarks and tests.

A row is a label (0 or 1) and the ids of one to fourteen words, in no order; which words the ids stand for was not
published.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from jobs.schemas import Manifest
from worker.models.sequential import build_sequential

WORDS, LONGEST = 1323, 14
MASK, PADDING = WORDS, WORDS + 1
TEST = 4000
"""Rows at the end that are not trained on."""

HIDDEN_SHARE = 0.15
"""Of the words that training replaces by the mask token, so that the network knows it when players are absent."""

MANIFEST: dict[str, Any] = {
    "name": "tweets",
    "architecture": {
        "family": "sequential",
        "layers": [
            {"type": "embedding", "outputs": 32},
            {"type": "transformer", "heads": 4, "feedforward": 64, "norm": "pre", "activation": "gelu"},
            {"type": "token-mean"},
            {"type": "linear", "outputs": 32},
            {"type": "relu"},
            {"type": "linear", "outputs": 2},
        ],
    },
    "input": {
        "kind": "tokens", "shape": [LONGEST], "vocabulary": WORDS + 2, "mask_id": MASK, "padding_id": PADDING,
    },
    "classes": ["negative", "positive"],
}  # fmt: skip


@dataclass(frozen=True)
class Tweets:
    """`ids`: `(rows, LONGEST)`, filled up with `PADDING`; `labels`: `(rows,)`."""

    ids: Tensor
    labels: Tensor

    def __getitem__(self, rows: slice | Tensor) -> Tweets:
        return Tweets(self.ids[rows], self.labels[rows])

    def __len__(self) -> int:
        return len(self.labels)

    def words(self, row: int) -> list[int]:
        """Return the ids of one row without padding."""
        return [id for id in self.ids[row].tolist() if id != PADDING]


def read(folder: Path, *, rows: int) -> tuple[Tweets, Tweets]:
    """Read the first rows to train on and the last `TEST` to test on; a text that is in both only counts for training.

    Args:
        folder: That holds `twitter.data`.
    """
    lines = [line.split() for line in (folder / "twitter.data").read_text().splitlines()]
    training = lines[:rows]
    known = {tuple(line[1:]) for line in training}
    return _tweets(training), _tweets([line for line in lines[-TEST:] if tuple(line[1:]) not in known])


def _tweets(lines: list[list[str]]) -> Tweets:
    ids = torch.tensor([[*map(int, words), *[PADDING] * (LONGEST - len(words))] for _, *words in lines])
    return Tweets(ids, torch.tensor([int(float(label)) for label, *_ in lines]))


def trained(data: Tweets, *, seed: int = 0, epochs: int = 2) -> nn.Sequential:
    """Train the classifier that `MANIFEST` describes; its state dict is what a caller uploads."""
    torch.manual_seed(seed)
    manifest = Manifest.model_validate(MANIFEST)
    model = build_sequential(manifest.architecture.layers, manifest.input)  # type: ignore[union-attr]
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(data)).split(256):
            ids = data.ids[batch]
            hidden = (torch.rand(ids.shape) < HIDDEN_SHARE) & (ids != PADDING)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(ids.masked_fill(hidden, MASK)), data.labels[batch]).backward()
            optimizer.step()
    return model.eval().requires_grad_(False)


def accuracy(model: nn.Module, data: Tweets) -> float:
    """Return the share of rows that the model labels as the data does."""
    return float((model(data.ids).argmax(1) == data.labels).double().mean())
