"""Hand-made pictures of known colours in every mode, and torchvision's published preprocessing as the yardstick."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from torchvision.models import EfficientNet_B0_Weights, MobileNet_V2_Weights
from torchvision.transforms.v2 import functional

from jobs.errors import InputTooLarge, InvalidInput
from jobs.schemas import Preprocessing
from worker.images import as_seen_by_model, decode, luminance, normalise

LIMIT = 1_000_000

# One level of 256: Pillow rounds to whole levels after each pass of resizing, and here nothing is rounded.
ONE_LEVEL = {"rtol": 0, "atol": 1.01 / 255}
# A JPEG of one flat colour is off by its colour transform's and quantisation's rounding.
JPEG_LEVELS = {"rtol": 0, "atol": 3 / 255}
EXACT = {"rtol": 0, "atol": 1e-7}


def encoded(picture, format="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def colour_at(data, row=0, column=0):
    return decode(data, max_pixels=LIMIT)[:, row, column]


def levels(*values):
    return torch.tensor(values) / 255


def flat(mode, colour, size=(4, 4)):
    return Image.new(mode, size, colour)


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_rgb_is_read_as_it_is(format):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)

    decoded = decode(encoded(Image.fromarray(pixels), format, lossless=True), max_pixels=LIMIT)

    torch.testing.assert_close(decoded, torch.from_numpy(pixels).permute(2, 0, 1) / 255, **EXACT)
    assert decoded.dtype == torch.float32


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (flat("1", 1), levels(255, 255, 255)),
        (flat("1", 0), levels(0, 0, 0)),
        (flat("L", 100), levels(100, 100, 100)),
        (flat("RGB", (10, 20, 30)), levels(10, 20, 30)),
        (flat("RGBA", (10, 20, 30, 255)), levels(10, 20, 30)),
        (flat("RGBA", (10, 20, 30, 0)), levels(255, 255, 255)),
        (flat("RGBA", (0, 100, 200, 51)), levels(204, 224, 244)),
        (flat("LA", (0, 51)), levels(204, 204, 204)),
        (flat("RGB", (10, 20, 30)).quantize(4), levels(10, 20, 30)),
    ],
)
def test_every_mode_of_png_has_the_colour_that_a_person_sees(picture, expected):
    torch.testing.assert_close(colour_at(encoded(picture)), expected, **EXACT)


@pytest.mark.parametrize("value", [0, 255, 256, 30_000, 65_535])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(value):
    picture = Image.fromarray(np.full((4, 4), value, dtype=np.uint16))

    torch.testing.assert_close(colour_at(encoded(picture)), torch.full((3,), value / 65_535), **EXACT)


def png(width, height, bits, colour_type, rows, *chunks):
    """Write a PNG chunk by chunk, for the kinds that Pillow reads and does not write."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    body = b"".join(chunk(name, data) for name, data in chunks)
    image = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + image + chunk(b"IEND", b"")


def test_sixteen_bit_colour_keeps_its_shade():
    row = struct.pack(">HHH", 0, 30_000, 65_535) * 2

    torch.testing.assert_close(
        colour_at(png(2, 2, 16, 2, [row, row])), torch.tensor([0, 30_000 / 65_535, 1]), **ONE_LEVEL
    )


def test_a_transparent_palette_entry_is_white():
    data = png(2, 2, 8, 3, [b"\0\1", b"\1\0"], (b"PLTE", bytes([255, 0, 0, 0, 0, 255])), (b"tRNS", b"\0"))

    torch.testing.assert_close(colour_at(data, 0, 0), levels(255, 255, 255), **EXACT)
    torch.testing.assert_close(colour_at(data, 0, 1), levels(0, 0, 255), **EXACT)


def test_a_grey_level_that_is_declared_transparent_is_white():
    data = png(2, 2, 8, 0, [b"\x50\x60", b"\x60\x50"], (b"tRNS", b"\0\x50"))

    torch.testing.assert_close(colour_at(data, 0, 0), levels(255, 255, 255), **EXACT)
    torch.testing.assert_close(colour_at(data, 0, 1), levels(0x60, 0x60, 0x60), **EXACT)


def test_sixteen_bit_grey_that_is_declared_transparent_is_white():
    row = struct.pack(">HH", 20_000, 40_000)
    data = png(2, 2, 16, 0, [row, row], (b"tRNS", struct.pack(">H", 20_000)))

    torch.testing.assert_close(colour_at(data, 0, 0), torch.ones(3), **EXACT)
    torch.testing.assert_close(colour_at(data, 0, 1), torch.full((3,), 40_000 / 65_535), **EXACT)


def test_cmyk_jpegs_are_read_as_printed():
    """No cyan, full magenta and yellow, no black: red."""
    data = encoded(flat("CMYK", (0, 255, 255, 0), (16, 16)), "JPEG", quality=100)

    torch.testing.assert_close(colour_at(data), levels(255, 0, 0), **JPEG_LEVELS)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    """A white corner, stored where each orientation asks for it, ends up at the top left."""
    upright = Image.new("RGB", (16, 32))
    upright.paste((255, 255, 255), (0, 0, 8, 8))
    stored = {
        1: lambda picture: picture,
        2: lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda picture: picture.transpose(Image.Transpose.ROTATE_180),
        4: lambda picture: picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda picture: picture.transpose(Image.Transpose.TRANSPOSE),
        6: lambda picture: picture.transpose(Image.Transpose.ROTATE_90),
        7: lambda picture: picture.transpose(Image.Transpose.TRANSVERSE),
        8: lambda picture: picture.transpose(Image.Transpose.ROTATE_270),
    }[orientation](upright)
    exif = Image.Exif()
    exif[0x0112] = orientation

    decoded = decode(encoded(stored, "JPEG", quality=100, exif=exif), max_pixels=LIMIT)

    assert decoded.shape == (3, 32, 16)
    torch.testing.assert_close(decoded[:, 2, 2], levels(255, 255, 255), **JPEG_LEVELS)
    torch.testing.assert_close(decoded[:, 20, 12], levels(0, 0, 0), **JPEG_LEVELS)


def test_an_srgb_profile_changes_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = flat("RGB", (200, 100, 50))

    torch.testing.assert_close(colour_at(encoded(picture, icc_profile=profile)), levels(200, 100, 50), **ONE_LEVEL)


def swapped_profile():
    """An sRGB profile whose red and green primaries are exchanged: (r, g, b) means what (g, r, b) means in sRGB."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"temp", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"temp", b"gXYZ", 1)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_an_embedded_profile_is_applied(mode):
    picture = flat("RGB", (200, 100, 50)).convert(mode)

    converted = colour_at(encoded(picture, icc_profile=swapped_profile()))

    torch.testing.assert_close(converted, levels(100, 200, 50), **JPEG_LEVELS)


@pytest.mark.parametrize("profile", [b"not a profile", b"\0" * 200])
def test_a_damaged_profile_counts_for_nothing(profile):
    data = encoded(flat("RGB", (200, 100, 50)), icc_profile=profile)

    torch.testing.assert_close(colour_at(data), levels(200, 100, 50), **EXACT)


def test_a_profile_of_another_colour_model_counts_for_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    torch.testing.assert_close(colour_at(encoded(flat("L", 77), icc_profile=profile)), levels(77, 77, 77), **EXACT)


def test_the_first_picture_of_a_cameras_multi_picture_jpeg_is_the_photograph():
    photograph, preview = flat("RGB", (200, 0, 0), (16, 16)), flat("RGB", (0, 0, 200), (8, 8))
    data = encoded(photograph, "MPO", save_all=True, append_images=[preview], quality=100)

    torch.testing.assert_close(colour_at(data), levels(200, 0, 0), **JPEG_LEVELS)


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_animations_are_refused(format):
    frames = [flat("RGB", (i, 0, 0)) for i in (0, 100, 200)]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:])

    with pytest.raises(InvalidInput, match="animation"):
        decode(data, max_pixels=LIMIT)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_cut_off_picture_is_refused(format, kept):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), format)

    with pytest.raises(InvalidInput, match="damaged"):
        decode(data[: int(kept * len(data))], max_pixels=LIMIT)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        encoded(Image.new("RGB", (4, 4)), "GIF"),
        encoded(Image.new("RGB", (4, 4)), "TIFF"),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ],
)
def test_other_files_are_refused(data):
    with pytest.raises(InvalidInput, match="PNG, JPEG or WebP"):
        decode(data, max_pixels=LIMIT)


@pytest.mark.parametrize(("width", "height"), [(20_000, 20_000), (10_000, 10_000), (1001, 1000)])
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(width, height):
    """There is no data behind these headers: decoding would fail otherwise."""
    with pytest.raises(InputTooLarge, match="at most 1000000 pixels"):
        decode(png(width, height, 8, 2, []), max_pixels=LIMIT)


@pytest.mark.parametrize("size", [(1, 1), (1, 100), (100, 1)])
def test_a_picture_of_one_row_or_column_is_refused(size):
    with pytest.raises(InvalidInput, match="at least 2 × 2"):
        decode(encoded(Image.new("RGB", size)), max_pixels=LIMIT)


def test_a_text_chunk_that_expands_is_refused():
    bomb = (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50_000_000)))

    with pytest.raises(InvalidInput):
        decode(png(2, 2, 8, 2, [bytes(6)] * 2, bomb), max_pixels=LIMIT)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*" + b"\xff" * 30]
)
def test_damaged_exif_is_no_reason_to_refuse_a_photograph(exif):
    data = encoded(flat("RGB", (200, 0, 0), (16, 16)), "JPEG", quality=100, exif=exif)

    torch.testing.assert_close(colour_at(data), levels(200, 0, 0), **JPEG_LEVELS)


# ---------------------------------------------------------------- as the model sees it


def photograph(height, width):
    """Smooth shades and some noise: resizing has something to average."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    shades = np.stack([rows / height, columns / width, (rows + columns) % 64 / 64], axis=2)
    # Away from black and white, where Pillow clips what bicubic weights overshoot after each of its two passes.
    return Image.fromarray((255 * (0.2 + 0.5 * shades + 0.1 * rng.random(shades.shape))).astype(np.uint8))


PUBLISHED = {
    "bilinear": (MobileNet_V2_Weights.IMAGENET1K_V1, 256),
    "bicubic": (EfficientNet_B0_Weights.IMAGENET1K_V1, 256),
}


@pytest.mark.parametrize("interpolation", PUBLISHED)
@pytest.mark.parametrize(("height", "width"), [(480, 640), (640, 480), (300, 301), (100, 150), (224, 224)])
def test_preprocessing_is_that_of_torchvisions_published_weights(interpolation, height, width):
    weights, resize = PUBLISHED[interpolation]
    picture = photograph(height, width)
    preprocessing = Preprocessing(resize=resize, interpolation=interpolation)

    seen = as_seen_by_model(decode(encoded(picture), max_pixels=LIMIT), (3, 224, 224), preprocessing, max_pixels=LIMIT)

    mean, std = (torch.tensor(values)[:, None, None] for values in (preprocessing.mean, preprocessing.std))
    expected = weights.transforms()(picture) * std + mean
    torch.testing.assert_close(
        seen, expected, **(ONE_LEVEL if interpolation == "bilinear" else {"rtol": 0, "atol": 2 / 255})
    )
    torch.testing.assert_close(normalise(seen, preprocessing), (seen - mean) / std)


def test_nearest_neighbours_are_pillows():
    picture = photograph(50, 70)
    preprocessing = Preprocessing(resize=32, interpolation="nearest")

    seen = as_seen_by_model(decode(encoded(picture), max_pixels=LIMIT), (3, 32, 32), preprocessing, max_pixels=LIMIT)

    resized = functional.pil_to_tensor(picture.resize((44, 32), Image.Resampling.NEAREST)) / 255
    torch.testing.assert_close(seen, functional.center_crop(resized, [32, 32]), **EXACT)


@pytest.mark.parametrize(("height", "width"), [(60, 80), (80, 60), (7, 500), (33, 64)])
@pytest.mark.parametrize("shape", [(3, 32, 32), (3, 32, 64), (3, 64, 32)])
def test_without_a_size_the_picture_just_covers_the_input(height, width, shape):
    white = torch.ones(3, height, width)

    seen = as_seen_by_model(white, shape, Preprocessing(), max_pixels=LIMIT)

    assert seen.shape == shape
    torch.testing.assert_close(seen, torch.ones(shape))  # No black border.


def test_a_size_that_does_not_cover_the_input_is_refused():
    with pytest.raises(InvalidInput, match="200 × 266 pixels, does not cover the model's input of 224 × 224"):
        as_seen_by_model(torch.ones(3, 480, 640), (3, 224, 224), Preprocessing(resize=200), max_pixels=LIMIT)


def test_a_narrow_picture_is_not_blown_up():
    with pytest.raises(InputTooLarge, match="too narrow"):
        as_seen_by_model(torch.ones(3, 2, 500_000), (3, 224, 224), Preprocessing(), max_pixels=LIMIT)


def test_shades_stay_between_black_and_white():
    edges = (torch.arange(64) // 8 % 2).float().expand(3, 64, 64)

    seen = as_seen_by_model(edges, (3, 48, 48), Preprocessing(interpolation="bicubic"), max_pixels=LIMIT)

    assert seen.min() == 0
    assert seen.max() == 1


def test_a_grey_model_sees_luminance():
    picture = levels(255, 0, 0)[:, None, None].expand(3, 4, 4)
    preprocessing = Preprocessing(mean=(0.5,), std=(0.25,))

    torch.testing.assert_close(normalise(picture, preprocessing), torch.full((1, 4, 4), (0.299 - 0.5) / 0.25))


def test_luminance_is_pillows():
    picture = photograph(20, 30)

    expected = functional.pil_to_tensor(picture.convert("L")) / 255

    torch.testing.assert_close(luminance(decode(encoded(picture), max_pixels=LIMIT)), expected, **ONE_LEVEL)
