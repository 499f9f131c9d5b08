"""Pictures look as they looked when a person last looked at them (`python -m tests.golden.render` makes new ones)."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tests.golden.render import FOLDER, files

# Share of pixels that may differ: FreeType's versions smooth letters differently, anything else covers more.
LETTERS = 0.02
FILES = files()


def test_there_is_a_picture_for_every_file():
    assert {path.name for path in FOLDER.iterdir()} == set(FILES)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_picture_looks_as_it_did(name):
    drawn = np.asarray(Image.open(BytesIO(FILES[name])), dtype=int)
    expected = np.asarray(Image.open(FOLDER / name), dtype=int)

    assert drawn.shape == expected.shape
    assert (np.abs(drawn - expected).max(axis=-1) > 8).mean() < LETTERS
