"""Words and numbers for pictures: one bundled font, text that fits its place, numbers a person reads at a glance."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from functools import cache, lru_cache
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from worker.render.colours import Colour

_FONT_FILE = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_NOWHERE = "\uffff"  # a code point that no font draws
_PLACEHOLDER = "▯"
_MOST_CHARACTERS = 400  # More fit into no picture.

Font = ImageFont.FreeTypeFont


@cache
def font(size: int) -> Font:
    """The bundled font at `size` pixels; its glyphs are equal on every machine."""
    return ImageFont.truetype(BytesIO(_font_bytes()), size, layout_engine=ImageFont.Layout.BASIC)


@cache
def _font_bytes() -> bytes:
    return _FONT_FILE.read_bytes()


@lru_cache(maxsize=2048)
def width(text: str, size: int) -> int:
    """Pixels that `text` takes from left to right."""
    return round(font(size).getlength(text))


def write(image: Image.Image, place: tuple[int, int], text: str, size: int, colour: Colour) -> None:
    """Write `text` into an RGB image with its top left corner at `place`."""
    stamp = _stamp(text, size)
    image.paste(colour, (place[0], place[1], place[0] + stamp.width, place[1] + stamp.height), stamp)


@lru_cache(maxsize=256)
def _stamp(text: str, size: int) -> Image.Image:
    stamp = Image.new("L", (max(1, width(text, size) + 2), round(1.3 * size)))
    ImageDraw.Draw(stamp).text((0, 0), text, 255, font(size))
    return stamp


def fit(text: str, size: int, room: int) -> str:
    """Make `text` drawable in one line and shorten it with an ellipsis to `room` pixels."""
    # Cut before the cache, which would keep a stranger's megabytes as its key.
    return _fit(text[:_MOST_CHARACTERS], size, room, len(text) > _MOST_CHARACTERS)


@lru_cache(maxsize=512)
def _fit(text: str, size: int, room: int, is_cut: bool) -> str:
    text = drawable(text)
    if not is_cut and width(text, size) <= room:
        return text
    lengths = range(len(text) + 1)
    fitting = bisect_right(lengths, room, key=lambda length: width(_shortened(text, length), size))
    return _shortened(text, max(0, fitting - 1))


def fit_both_ends(text: str, size: int, room: int) -> str:
    """Shorten like `fit`, but in the middle: names that begin alike often differ in their last words."""
    text = drawable(text[:_MOST_CHARACTERS])
    if width(text, size) <= room:
        return text
    kept = range(2, len(text))
    fitting = bisect_right(kept, room, key=lambda length: width(_without_middle(text, length), size))
    return _without_middle(text, max(2, 1 + fitting))


def _without_middle(text: str, length: int) -> str:
    last = length // 2
    return f"{text[: length - last].rstrip()}…{text[-last:].lstrip()}"


def _shortened(text: str, length: int) -> str:
    return text[:length].rstrip() + "…"


@lru_cache(maxsize=256)
def wrap(text: str, size: int, room: int) -> tuple[str, ...]:
    """Break text between words into lines of at most `room` pixels."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if width(drawable(longer), size) <= room or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return tuple(lines)


def drawable(text: str) -> str:
    """Put text on one line and mark what the font lacks: `é` stays, CJK becomes boxes (report.html keeps the name)."""
    line = " ".join(unicodedata.normalize("NFC", text).split())
    return "".join(_mark(character) for character in line if unicodedata.category(character) not in ("Cc", "Cf"))


@lru_cache(maxsize=4096)
def _mark(character: str) -> str:
    return character if character == " " or _glyph(character) != _glyph(_NOWHERE) else _PLACEHOLDER


def _glyph(character: str) -> bytes:
    return bytes(font(12).getmask(character))


def number(value: float) -> str:
    """Three significant digits; powers of ten from 100,000 on and below a thousandth: `-3.25×10⁻⁷`."""
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.2e}".split("e")
    if -4 < int(exponent) < 5:
        return _plain(value, decimals=max(0, 2 - int(exponent))).replace("-", "−")
    power = str(int(exponent)).translate(_SUPERSCRIPTS)
    return f"{_plain(float(mantissa), decimals=2)}×10{power}".replace("-", "−")


def with_error(value: float, error: float | None) -> str:
    """A number and its standard error to the same decimals, the error with two digits: `1.0712 ± 0.0043`."""
    if not error:
        return number(value) if error is None else f"{number(value)} ± 0"
    exponent = _exponent(max(abs(value), error))
    power = 0 if -4 < exponent < 5 else exponent
    decimals = max(0, 1 - _exponent(error) + power)
    text = f"{value / 10.0**power:.{decimals}f} ± {error / 10.0**power:.{decimals}f}".replace("-", "−")
    return f"({text})×10{str(power).translate(_SUPERSCRIPTS)}" if power else text


def _exponent(value: float) -> int:
    return int(f"{value:e}".split("e")[1])


def _plain(value: float, *, decimals: int) -> str:
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def amount(value: float) -> str:
    """How many, where it can be an average: `1,234`, `30.5`."""
    return f"{round(value):,}" if value == round(value) else number(value)


def count(value: int, noun: str) -> str:
    """`1 pixel`, `2,000 pixels`."""
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"
