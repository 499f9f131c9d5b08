"""Colour maps order numbers by lightness, for colour-blind readers too; sets have colours that can be told apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from worker.render import colours

# Machado, Oliveira & Fernandes (2009), severity 1: linear RGB as dichromats see it.
SEEN_BY = {
    "everyone": np.eye(3),
    "protanopes": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopes": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopes": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
# Rounding to 8 bits moves a colour by half a step; eight steps apart every map must have moved on.
STRIDE = 8
# WCAG 2 asks for 4.5 for body text; ranks and scores are written on the palette's colours.
READABLE = 4.5


def linear(rgb):
    share = np.asarray(rgb, float) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def luminance(rgb, reader="everyone"):
    return np.clip(linear(rgb) @ np.array(SEEN_BY[reader]).T, 0, 1) @ LUMINANCE


@pytest.mark.parametrize("reader", SEEN_BY)
def test_the_sequential_map_grows_lighter_for_every_reader(reader):
    lightness = luminance(colours.sequential()[::STRIDE], reader)

    assert (np.diff(lightness) > 0).all()


@pytest.mark.parametrize("reader", SEEN_BY)
def test_the_diverging_map_grows_darker_to_both_sides_for_every_reader(reader):
    lightness = luminance(colours.diverging()[::STRIDE], reader)

    middle = len(lightness) // 2
    assert (np.diff(lightness[: middle + 1]) > 0).all()
    assert (np.diff(lightness[middle:]) < 0).all()


def test_the_diverging_map_is_near_white_at_zero_and_of_two_hues_at_its_ends():
    ends = colours.diverging()[[0, 127, -1]].astype(int)

    assert ends[1].min() > 235
    assert ends[0, 2] > ends[0, 0] + 80
    assert ends[2, 0] > ends[2, 2] + 80


@pytest.mark.parametrize("reader", ["everyone", "protanopes", "deuteranopes"])
def test_any_two_sets_differ_in_colour(reader):
    seen = np.clip(linear(colours.PALETTE) @ np.array(SEEN_BY[reader]).T, 0, 1) ** (1 / 2.2)

    assert min(np.abs(one - other).max() for one, other in combinations(seen, 2)) > 0.1


@pytest.mark.parametrize("rank", range(7))
def test_ranks_can_be_read_on_their_colours(rank):
    background = luminance(colours.of_set(rank))
    ink = luminance(colours.ink_on(colours.of_set(rank)))

    light, dark = max(background, ink), min(background, ink)
    assert (light + 0.05) / (dark + 0.05) > READABLE
