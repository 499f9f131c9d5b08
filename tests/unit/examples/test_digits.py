"""The demo's digits, patches and verdict."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from examples import digits
from examples.decoys import Explained, verdict
from jobs.schemas import Manifest
from worker.models import load


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def few(generator):
    _, test = digits.load(generator=generator)
    return digits.Digits(test.pixels[:12], test.labels[:12], test.patches[:12], test.said[:12])


def test_training_and_test_pictures_are_all_the_digits(generator):
    training, test = digits.load(generator=generator)

    assert len(training) + len(test) == 1797
    assert 0 <= training.pixels.min() < training.pixels.max() < 1.001 * digits.INK


def test_a_patch_has_the_grey_of_what_it_says_and_lies_in_one_corner(few, generator):
    said = torch.arange(12) % digits.CLASSES

    patched = digits.with_patches(few, said, generator=generator)

    for pixels, patch, bare, label in zip(patched.pixels, patched.patches, few.pixels, said, strict=True):
        assert patch.sum() == digits.PATCH**2
        assert patch[[0, 0, -1, -1], [0, -1, 0, -1]].sum() == 1
        torch.testing.assert_close(
            pixels[0][patch].unique(), torch.tensor([(label + 1) / 10]).float(), atol=1 / 255, rtol=0
        )
        torch.testing.assert_close(pixels[0][~patch], bare[0][~patch], atol=1 / 255, rtol=0)


def test_the_png_holds_the_numbers_that_the_network_was_tested_on(few, generator):
    patched = digits.with_patches(few, few.labels, generator=generator)

    read = np.asarray(Image.open(BytesIO(patched.png(3)))) / 255

    np.testing.assert_allclose(read, patched.pixels[3, 0].numpy(), atol=1e-6)


def test_the_service_rebuilds_the_network_from_its_file_and_manifest(few, generator, tmp_path):
    network = digits.train(few, generator=generator)
    digits.save(network, tmp_path / "network.safetensors")

    manifest = Manifest.model_validate(digits.manifest("test"))
    rebuilt = load(manifest, tmp_path / "network.safetensors", device=torch.device("cpu"))

    torch.testing.assert_close(rebuilt(few.pixels), network(few.pixels))


def test_the_share_on_a_patch_counts_sizes_not_signs():
    attribution, patch = np.zeros((1, 32, 32)), np.zeros((32, 32), bool)
    attribution[0, 0, :4] = [3, -3, 1, -1]
    patch[0, :2] = True

    assert digits.share_on_patch(attribution, patch) == 0.75
    assert np.isnan(digits.share_on_patch(0 * attribution, patch))


def shares(classifier, values):
    return [Explained(classifier, "m", picture, 0, share, Path()) for picture, share in enumerate(values)]


@pytest.mark.parametrize(
    ("clean", "decoyed", "caught"),
    [
        ([0.01, 0.02, 0.03], [0.50, 0.55, 0.60], True),
        ([0.01, 0.02, 0.03], [0.01, 0.02, 0.03], False),
        ([0.50, 0.55, 0.60], [0.01, 0.02, 0.03], False),
        ([0.01, 0.02, 0.03], [0.02, 0.90, 0.03], False),  # one picture makes no rule
        ([0.001, 0.001, 0.001], [0.010, 0.011, 0.012], False),  # more than the twin, less than by area alone
    ],
)
def test_the_verdict_follows_from_the_numbers(clean, decoyed, caught):
    found = verdict("m", shares("clean", clean) + shares("decoyed", decoyed), chance=0.035)

    assert found.caught is caught
    assert ("NOT" in found.sentence) is not caught
