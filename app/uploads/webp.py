"""The structure of a WebP: a RIFF of VP8 (lossy), VP8L (lossless) or VP8X (extended) chunks.

Source: https://developers.google.com/speed/webp/docs/riff_container
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from jobs.errors import InvalidInput

MAX_CHUNKS: Final = 10_000

_RIFF_HEADER_BYTES = 12
_ANIMATION_FLAG = 0x02
_LOSSY_START_CODE = b"\x9d\x01\x2a"


def webp_size(data: bytes) -> tuple[int, int]:
    """Return width and height.

    Raises:
        InvalidInput: The WebP is cut off, damaged, animated or empty.
    """
    chunks = dict(_chunks(data))
    flags = int.from_bytes(chunks.get(b"VP8X", b"")[:1], "little")
    if {b"ANIM", b"ANMF"} & set(chunks) or flags & _ANIMATION_FLAG:
        raise InvalidInput("the WebP is an animation; send one still picture")
    if not {b"VP8 ", b"VP8L"} & set(chunks):
        raise InvalidInput("the WebP holds no picture data")
    sizes = [size_of(chunks[kind]) for kind, size_of in _SIZES.items() if kind in chunks]
    # A canvas smaller than its frame is a lie that a decoder may believe or not.
    return max(sizes, key=math.prod)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and data of every chunk; a chunk of odd length is padded by a byte."""
    stop = 8 + int.from_bytes(data[4:8], "little")
    if stop > len(data):
        raise InvalidInput(f"the WebP is cut off: it says {stop} bytes, and has {len(data)}")
    position = _RIFF_HEADER_BYTES
    for _ in range(MAX_CHUNKS):
        if position + 8 > stop:
            return
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        end = position + 8 + length
        if end > stop:
            raise InvalidInput(f"the WebP is damaged: a chunk ends at byte {end} of {stop}")
        yield data[position : position + 4], data[position + 8 : end]
        position = end + length % 2
    raise InvalidInput(f"expected at most {MAX_CHUNKS} chunks in the WebP")


def _extended(body: bytes) -> tuple[int, int]:
    _need(body, 10)
    return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")


def _lossless(body: bytes) -> tuple[int, int]:
    """A signature byte, then 14 bits each of width - 1 and height - 1."""
    _need(body, 5)
    bits = int.from_bytes(body[1:5], "little")
    return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)


def _lossy(body: bytes) -> tuple[int, int]:
    """A frame tag of 3 bytes, the start code, then 14 bits each of width and height."""
    _need(body, 10)
    if body[3:6] != _LOSSY_START_CODE:
        raise InvalidInput("the WebP is damaged: its frame has no start code")
    return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF


_SIZES: Final = {b"VP8X": _extended, b"VP8L": _lossless, b"VP8 ": _lossy}


def _need(body: bytes, length: int) -> None:
    if len(body) < length:
        raise InvalidInput(f"the WebP is damaged: expected {length} bytes of frame header, got {len(body)}")
