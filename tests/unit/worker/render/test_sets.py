"""sets.png: every set can be found, told from the others, and read."""

from __future__ import annotations

from io import BytesIO
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jobs.schemas import Interaction
from tests.explanations import picture, scattered_sets
from worker.render import colours
from worker.render.density import dense_area, density
from worker.render.labels import HEIGHT, arrange
from worker.render.sets import MOST_SETS, member_pixels, sets, strongest


def drawn(explanation, pixels):
    return np.asarray(Image.open(BytesIO(sets(explanation, pixels))))


def test_a_pixel_belongs_to_a_set_that_holds_any_of_its_channels():
    interaction = Interaction(members=(0, 5, 11), order=3, strength=1.0)

    assert member_pixels(interaction, (3, 2, 2)).tolist() == [[True, True], [False, True]]


@pytest.mark.parametrize("count", [1, 5, 7])
def test_every_set_is_outlined_in_its_own_colour(count):
    image = drawn(scattered_sets(sets=count), picture())[70:550]  # the picture, without the table below

    for rank in range(count):
        assert (image == colours.of_set(rank)).all(axis=-1).sum() > 40


def test_two_equal_sets_stay_visible_both():
    explanation = scattered_sets(sets=1)
    twin = explanation.interactions[0].model_copy(update={"strength": 0.5})
    both = explanation.model_copy(update={"interactions": (*explanation.interactions, twin)})

    image = drawn(both, picture())[70:550]

    for rank in range(2):
        assert (image == colours.of_set(rank)).all(axis=-1).sum() > 40


def test_a_set_of_one_pixel_is_drawn():
    explanation = scattered_sets(sets=1, size=1)

    assert (drawn(explanation, picture()) == colours.of_set(0)).all(axis=-1).sum() > 40


def test_sets_are_drawn_without_a_photograph():
    assert drawn(scattered_sets(), None).shape[2] == 3


def test_only_the_strongest_are_drawn_and_equal_ones_keep_their_order():
    interactions = [Interaction(members=(0, i), order=2, strength=s) for i, s in enumerate([1, -3, 1, *[0.5] * 30])]

    kept = strongest(interactions)

    assert len(kept) == MOST_SETS
    assert [interaction.members[1] for interaction in kept[:4]] == [1, 0, 2, 3]


@given(st.lists(st.tuples(st.integers(0, 479), st.integers(0, 479)), min_size=1, max_size=MOST_SETS))
def test_labels_never_cover_each_other(anchors):
    labels = arrange(np.zeros((32, 32), int), anchors, [0.123] * len(anchors), 15)

    for one, other in combinations(labels, 2):
        apart = abs(one.top - other.top) >= HEIGHT
        beside = one.left + one.width <= other.left or other.left + other.width <= one.left
        assert apart or beside


@given(st.sets(st.integers(0, 32 * 32 - 1), min_size=1, max_size=60))
def test_the_line_encloses_the_densest_member(members):
    mask = np.zeros((32, 32), bool)
    mask.reshape(-1)[list(members)] = True

    values = density(mask)

    assert dense_area(values, mask, 1)[np.unravel_index((values * mask).argmax(), mask.shape)]
