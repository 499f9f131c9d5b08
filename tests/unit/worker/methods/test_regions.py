from __future__ import annotations

import numpy as np
import pytest

from worker.methods import _regions as regions


@pytest.fixture
def halves() -> np.ndarray:
    """A picture, left half red, right half blue."""
    pixels = np.zeros((24, 24, 3))
    pixels[:, :12, 0] = 1
    pixels[:, 12:, 2] = 1
    return pixels


def check_consecutive(labels: np.ndarray) -> None:
    assert labels.dtype == np.int32
    assert np.unique(labels).tolist() == list(range(labels.max() + 1))


@pytest.mark.parametrize(
    "segment",
    [
        lambda pixels: regions.quickshift(pixels, kernel=2, max_distance=200, ratio=0.2),
        lambda pixels: regions.slic(pixels, segments=6),
    ],
)
def test_a_segment_stays_on_its_side_of_an_edge(segment, halves):
    labels = segment(halves)

    check_consecutive(labels)
    assert not set(labels[:, :12].flat) & set(labels[:, 12:].flat)
    np.testing.assert_array_equal(labels, segment(halves))


@pytest.mark.parametrize(("height", "width", "cells", "expected"), [(8, 8, 4, 16), (7, 9, 2, 4), (3, 3, 7, 9)])
def test_a_grid_has_equal_cells(height, width, cells, expected):
    labels = regions.grid(height, width, cells=cells)

    check_consecutive(labels)
    assert labels.max() + 1 == expected
    for line in (labels[0], labels[:, 0]):
        sides = np.unique(line, return_counts=True)[1]
        assert sides.max() - sides.min() <= 1


def test_the_whole_picture_is_one_region():
    assert not regions.whole(3, 4).any()


def test_a_later_box_covers_an_earlier_one():
    labels = regions.boxes([(0, 0, 2, 2), (1, 1, 3, 2)], height=3, width=4)

    assert labels.tolist() == [[0, 0, -1, -1], [0, 1, 1, -1], [-1, -1, -1, -1]]


def test_a_box_outside_of_the_picture_is_refused():
    with pytest.raises(ValueError, match="right <= 4"):
        regions.boxes([(0, 0, 5, 1)], height=3, width=4)


def test_given_labels_are_renumbered():
    assert regions.label_map([[7, -1], [7, 3]], height=2, width=2).tolist() == [[1, -1], [1, 0]]


@pytest.mark.parametrize("labels", [[[1, 2]], [[1], [2]], [[1, 2], [1]]])
def test_labels_of_another_shape_are_refused(labels):
    with pytest.raises(ValueError, match="expected 2 rows of 2 labels"):
        regions.label_map(labels, height=2, width=2)


def test_small_masks_lie_over_large_ones_and_the_rest_is_a_region():
    masks = np.zeros((2, 2, 3), dtype=bool)
    masks[0, 0, 0] = True
    masks[1, 0, :2] = True

    assert regions.painted(masks, height=2, width=3).tolist() == [[2, 1, 0], [0, 0, 0]]


def test_no_mask_leaves_one_region():
    assert not regions.painted(np.zeros((0, 2, 3), dtype=bool), height=2, width=3).any()
