"""Check a picture by its container's structure: format, size in pixels, still or animated, complete or cut off.

Formats are told apart by their first bytes. Nothing is decompressed, so a bomb costs no more than its own bytes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from app.uploads.jpeg import jpeg_size
from app.uploads.png import png_size
from app.uploads.webp import webp_size
from jobs.errors import InputTooLarge, InvalidInput

MIN_SIDE: Final = 2  # one pixel, or one row of them, has no structure to explain

_REFUSED: Final = (
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"II*\x00", "a TIFF"),
    (b"MM\x00*", "a TIFF"),
    (b"%PDF", "a PDF"),
    (b"<svg", "an SVG"),
    (b"<?xml", "an XML file"),
)


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int


def check_picture(data: bytes, *, max_pixels: int) -> Size:
    """Let a picture pass, or say what is wrong with it.

    Raises:
        InputTooLarge: It has more than `max_pixels` pixels.
        InvalidInput: It is no PNG, JPEG or WebP, is cut off, animated, or has a side below `MIN_SIDE`.
    """
    size = Size(*_size(data))
    if size.width * size.height > max_pixels:
        raise InputTooLarge(
            f"expected a picture of at most {max_pixels} pixels, got {size.width} x {size.height}; "
            "scale it down, the model sees a small version anyway"
        )
    if min(size) < MIN_SIDE:
        raise InvalidInput(
            f"expected a picture of at least {MIN_SIDE} x {MIN_SIDE} pixels, got {size.width} x {size.height}"
        )
    return size


def _size(data: bytes) -> tuple[int, int]:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return png_size(data)
    if data.startswith(b"\xff\xd8\xff"):
        return jpeg_size(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return webp_size(data)
    raise InvalidInput(f"expected a PNG, JPEG or WebP picture, got {_named(data)}")


def _named(data: bytes) -> str:
    if not data:
        return "nothing"
    if data[4:8] == b"ftyp":
        return "an HEIC, AVIF or video file"
    names = [name for magic, name in _REFUSED if data.startswith(magic)]
    return names[0] if names else "something else"
