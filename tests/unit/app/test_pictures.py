"""Pictures are judged by their container alone, and agree with Pillow about their size."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from app.uploads.pictures import check_picture
from jobs.errors import InputTooLarge, InterplayError, InvalidInput

MAX_PIXELS = 1_000_000


def encoded(format: str, size: tuple[int, int] = (37, 23), mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, 128 if mode in ("L", "P") else None).save(buffer, format, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *, extra: bytes = b"", end: bytes = png_chunk(b"IEND", b"")) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + png_chunk(b"IDAT", zlib.compress(b"\x00")) + end


WRITERS: dict[str, Callable[[], bytes]] = {
    "png": lambda: encoded("PNG"),
    "png palette": lambda: encoded("PNG", mode="P"),
    "png 16 bit": lambda: encoded("PNG", mode="I;16"),
    "jpeg": lambda: encoded("JPEG"),
    "jpeg progressive": lambda: encoded("JPEG", progressive=True),
    "jpeg cmyk": lambda: encoded("JPEG", mode="CMYK"),
    "webp lossy": lambda: encoded("WEBP"),
    "webp lossless": lambda: encoded("WEBP", lossless=True),
    "webp alpha": lambda: encoded("WEBP", mode="RGBA"),
    "webp extended": lambda: encoded("WEBP", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_picture_has_the_size_that_pillow_finds(name):
    assert check_picture(WRITERS[name](), max_pixels=MAX_PIXELS) == (37, 23)


@pytest.mark.parametrize("name", WRITERS)
def test_every_truncation_of_a_picture_is_refused(name):
    data = WRITERS[name]()

    for length in range(len(data) - 1):
        with pytest.raises(InvalidInput):
            check_picture(data[:length], max_pixels=MAX_PIXELS)


@given(name=st.sampled_from(sorted(WRITERS)), where=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
@settings(max_examples=200)
def test_a_damaged_picture_passes_or_is_refused_but_never_breaks_the_check(name, where, value):
    data = bytearray(WRITERS[name]())
    data[int(where * len(data))] = value

    with suppress(InvalidInput, InputTooLarge):
        check_picture(bytes(data), max_pixels=MAX_PIXELS)


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\x20\x00\x00\x00WEBP"])
)
def test_random_bytes_are_refused(data, magic):
    with pytest.raises(InterplayError):
        check_picture(magic + data, max_pixels=MAX_PIXELS)


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_an_animation_is_refused(format):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, format, save_all=True, append_images=frames[1:])

    with pytest.raises(InvalidInput, match="animation"):
        check_picture(buffer.getvalue(), max_pixels=MAX_PIXELS)


def test_a_bomb_is_refused_by_its_header_alone():
    with pytest.raises(InputTooLarge, match="20000 x 20000"):
        check_picture(png(20_000, 20_000), max_pixels=MAX_PIXELS)


def test_a_webp_whose_frame_exceeds_its_canvas_counts_by_the_frame():
    frame = b"VP8L" + struct.pack("<I", 6) + b"\x2f" + struct.pack("<I", 16383 | 16383 << 14) + b"\x00"
    canvas = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (9).to_bytes(3, "little") * 2
    data = b"RIFF" + struct.pack("<I", 4 + len(canvas) + len(frame)) + b"WEBP" + canvas + frame

    with pytest.raises(InputTooLarge):
        check_picture(data, max_pixels=MAX_PIXELS)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (0, 10), (10, 0), (1, 500)])
def test_a_picture_without_extent_is_refused(width, height):
    with pytest.raises(InvalidInput, match="at least"):
        check_picture(png(width, height), max_pixels=MAX_PIXELS)


def test_a_png_with_a_wrong_checksum_is_refused():
    data = bytearray(encoded("PNG"))
    data[20] ^= 1

    with pytest.raises(InvalidInput, match="checksum"):
        check_picture(bytes(data), max_pixels=MAX_PIXELS)


def test_an_end_marker_in_a_jpeg_thumbnail_does_not_hide_that_the_picture_is_cut_off():
    thumbnail = b"\xff\xe1" + struct.pack(">H", 8) + b"Exif\xff\xd9"
    data = encoded("JPEG")

    with pytest.raises(InvalidInput, match="cut off"):
        check_picture(data[:2] + thumbnail + data[2:-10], max_pixels=MAX_PIXELS)


@pytest.mark.parametrize("padding", [b"\xff" * 100_000, b"\xff\xfe\x00\x02" * 100_000])
def test_a_jpeg_of_endless_empty_segments_is_refused(padding):
    with pytest.raises(InvalidInput, match="segments"):
        check_picture(b"\xff\xd8\xff" + padding[1:] + encoded("JPEG")[2:], max_pixels=MAX_PIXELS)


@pytest.mark.parametrize(
    ("data", "name"),
    [(encoded("GIF", mode="P"), "GIF"), (encoded("TIFF"), "TIFF"), (encoded("BMP"), "BMP"), (b"", "nothing"),
     (b"hello", "something else"), (b"\x00\x00\x00\x20ftypavif", "AVIF")],
)  # fmt: skip
def test_what_is_no_png_jpeg_or_webp_is_named(data, name):
    with pytest.raises(InvalidInput, match=name):
        check_picture(data, max_pixels=MAX_PIXELS)
