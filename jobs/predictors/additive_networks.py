"""The networks of an additive model, evaluated: encoded rows → what each term says, before its mean is taken off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import numpy as np

from jobs.predictors.tensors import Array, Expected, Floats, Tensors
from jobs.row_models import AdditiveArchitecture

Layers = Sequence[tuple[Floats, Floats | None]]
"""Weight `(…, into, out)` and bias `(…, out)` of each layer."""

_NUMBERS_AT_ONCE = 1 << 21
"""In a hidden layer, 16 MB."""


def expected_tensors(architecture: AdditiveArchitecture, outputs: int) -> Expected:
    """Return names, types and shapes of the model's tensors."""
    inputs, count = architecture.inputs, len(architecture.interactions)
    terms = ("float64", (len(architecture.columns) + count, outputs))
    mains = _shapes("mains", inputs, (1, *architecture.main_hidden, outputs), last_bias=False)
    deep = _shapes("interactions", count, (inputs, *architecture.hidden, outputs), last_bias=True)
    return {**mains, **deep, "terms.mean": terms, "terms.size": terms}


def _shapes(prefix: str, count: int, sizes: Sequence[int], *, last_bias: bool) -> Expected:
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    for layer, (into, out) in enumerate(pairwise(sizes)):
        found[f"{prefix}.{layer}.weight"] = ("float32", (count, into, out))
        if last_bias or layer < len(sizes) - 2:
            found[f"{prefix}.{layer}.bias"] = ("float32", (count, out))
    return found


class AdditiveNetworks:
    """The networks of all terms: columns first, then interactions."""

    def __init__(self, architecture: AdditiveArchitecture, tensors: Tensors) -> None:
        self._mains = _layers(tensors, "mains", len(architecture.main_hidden) + 1)
        self._deep = _layers(tensors, "interactions", len(architecture.hidden) + 1)
        ends = list(accumulate(column.width for column in architecture.columns))
        self._places = [range(end - column.width, end) for end, column in zip(ends, architecture.columns, strict=True)]
        self._seen = [
            [place for one in members for place in self._places[one]] for members in architecture.interactions
        ]
        widths = [len(places) for places in self._places]
        self._widest = max(*architecture.hidden, 1, max(widths) * max((*architecture.main_hidden, 1)))

    def __call__(self, inputs: Floats) -> Floats:
        """Return `(rows, terms, outputs)` for `inputs`, `(rows, inputs)`."""
        step = max(1, _NUMBERS_AT_ONCE // self._widest)
        portions = [inputs[begin : begin + step] for begin in range(0, max(len(inputs), 1), step)]
        return np.concatenate(
            [np.stack([*self._columns(part), *self._interactions(part)], axis=1) for part in portions]
        )

    def _columns(self, inputs: Floats) -> Iterator[Floats]:
        """Add up, for each column, the networks of its inputs, each of which sees that input alone."""
        for places in self._places:
            mine = slice(places.start, places.stop)
            yield _run(inputs[:, mine].T[:, :, None], [_part(layer, mine) for layer in self._mains]).sum(0)

    def _interactions(self, inputs: Floats) -> Iterator[Floats]:
        for term, seen in enumerate(self._seen):
            (weight, bias), *later = [_part(layer, term) for layer in self._deep]
            yield _run(inputs[:, seen], [(weight[seen], bias), *later])  # what it does not see has no say


def _layers(tensors: Tensors, prefix: str, count: int) -> Layers:
    named = [(f"{prefix}.{layer}.weight", f"{prefix}.{layer}.bias") for layer in range(count)]
    return [(_double(tensors[weight]), _double(tensors[bias]) if bias in tensors else None) for weight, bias in named]


def _double(tensor: Array) -> Floats:
    return tensor.astype(np.float64)


def _part(layer: tuple[Floats, Floats | None], which: int | slice) -> tuple[Floats, Floats | None]:
    weight, bias = layer
    return weight[which], None if bias is None else bias[which]


def _run(x: Floats, layers: Layers) -> Floats:
    """Evaluate `(…, rows, into)`, with rectified units between the layers."""
    for layer, (weight, bias) in enumerate(layers):
        x = (np.maximum(x, 0) if layer else x) @ weight
        if bias is not None:
            x = x + bias[..., None, :]
    return x
