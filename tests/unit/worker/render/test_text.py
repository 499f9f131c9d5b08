"""Numbers and names in pictures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.render.text import count, drawable, fit, number, width, with_error, wrap


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (12.345, "12.3"),
        (-1.5, "−1.5"),
        (1234.5, "1234"),
        (0.0012, "0.0012"),
        (3.24e-6, "3.24×10⁻⁶"),
        (123_456.0, "1.23×10⁵"),
        (-1e-12, "−1×10⁻¹²"),
    ],
)
def test_numbers_have_three_digits(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1.0728, 0.00429, "1.0728 ± 0.0043"),
        (3.237e-6, 1.3e-8, "(3.237 ± 0.013)×10⁻⁶"),
        (0.5, None, "0.5"),
        (0.5, 0.0, "0.5 ± 0"),
        (2.0, 30.0, "2 ± 30"),
        (-0.5, 0.1, "−0.50 ± 0.10"),
    ],
)
def test_a_number_ends_where_its_error_does(value, error, text):
    assert with_error(value, error) == text


@given(st.text(max_size=60), st.integers(40, 300))
def test_fitted_text_fits(text, room):
    assert width(fit(text, 13, room), 13) <= room


def test_long_names_end_in_an_ellipsis():
    assert fit("a very long class name " * 9, 13, 120).endswith("…")


def test_shortened_text_takes_all_the_room_that_it_can():
    text = "a very long class name " * 9
    shortened = fit(text, 13, 120)

    assert width(f"{text[: len(shortened)]}…", 13) > 120


def test_a_huge_name_is_measured_a_few_times_only():
    width.cache_clear()

    assert fit("W" * 200_000, 13, 120).endswith("W…")
    assert width.cache_info().misses < 20


def test_accents_greek_and_cyrillic_are_drawn_and_what_the_font_lacks_is_marked():
    assert drawable("Épagneul αβγ Жук") == "Épagneul αβγ Жук"
    assert drawable("猫 cat") == "▯ cat"


def test_line_breaks_and_direction_marks_do_not_reach_the_picture():
    assert drawable("a\n\tb\u202e c") == "a b c"


@given(st.lists(st.text("abc", min_size=1, max_size=12), max_size=20))
def test_wrapping_keeps_every_word(words):
    lines = wrap(" ".join(words), 13, 90)

    assert " ".join(lines).split() == words


def test_one_is_singular():
    assert (count(1, "pixel"), count(2000, "pixel")) == ("1 pixel", "2,000 pixels")
