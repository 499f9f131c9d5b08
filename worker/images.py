"""Pictures: bytes → numbers, as a person sees the picture and as a model sees it.

A person sees a photograph upright, transparent parts on white, and sixteen bits as shades, not as clipped white. The
model sees that, resized and cropped as its manifest says, in the way of torchvision's published preprocessing.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from contextlib import suppress
from io import BytesIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from jobs.errors import InputTooLarge, InvalidInput
from jobs.schemas import Preprocessing

Values = NDArray[np.float32]

FORMATS = ("PNG", "JPEG", "WEBP")
MIN_SIDE = 2
"""A single row, column or pixel has nothing in it that could be segmented."""

# What Pillow's decoders raise for damaged files, besides its own UnidentifiedImageError (an OSError).
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)

# ITU-R BT.601, with which Pillow too makes a picture grey.
_LUMINANCE = (0.299, 0.587, 0.114)

_INTERPOLATIONS = {
    # Pillow's nearest neighbour; the mode that is called NEAREST reproduces an old rounding bug of another library.
    "nearest": InterpolationMode.NEAREST_EXACT,
    "bilinear": InterpolationMode.BILINEAR,
    "bicubic": InterpolationMode.BICUBIC,
}


def decode(data: bytes, *, max_pixels: int) -> Tensor:
    """Decode a PNG, JPEG or WebP picture as a person sees it.

    EXIF orientation and an embedded colour profile are applied, transparency is laid on white, grey becomes three
    equal channels.

    Returns:
        `(3, height, width)` float32 sRGB in [0, 1].

    Raises:
        InputTooLarge: It has more than `max_pixels`; known from its header, before anything is decoded.
        InvalidInput: It is another kind of file, damaged, cut off, animated, or less than two pixels high or wide.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        # Like a viewer: without a readable orientation, a photograph is shown as it is stored.
        warnings.filterwarnings("ignore", "Corrupt EXIF data", UserWarning)
        values = _values(_open(data, max_pixels))
    return torch.from_numpy(values).permute(2, 0, 1).contiguous()


def as_seen_by_model(
    picture: Tensor, shape: tuple[int, ...], preprocessing: Preprocessing, *, max_pixels: int
) -> Tensor:
    """Resize the shorter side and crop the centre, as torchvision does with antialiasing.

    Args:
        picture: `(3, height, width)` in [0, 1].
        shape: `(channels, height, width)` of the model's input.
        preprocessing: Without `resize`, the picture is scaled to just cover the input.
        max_pixels: Of the picture in between.

    Returns:
        `(3, height, width)` in [0, 1], not yet normalised.

    Raises:
        InputTooLarge: The picture is so narrow that resizing its shorter side would blow it up beyond `max_pixels`.
        InvalidInput: The resized picture does not cover the input.
    """
    size = _resized(picture.shape[1:], shape[1:], preprocessing)
    if size[0] * size[1] > max_pixels:
        raise InputTooLarge(f"the picture is too narrow: resized it would have {size[0]} × {size[1]} pixels")
    mode = _INTERPOLATIONS[preprocessing.interpolation]
    resized = functional.resize(picture, list(size), interpolation=mode, antialias=True)
    # Bicubic weights are negative in places and overshoot; a picture in whole numbers would be clipped, too.
    cropped: Tensor = functional.center_crop(resized.clamp(0, 1), list(shape[1:]))
    return cropped


def normalise(picture: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Return `(picture − mean) / std`, in as many channels as there are means: three, or the luminance alone."""
    mean, std = (
        torch.tensor(values, dtype=picture.dtype)[:, None, None] for values in (preprocessing.mean, preprocessing.std)
    )
    return ((luminance(picture) if len(mean) == 1 else picture) - mean) / std


def luminance(picture: Tensor) -> Tensor:
    """Return the grey values of `(3, height, width)` as `(1, height, width)`."""
    return torch.einsum("c,chw->hw", picture.new_tensor(_LUMINANCE), picture)[None]


def _open(data: bytes, max_pixels: int) -> Image.Image:
    try:
        picture = Image.open(BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise InputTooLarge(f"expected a picture of at most {max_pixels} pixels: {error}") from error
    except _DAMAGE as error:
        raise InvalidInput("expected a PNG, JPEG or WebP picture, got something else or a damaged file") from error
    _check(picture, max_pixels)
    return picture


def _check(picture: Image.Image, max_pixels: int) -> None:
    if picture.width * picture.height > max_pixels:
        raise InputTooLarge(f"expected at most {max_pixels} pixels, got {picture.width} × {picture.height}")
    if min(picture.size) < MIN_SIDE:
        raise InvalidInput(
            f"expected a picture of at least {MIN_SIDE} × {MIN_SIDE} pixels, got {picture.width} × {picture.height}"
        )
    # A camera's multi-picture JPEG holds previews behind the photograph and is no animation.
    if picture.format != "MPO" and getattr(picture, "n_frames", 1) > 1:
        raise InvalidInput("expected a still picture, got an animation; send one of its frames")


def _values(picture: Image.Image) -> Values:
    """Return `(height, width, 3)` in [0, 1]."""
    try:
        picture.load()
        upright = ImageOps.exif_transpose(picture)
        return _sixteen_bits(upright) if upright.mode.startswith("I;16") else _eight_bits(upright)
    except _DAMAGE as error:
        raise InvalidInput(f"the picture is damaged or cut off: {error}") from error


def _sixteen_bits(picture: Image.Image) -> Values:
    levels = np.asarray(picture)
    grey = levels.astype(np.float32) / np.float32(65535)
    grey[levels == picture.info.get("transparency")] = 1
    return np.repeat(grey[:, :, None], 3, axis=2)


def _eight_bits(picture: Image.Image) -> Values:
    # Transparency goes first, as a profile describes colours only; white is white in every profile.
    opaque = picture.mode in ("L", "CMYK") and not picture.has_transparency_data
    flat = picture if opaque else _on_white(picture)
    colours = _to_srgb(flat, picture.info.get("icc_profile")).convert("RGB")
    return np.asarray(colours).astype(np.float32) / np.float32(255)


def _on_white(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    transparent = picture.convert("RGBA")
    white = Image.new("RGBA", transparent.size, "white")
    return Image.alpha_composite(white, transparent).convert("RGB")


def _to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    if not profile:
        return picture
    # As in a viewer, a profile that is damaged or of another colour model counts for nothing.
    with suppress(ImageCms.PyCMSError, OSError):
        source, target = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(picture, source, target, outputMode="RGB") or picture
    return picture


def _resized(picture: tuple[int, ...], target: tuple[int, ...], preprocessing: Preprocessing) -> tuple[int, int]:
    """Return the height and width to resize to."""
    height, width = picture
    if preprocessing.resize is None:
        scale = max(target[0] / height, target[1] / width)
        return max(target[0], int(height * scale)), max(target[1], int(width * scale))
    shorter = preprocessing.resize
    # Cut off, not rounded, like torchvision.
    size = (shorter * height // width, shorter) if width < height else (shorter, shorter * width // height)
    if size[0] < target[0] or size[1] < target[1]:
        raise InvalidInput(
            f"the picture, resized to {size[0]} × {size[1]} pixels, does not cover the model's input of {target[0]} × "
            f"{target[1]}; set the manifest's preprocessing.resize to at least {max(target)}"
        )
    return size
