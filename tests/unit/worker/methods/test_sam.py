"""Segment Anything for real, with a tiny model of random weights: its masks mean nothing, but they are masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.networks import picture, subject
from worker.methods import _sam
from worker.methods.h_sets import HSetsParams, explain

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> str:
    from transformers import (
        SamConfig,
        SamImageProcessor,
        SamMaskDecoderConfig,
        SamModel,
        SamPromptEncoderConfig,
        SamVisionConfig,
    )

    torch.manual_seed(0)
    vision = SamVisionConfig(
        hidden_size=16, output_channels=16, num_hidden_layers=1, num_attention_heads=2, image_size=64, patch_size=8,
        mlp_dim=32, global_attn_indexes=[0], window_size=4, num_pos_feats=8,
    )  # fmt: skip
    prompt = SamPromptEncoderConfig(hidden_size=16, image_size=64, patch_size=8, mask_input_channels=4)
    decoder = SamMaskDecoderConfig(
        hidden_size=16, mlp_dim=32, num_hidden_layers=1, num_attention_heads=2, iou_head_hidden_dim=16
    )
    config = SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)
    folder = tmp_path_factory.mktemp("sam")
    SamModel(config).save_pretrained(folder)
    processor = SamImageProcessor(
        size={"longest_edge": 64}, pad_size={"height": 64, "width": 64}, mask_size={"longest_edge": 16}
    )
    processor.save_pretrained(folder)
    return str(folder)


def masks(source: str, **changes) -> np.ndarray:
    given = {"points_per_side": 3, "least_quality": -1e9, "least_stability": 0.0, "least_area": 0}
    return _sam.masks(picture(24).numpy(), source, device=torch.device("cpu"), **{**given, **changes})


def test_masks_have_the_pictures_shape_and_differ(source):
    found = masks(source)

    assert found.dtype == bool
    assert found.shape[1:] == (24, 24)
    assert 0 < len(found) <= 27
    assert found.any(axis=(1, 2)).all()
    overlap = (found[:, None] & found[None]).sum(axis=(2, 3)) / (found[:, None] | found[None]).sum(axis=(2, 3))
    # Boxes, not masks, are compared: equal masks have equal boxes.
    assert (overlap - np.eye(len(found))).max() < 1


def test_masks_are_the_same_every_time(source):
    np.testing.assert_array_equal(masks(source), masks(source))


@pytest.mark.parametrize("changes", [{"least_quality": 1e9}, {"least_stability": 1.0}])
def test_doubtful_masks_are_dropped(source, changes):
    assert masks(source, **changes).shape == (0, 24, 24)


def test_specks_and_pinholes_are_removed():
    mask = np.zeros((1, 12, 12), dtype=bool)
    mask[0, 1:8, 1:8] = True
    mask[0, 4, 4] = False
    mask[0, 10, 10] = True

    tidy = _sam._tidied(mask, least_area=3)

    assert tidy[0, 4, 4]
    assert not tidy[0, 10, 10]
    assert tidy.sum() == 49
    assert len(_sam._tidied(mask, least_area=60)) == 0


def test_points_are_the_centres_of_a_grid():
    assert _sam._grid(2, 8, 4).tolist() == [[1, 2], [3, 2], [1, 6], [3, 6]]


def test_sam_is_a_prior_of_h_sets(source):
    done = []
    given = subject(
        size=16, resources={"sam_model": source}, report=lambda stage, count, total: done.append((stage, count))
    )
    params = {"prior": "sam", "sam_points": 2, "sam_quality": 0, "sam_stability": 0, "sam_area": 0, "max_rows": 1}

    answer = explain(given, HSetsParams.model_validate(params))

    assert answer.interactions
    assert answer.details["regions"] >= 1
    assert ("regions", 0) in done


def test_a_picture_without_masks_is_one_region_and_says_so(source):
    given = subject(size=16, resources={"sam_model": source})

    answer = explain(given, HSetsParams(prior="sam", sam_points=2, sam_quality=1, max_rows=1))

    assert answer.details["regions"] == 1
    assert any("found no mask" in note for note in answer.notes)
