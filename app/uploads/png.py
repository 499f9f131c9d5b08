"""The structure of a PNG: chunks of length, type, data, CRC, from IHDR to IEND. Source: https://www.w3.org/TR/png-3/"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from jobs.errors import InvalidInput

MAX_CHUNKS = 100_000  # 25 megapixels in chunks of 8 kB are some thousands

_SIGNATURE_BYTES = 8
_FRAME_BYTES = 12  # length, type and CRC around a chunk's data
_HEADER_BYTES = 13


def png_size(data: bytes) -> tuple[int, int]:
    """Return width and height.

    Raises:
        InvalidInput: The PNG is cut off, damaged, animated or empty.
    """
    kinds: set[bytes] = set()
    header = b""
    for kind, body in _chunks(data):
        if not kinds and (kind != b"IHDR" or len(body) != _HEADER_BYTES):
            raise InvalidInput("the PNG does not begin with an IHDR chunk of 13 bytes")
        if kind == b"acTL":
            raise InvalidInput("the PNG is an animation; send one still picture")
        header = header or body
        kinds.add(kind)
    if b"IDAT" not in kinds:
        raise InvalidInput("the PNG holds no picture data")
    return int.from_bytes(header[0:4], "big"), int.from_bytes(header[4:8], "big")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and data of every chunk up to IEND."""
    position = _SIGNATURE_BYTES
    for _ in range(MAX_CHUNKS):
        length = int.from_bytes(data[position : position + 4], "big")
        end = position + _FRAME_BYTES + length
        if end > len(data):
            raise InvalidInput(f"the PNG is cut off: a chunk ends at byte {end} of {len(data)}")
        kind, body = data[position + 4 : position + 8], data[position + 8 : end - 4]
        if zlib.crc32(kind + body) != int.from_bytes(data[end - 4 : end], "big"):
            raise InvalidInput(f"the PNG is damaged: the checksum of its {kind!r} chunk at byte {position} is wrong")
        yield kind, body
        if kind == b"IEND":
            return
        position = end
    raise InvalidInput(f"expected at most {MAX_CHUNKS} chunks in the PNG")
