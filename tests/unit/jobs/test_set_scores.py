from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.set_scores import members_of_box, members_of_mask, score, subset_blocks

EXACT = 1e-12
"""Sums of the same float64 numbers in another order."""

FORMULAS = ("paper", "published")


@pytest.fixture
def path() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.normal(size=(6, 300)).astype(np.float32), random.normal(size=300).astype(np.float32)


def subsets_of(members: list[int], *, subsets: int, seed: int) -> np.ndarray:
    blocks = subset_blocks(np.array(sorted(members), dtype=np.int64), subsets=subsets, seed=seed)
    return np.concatenate(list(blocks))


def paper(gradients: np.ndarray, z: np.ndarray) -> float:
    """Eq. 7 of one subset, in plain Python."""
    length = sum(float(value) ** 2 for value in z) ** 0.5
    if length == 0:
        return 0.0
    steps = [abs(sum(float(g) * float(v) for g, v in zip(row, z, strict=True))) for row in gradients[1:]]
    return sum(steps) / len(steps) / length


def published(gradients: np.ndarray, z: np.ndarray) -> float:
    length = float(np.linalg.norm(z.astype(np.float64)))
    mean = np.abs(gradients.astype(np.float64)).mean(axis=0)
    return float(np.linalg.norm(z * mean)) / length if length else 0.0


def test_the_paper_formula_is_the_mean_over_subsets(path):
    gradients, z = path
    members = [5, 3, 200, 77, 8]

    found = score(gradients, z, members, formula="paper", subsets=50, seed=1)

    chosen = sorted(members)
    values = [paper(gradients[:, chosen], z[chosen] * kept) for kept in subsets_of(members, subsets=50, seed=1)]
    assert found.value == pytest.approx(np.mean(values), rel=EXACT)
    assert found.standard_error == pytest.approx(np.std(values, ddof=1) / 50**0.5, rel=EXACT)
    assert found.full_set_value == pytest.approx(paper(gradients[:, chosen], z[chosen]), rel=EXACT)


def test_the_published_formula_is_the_sum_over_subsets(path):
    gradients, z = path
    members = [5, 3, 200, 77, 8]

    found = score(gradients, z, members, formula="published", subsets=30, seed=1)

    chosen = sorted(members)
    values = [published(gradients[:, chosen], z[chosen] * kept) for kept in subsets_of(members, subsets=30, seed=1)]
    assert found.value == pytest.approx(np.sum(values), rel=EXACT)
    assert found.standard_error == pytest.approx(np.std(values, ddof=1) * 30**0.5, rel=EXACT)


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_set_that_equals_the_baseline_scores_nothing(path, formula):
    gradients, z = path

    found = score(gradients, np.zeros_like(z), [1, 2, 3], formula=formula, subsets=10, seed=0)

    assert (found.value, found.standard_error, found.full_set_value) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_single_subset_has_no_standard_error(path, formula):
    assert score(*path, [1, 2, 3], formula=formula, subsets=1, seed=0).standard_error is None


@pytest.mark.parametrize("formula", FORMULAS)
def test_order_and_repetitions_of_members_do_not_matter(path, formula):
    one = score(*path, [9, 4, 7], formula=formula, subsets=20, seed=3)
    other = score(*path, [4, 7, 9, 4], formula=formula, subsets=20, seed=3)

    assert one == other


def test_the_seed_and_the_set_decide_the_subsets(path):
    members = list(range(40))

    again = [score(*path, members, formula="paper", subsets=20, seed=3).value for _ in range(2)]
    other_seed = score(*path, members, formula="paper", subsets=20, seed=4).value

    assert again[0] == again[1] != other_seed
    assert not np.array_equal(
        subsets_of([1, 2, 3, 4, 5], subsets=64, seed=0), subsets_of([1, 2, 3, 4, 6], subsets=64, seed=0)
    )


def test_subsets_do_not_depend_on_the_block_size(monkeypatch):
    members = list(range(130))
    whole = subsets_of(members, subsets=40, seed=0)

    monkeypatch.setattr("jobs.set_scores._BLOCK_CELLS", 7 * 130)

    assert np.array_equal(whole, subsets_of(members, subsets=40, seed=0))


def test_every_feature_is_kept_half_of_the_time():
    kept = subsets_of(list(range(100)), subsets=4000, seed=0)

    # Five standard deviations of a mean of 4,000 fair coins.
    assert np.abs(kept.mean(axis=0) - 0.5).max() < 5 * 0.5 / 4000**0.5
    assert set(np.unique(kept)) == {0.0, 1.0}


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), st.sampled_from(FORMULAS))
def test_scores_scale_with_the_output_and_not_with_the_distance(output, distance, formula):
    random = np.random.default_rng(0)
    gradients, z = random.normal(size=(4, 30)), random.normal(size=30)

    plain = score(gradients, z, range(12), formula=formula, subsets=10, seed=0)
    scaled = score(gradients * output, z * distance, range(12), formula=formula, subsets=10, seed=0)

    assert scaled.value == pytest.approx(plain.value * output, rel=1e-9)


def test_a_memory_map_scores_like_the_array(path, tmp_path):
    gradients, z = path
    np.save(tmp_path / "path_gradients.npy", gradients)

    mapped = np.load(tmp_path / "path_gradients.npy", mmap_mode="r")

    assert score(mapped, z, [1, 5], formula="paper", subsets=9, seed=0) == score(
        gradients, z, [1, 5], formula="paper", subsets=9, seed=0
    )


@pytest.mark.parametrize(
    ("members", "subsets", "words"),
    [([], 1, "at least one member"), ([300], 1, "from 0 to 299"), ([-1], 1, "from 0 to 299"), ([1], 0, "1 subset")],
)
def test_what_is_no_set_is_refused(path, members, subsets, words):
    with pytest.raises(ValueError, match=words):
        score(*path, members, formula="paper", subsets=subsets, seed=0)


def test_a_box_holds_all_channels_of_its_pixels():
    members = members_of_box([1, 0, 3, 1], shape=(2, 2, 4))

    assert members.tolist() == [1, 2, 9, 10]


@pytest.mark.parametrize("box", [[0, 0, 0, 1], [0, 0, 5, 1], [-1, 0, 2, 1], [0, 1, 1, 1]])
def test_an_empty_or_outlying_box_is_refused(box):
    with pytest.raises(ValueError, match="left < right"):
        members_of_box(box, shape=(3, 2, 4))


def test_a_mask_is_of_pixels_or_of_channel_values():
    pixels = np.zeros((2, 4))
    pixels[1, 3] = 1
    values = np.zeros((3, 2, 4))
    values[2, 0, 1] = 1

    assert members_of_mask(pixels, shape=(3, 2, 4)).tolist() == [7, 15, 23]
    assert members_of_mask(values, shape=(3, 2, 4)).tolist() == [17]


@pytest.mark.parametrize(("mask", "words"), [(np.zeros((2, 4)), "at least one pixel"), (np.ones((4, 2)), "shape")])
def test_an_empty_or_misshapen_mask_is_refused(mask, words):
    with pytest.raises(ValueError, match=words):
        members_of_mask(mask, shape=(3, 2, 4))
