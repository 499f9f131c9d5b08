"""What the arithmetic of a method's catalogue entry can name: parameters, and the sizes of what they meet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from jobs.schemas import InputKind


def quantities(
    params: Mapping[str, JsonValue],
    *,
    kind: InputKind,
    shape: Sequence[int],
    outputs: int,
    words: int = 0,
    contrast: bool = False,
    samples: int = 1,
    checkpoints: int = 1,
) -> dict[str, Any]:
    """Return the names of expressions, as `jobs.catalog.evaluate` takes them, with their values.

    Args:
        params: Completed parameters; each is a name. `given_regions` and `compared_players` count what `regions` and
            `compare_with` hold.
        kind, shape: Of the model's input; `kind`, `inputs` (numbers in it), a picture's `channels`, `height`, `width`.
        outputs: Numbers in one output; `outputs`.
        contrast: Whether one class is explained against another; `contrast`.
        words: Of a text; `words`.
        samples, checkpoints: Inputs given and models named; `given_samples`, `given_checkpoints`.
    """
    channels, height, width = shape if kind == "image" else (0, 0, 0)
    return {
        **params,
        "kind": kind,
        "inputs": math.prod(shape),
        "channels": channels,
        "height": height,
        "width": width,
        "outputs": outputs,
        "words": words,
        "contrast": contrast,
        "given_regions": _regions(params.get("regions")),
        "compared_players": _compared(params.get("compare_with")),
        "given_samples": samples,
        "given_checkpoints": checkpoints,
    }


def _regions(given: JsonValue) -> int:
    """Count the regions of a parameter `regions`: boxes, or the labels of a map."""
    if not isinstance(given, Mapping):
        return 0
    if isinstance(boxes := given.get("boxes"), list):
        return len(boxes)
    rows = given.get("labels")
    labels = {label for row in rows if isinstance(row, list) for label in row} if isinstance(rows, list) else set()
    return sum(isinstance(label, int) and label >= 0 for label in labels)


def _compared(given: JsonValue) -> float:
    """Return the number of players of a parameter `compare_with`: index values from elsewhere."""
    metadata = given.get("metadata") if isinstance(given, Mapping) else None
    players = metadata.get("n_players") if isinstance(metadata, Mapping) else None
    return players if isinstance(players, int | float) else 0


def training_quantities(
    params: Mapping[str, JsonValue], *, kind: str, task: str, shape: Sequence[int], columns: int
) -> dict[str, Any]:
    """Return the names of a training's expressions with their values.

    Args:
        params: Completed parameters; each is a name.
        kind: Of the dataset; `dataset_kind`.
        task: What it is for; `task`.
        shape: (channels, height, width) of the network's pictures; `channels`, `height`, `width`, 0 of tables.
        columns: That a network may learn from; `columns`, 0 of pictures.
    """
    channels, height, width = shape if kind == "images" else (0, 0, 0)
    sizes = {
        "dataset_kind": kind,
        "task": task,
        "channels": channels,
        "height": height,
        "width": width,
        "columns": columns,
    }
    return {**params, **sizes}
