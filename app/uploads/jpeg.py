"""The structure of a JPEG: segments up to the start of scan, then coded data up to EOI. Source: ITU-T T.81, annex B."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.errors import InvalidInput

MAX_SEGMENTS = 10_000

_START_OF_SCAN = 0xDA
_END_OF_IMAGE = b"\xff\xd9"
# SOF0 to SOF15 without DHT (C4), JPG (C8) and DAC (CC), which lie among them.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_FILL = 0xFF
_FRAME_HEADER_BYTES = 6
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Return width and height, as stored (an EXIF rotation may swap them).

    Raises:
        InvalidInput: The JPEG is cut off or damaged.
    """
    size, end = None, 2
    for marker, begin, end in _segments(data):
        if marker in _START_OF_FRAME and end - begin >= _FRAME_HEADER_BYTES:
            size = (
                int.from_bytes(data[begin + 3 : begin + 5], "big"),
                int.from_bytes(data[begin + 1 : begin + 3], "big"),
            )
    # Looked for from the end: a thumbnail inside a segment has an EOI of its own, but lies before the scan.
    if data.rfind(_END_OF_IMAGE, end) < 0:
        raise InvalidInput("the JPEG is cut off: it has no end-of-image marker")
    if size is None:
        raise InvalidInput("the JPEG is damaged: it has no frame header")
    return size


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker and extent of every segment, up to the start of scan."""
    end = 2
    for _ in range(MAX_SEGMENTS):
        marker, begin, end = _segment(data, end)
        yield marker, begin, end
        if marker == _START_OF_SCAN:
            return
    raise InvalidInput(f"expected at most {MAX_SEGMENTS} segments before the JPEG's picture data")


def _segment(data: bytes, position: int) -> tuple[int, int, int]:
    """Return the marker at `position`, and where its payload begins and ends."""
    if data[position : position + 1] != b"\xff" or position + 1 >= len(data):
        raise InvalidInput(f"the JPEG is cut off or damaged: expected a marker at byte {position} of {len(data)}")
    marker = data[position + 1]
    if marker == _FILL:
        return marker, position + 1, position + 1
    if marker in _WITHOUT_LENGTH:
        return marker, position + 2, position + 2
    length = int.from_bytes(data[position + 2 : position + 4], "big")
    end = position + 2 + length
    if length < 2 or end > len(data):
        raise InvalidInput(
            f"the JPEG is cut off or damaged: the segment at byte {position} ends at {end} of {len(data)}"
        )
    return marker, position + 4, end
