"""Batches of a dataset as a network takes them: what an explanation of the trained model would feed it, too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from jobs.errors import InvalidInput, UnsupportedModel
from jobs.schemas import (
    Architecture,
    FeatureEncoding,
    Manifest,
    ModelInput,
    Preprocessing,
    SequentialArchitecture,
)
from worker.trainings._data import Data, Images, Sets, Table
from worker.trainings._encoding import encoded, fitted_encoding

_LUMINANCE = (0.299, 0.587, 0.114)
_AT_ONCE = 256
_MODES = {
    "nearest": functional.InterpolationMode.NEAREST_EXACT,
    "bilinear": functional.InterpolationMode.BILINEAR,
    "bicubic": functional.InterpolationMode.BICUBIC,
}


@dataclass(frozen=True)
class Inputs:
    """A dataset seen through a manifest.

    Attributes:
        batch: `(n,)` row indices → `(n, *manifest.input.shape)` float32, on the CPU.
    """

    manifest: Manifest
    batch: Callable[[Tensor], Tensor]


def inputs_of(data: Data, manifest: Manifest) -> Inputs:
    """Return a dataset as the inputs of a model that exists.

    Raises:
        InvalidInput: The dataset's rows are no inputs of this model.
    """
    match data:
        case Images():
            if manifest.input.kind != "image":
                raise InvalidInput(f"expected a table for a model of {manifest.input.kind}, got pictures")
            return Inputs(manifest, lambda rows: _pictures(data.pixels[rows], manifest))
        case Table():
            return Inputs(manifest, _of_table(data, manifest))
        case Sets():
            raise InvalidInput("expected pictures or a table, got feature sets")


def new_inputs(data: Data, architecture: Architecture, *, name: str, train: Tensor) -> Inputs:
    """Return a dataset as the inputs of a new model, with a manifest that states how.

    Args:
        train: The rows from which means and deviations are taken.

    Raises:
        InvalidInput: The dataset has another kind of rows than the architecture takes.
    """
    classes = data.labels.classes or None
    if isinstance(data, Images):
        shape = (_channels(data, architecture), *data.pixels.shape[2:])
        means = _of_channels(data, shape[0], train)
        manifest = Manifest(
            name=name, architecture=architecture, input=ModelInput(kind="image", shape=shape), preprocessing=means,
            classes=classes,
        )  # fmt: skip
        return inputs_of(data, manifest)
    if not isinstance(data, Table) or not isinstance(architecture, SequentialArchitecture):
        raise InvalidInput("expected pictures, or a table and a sequential architecture")
    encoding = fitted_encoding(data, train)
    return inputs_of(data, _table_manifest(architecture, encoding, name, classes))


def _table_manifest(
    architecture: Architecture, encoding: FeatureEncoding, name: str, classes: tuple[str, ...] | None
) -> Manifest:
    names = encoding.names
    if len(names) > 4096:
        raise InvalidInput(
            f"the table gives {len(names)} inputs, every category counted; expected at most 4096: declare columns of "
            "many categories `ignore`"
        )
    cut = tuple(one[:200] for one in names)
    kind = ModelInput(kind="features", shape=(len(names),), names=cut)
    return Manifest(name=name, architecture=architecture, input=kind, features=encoding, classes=classes)


def _of_table(table: Table, manifest: Manifest) -> Callable[[Tensor], Tensor]:
    if manifest.input.kind != "features":
        raise InvalidInput(f"expected pictures for a model of kind {manifest.input.kind}, got a table")
    encoding = manifest.features or FeatureEncoding.model_validate(
        {"columns": [{"name": feature.name} for feature in table.features]}
    )
    found, expected = [feature.name for feature in table.features], [column.name for column in encoding.columns]
    if found != expected:
        raise InvalidInput(f"the model takes the columns {', '.join(expected[:20])}; the table has {found[:20]}")
    if any(feature.categories is not None and column.categories is None
           for feature, column in zip(table.features, encoding.columns, strict=True)):  # fmt: skip
        raise InvalidInput("a column that the model takes as numbers holds categories")
    if len(encoding.names) != manifest.input.shape[0]:
        raise InvalidInput(f"the model takes {manifest.input.shape[0]} features, the table has {len(encoding.names)}")
    return lambda rows: encoded(table, encoding, rows)


def _channels(data: Images, architecture: Architecture) -> int:
    """Return how many channels the first layer takes: three in torchvision, what it says in a list of layers."""
    if not isinstance(architecture, SequentialArchitecture):
        return 3
    first = architecture.layers[0]
    wanted = first.inputs if first.type == "conv2d" and first.inputs is not None else data.pixels.shape[1]
    if wanted not in (1, 3):
        raise UnsupportedModel(f"layer 0 (conv2d): expected inputs 1 or 3, the channels of pictures, got {wanted}")
    return int(wanted)


def _of_channels(data: Images, channels: int, train: Tensor) -> Preprocessing:
    """Return each channel's mean and deviation over the training rows, of values in [0, 1]."""
    count = 0
    total, squares = torch.zeros(channels, dtype=torch.float64), torch.zeros(channels, dtype=torch.float64)
    for rows in torch.split(train, _AT_ONCE):
        values = _as_fractions(data.pixels[rows], channels).double()
        count += values[:, 0].numel()
        total += values.sum((0, 2, 3))
        squares += values.square().sum((0, 2, 3))
    means = total / count
    deviations = (squares / count - means.square()).clamp_min(0).sqrt()
    return Preprocessing(mean=tuple(means.tolist()), std=tuple(max(one, 1e-6) for one in deviations.tolist()))


def _pictures(pixels: Tensor, manifest: Manifest) -> Tensor:
    """Do to pixels what an explanation's pictures go through: scale, resize, crop, normalise."""
    channels, *size = manifest.input.shape
    values = _as_fractions(pixels, channels)
    if list(values.shape[2:]) != size:
        values = _resized(values, size, manifest.preprocessing)
    mean, std = (torch.tensor(one)[:, None, None] for one in (manifest.preprocessing.mean, manifest.preprocessing.std))
    return (values - mean) / std


def _as_fractions(pixels: Tensor, channels: int) -> Tensor:
    """Return `(n, channels, height, width)` float32 in [0, 1]; grey becomes three equal channels, colour luminance."""
    values = pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels.float()
    if values.shape[1] == channels:
        return values
    if channels == 3:
        return values.expand(-1, 3, -1, -1)
    return torch.einsum("c,nchw->nhw", values.new_tensor(_LUMINANCE), values)[:, None]


def _resized(values: Tensor, size: list[int], preprocessing: Preprocessing) -> Tensor:
    height, width = values.shape[2:]
    if preprocessing.resize is None:
        scale = max(size[0] / height, size[1] / width)
        target = [max(side, int(old * scale)) for side, old in zip(size, (height, width), strict=True)]
    else:
        shorter = preprocessing.resize
        target = [int(old * shorter / min(height, width)) for old in (height, width)]
    if target[0] < size[0] or target[1] < size[1]:
        raise InvalidInput(f"pictures resized to {target[0]} × {target[1]} do not cover the model's input")
    resized = functional.resize(values, target, interpolation=_MODES[preprocessing.interpolation], antialias=True)
    cropped: Tensor = functional.center_crop(resized.clamp(0, 1), size)
    return cropped
