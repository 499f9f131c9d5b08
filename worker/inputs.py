"""One input: bytes → the tensor that a model takes, and what a person needs to recognise it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import torch
from pydantic import ValidationError
from torch import Tensor

from jobs.errors import InvalidInput, UnsupportedModel
from jobs.schemas import FeatureColumn, FeatureEncoding, Manifest, Tokens
from jobs.settings import Settings
from jobs.tokens import completed, faults
from worker.images import as_seen_by_model, decode, luminance, normalise


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One input as it was read.

    Attributes:
        input: `(channels, height, width)`, normalised; `(features,)`; or `(tokens,)` int64, filled up with padding.
        pixels: `(height, width, 3)` in [0, 1], of a picture.
        names: Of the features; of tokens, the text of each, empty for what was filled up.
        words: The word of each token; None for padding and what never plays.
    """

    input: Tensor
    pixels: Tensor | None = None
    names: tuple[str, ...] | None = None
    words: tuple[int | None, ...] | None = None


def read_input(data: bytes, manifest: Manifest, settings: Settings) -> Reading:
    """Read one input of the manifest's kind.

    Raises:
        InvalidInput: The bytes are no such input.
        InputTooLarge: The picture is above the server's limits.
    """
    match manifest.input.kind:
        case "image":
            return _picture(data, manifest, settings)
        case "features":
            return Reading(input=_features(data, manifest), names=manifest.input.names)
        case "tokens":
            return _tokens(data, manifest)
        case "row":
            raise UnsupportedModel("the gateway answers for rows itself, no job does")


def _picture(data: bytes, manifest: Manifest, settings: Settings) -> Reading:
    """Read a picture as the model sees it; one of a single channel sees it grey."""
    picture = decode(data, max_pixels=settings.max_pixels)
    shape = manifest.input.shape
    seen = as_seen_by_model(picture, shape, manifest.preprocessing, max_pixels=settings.max_pixels)
    pixels = luminance(seen).expand(3, -1, -1) if shape[0] == 1 else seen
    return Reading(input=normalise(pixels, manifest.preprocessing), pixels=pixels.permute(1, 2, 0).contiguous())


def _features(data: bytes, manifest: Manifest) -> Tensor:
    """Return the numbers as they are, or as the manifest's columns encode them: standardised, 1 for a category."""
    if manifest.features is not None:
        return _encoded(data, manifest.features)
    (expected,) = manifest.input.shape
    try:
        values = torch.tensor(json.loads(data), dtype=torch.float32)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InvalidInput(f"expected a JSON array of {expected} numbers: {error}") from error
    if values.shape != (expected,):
        raise InvalidInput(f"expected {expected} feature(s), got an array of shape {list(values.shape)}")
    if not values.isfinite().all():
        raise InvalidInput("expected finite features, got NaN, infinity, or a number beyond float32")
    return values


def _encoded(data: bytes, encoding: FeatureEncoding) -> Tensor:
    try:
        values = json.loads(data)
        inputs = [one for raw, column in zip(values, encoding.columns, strict=True) for one in _of_column(raw, column)]
        return torch.tensor(inputs, dtype=torch.float32)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InvalidInput(f"expected a JSON array of {len(encoding.columns)} raw values: {error}") from error


def _of_column(raw: float | str | None, column: FeatureColumn) -> list[float]:
    """Return what `worker.trainings._encoding` gives a network for this value."""
    if column.categories is not None:
        return [float(raw == category) for category in column.categories]
    return [0.0 if raw is None else (float(raw) - column.mean) / column.std]


def _tokens(data: bytes, manifest: Manifest) -> Reading:
    try:
        given = Tokens.model_validate_json(data)
    except ValidationError as error:
        raise InvalidInput("expected a JSON object of ids, texts and words") from error
    for fault in faults(given, manifest.input):
        raise InvalidInput(f"tokens{fault.pointer}: {fault.detail}")
    whole = completed(given, manifest.input)
    missing = manifest.input.shape[0] - len(whole.ids)
    # Where something is missing, there is a padding id: `faults` has asked for it.
    return Reading(
        input=torch.tensor([*whole.ids, *[manifest.input.padding_id or 0] * missing], dtype=torch.int64),
        names=(*(whole.texts or ()), *[""] * missing),
        words=(*(whole.words or ()), *[None] * missing),
    )
