"""The PNG writer: Pillow reads what it writes."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from worker.render.png import encode

pictures = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


@given(pictures)
def test_what_is_written_is_read_back(picture):
    read = Image.open(BytesIO(encode(picture)))

    assert read.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(read), picture)


@pytest.mark.parametrize("wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8)])
def test_anything_but_eight_bit_rgb_is_refused(wrong):
    with pytest.raises(ValueError, match="expected uint8"):
        encode(wrong)
