"""One scale for all numbers of a map."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.render import colours
from worker.render.scales import per_pixel, scale_of


def test_a_pixel_is_the_signed_sum_of_its_channels():
    attribution = np.array([[[1.0, -2.0]], [[0.5, 2.0]], [[0.25, -1.0]]])

    np.testing.assert_array_equal(per_pixel(attribution), [[1.75, -1.0]])


def test_zero_is_the_middle_of_a_signed_map_and_the_start_of_an_unsigned_one():
    signed, unsigned = scale_of(np.array([-1.0, 3.0])), scale_of(np.array([0.0, 3.0]))

    assert signed.position(np.array([-3.0, 0.0, 3.0])).tolist() == [0, 0.5, 1]
    assert unsigned.position(np.array([0.0, 3.0])).tolist() == [0, 1]


def test_one_extreme_pixel_does_not_darken_the_rest():
    values = np.append(np.linspace(0.1, 1, 1000), 1000.0)

    scale = scale_of(values)

    assert scale.cap < 1.01
    assert scale.saturates
    assert scale.largest == 1000


def test_nothing_is_cut_off_where_the_largest_is_not_extreme():
    scale = scale_of(np.linspace(0, 1, 100))

    assert scale.cap == 1
    assert not scale.saturates


def test_a_map_of_zeros_has_the_colour_of_zero():
    values = np.zeros(4)

    np.testing.assert_array_equal(scale_of(values).colour(values), colours.sequential()[[0, 0, 0, 0]])


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(wrong):
    with pytest.raises(ValueError, match="finite"):
        scale_of(np.array([1.0, wrong]))


@given(st.floats(1e-30, 1e30))
def test_the_unit_does_not_change_the_picture(factor):
    values = np.array([[-1.0, 0.25], [0.5, 2.0]])

    np.testing.assert_array_equal(scale_of(factor * values).colour(factor * values), scale_of(values).colour(values))
