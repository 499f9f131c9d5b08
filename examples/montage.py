"""One picture of the whole story, for the README: inputs, and what both networks look at."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageEnhance

from examples.digits import Digits
from worker.render.colours import INK, MUTED, PAPER
from worker.render.sheet import DISPLAY_SIDE, MARGIN
from worker.render.text import fit, write

if TYPE_CHECKING:
    from examples.decoys import Explained

CELL = 236
_GAP = 12
_CAPTION = 44
_BRIGHTER = 3.0
# What the cells cut out: the picture under the heading's two lines.
_LEFT, _TOP = MARGIN, MARGIN + 58
_COLUMNS = (
    ("clean", "h-sets"),
    ("clean", "integrated-gradients"),
    ("decoyed", "h-sets"),
    ("decoyed", "integrated-gradients"),
)
_ARTIFACTS = {"h-sets": "sets.png", "integrated-gradients": "saliency.png"}


def montage(path: Path, data: Digits, pictures: Sequence[int], explained: Sequence[Explained]) -> None:
    """Save a row a picture: the input, then the map of every method for both networks."""
    width = _GAP + (len(_COLUMNS) + 1) * (CELL + _GAP)
    sheet = Image.new("RGB", (width, _GAP + len(pictures) * (CELL + _CAPTION + _GAP)), PAPER)
    for row, picture in enumerate(pictures):
        top = _GAP + row * (CELL + _CAPTION + _GAP)
        _put(
            sheet,
            _GAP,
            top,
            _input(data, picture),
            f"a {int(data.labels[picture])}, {_BRIGHTER:.0f} times as bright",
            "",
        )
        for column, (classifier, method) in enumerate(_COLUMNS, start=1):
            each = next(e for e in explained if (e.classifier, e.method, e.picture) == (classifier, method, picture))
            title = f"{classifier} network says {each.predicted}"
            _put(sheet, _GAP + column * (CELL + _GAP), top, _cut(each), title, f"{method}: {each.share:.0%} on patch")
    sheet.save(path, optimize=True)


def _input(data: Digits, picture: int) -> Image.Image:
    image = Image.open(BytesIO(data.png(picture))).convert("RGB")
    return ImageEnhance.Brightness(image).enhance(_BRIGHTER).resize((CELL, CELL), Image.Resampling.NEAREST)


def _cut(explained: Explained) -> Image.Image:
    picture = Image.open(explained.folder / _ARTIFACTS[explained.method]).convert("RGB")
    box = (_LEFT, _TOP, _LEFT + DISPLAY_SIDE, _TOP + DISPLAY_SIDE)
    return picture.crop(box).resize((CELL, CELL), Image.Resampling.LANCZOS)


def _put(sheet: Image.Image, left: int, top: int, picture: Image.Image, title: str, caption: str) -> None:
    sheet.paste(picture, (left, top))
    write(sheet, (left, top + CELL + 4), fit(title, 15, CELL), 15, INK)
    write(sheet, (left, top + CELL + 24), fit(caption, 13, CELL), 13, MUTED)
