"""One's own photograph: manifests from what torchvision publishes, and from a file's metadata."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from examples.photograph import Unusable, _torchvision_manifest, find_model
from jobs.schemas import Manifest

ARCHITECTURES = [
    name for name in torchvision.models.list_models(module=torchvision.models) if not name.startswith("quantized")
]


def options(tmp_path, **given):
    return Namespace(**{"architecture": "mobilenet_v2", "weights": "DEFAULT", "classes": None, "out": tmp_path} | given)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_published_model_has_a_manifest_that_the_service_takes(architecture):
    weights = torchvision.models.get_model_weights(architecture)["DEFAULT"]

    manifest = Manifest.model_validate(_torchvision_manifest(architecture, weights, None))

    assert manifest.input.shape[1] >= weights.meta["min_size"][0]
    assert len(manifest.classes) == 1000
    assert manifest.preprocessing.resize >= manifest.input.shape[1]


def test_mean_and_deviation_come_from_the_metadata(tmp_path):
    metadata = {"mean": "[0.5, 0.4, 0.3]", "std": "0.2, 0.25, 0.3"}
    save_file({"x": torch.zeros(1)}, tmp_path / "net.safetensors", metadata)

    manifest = find_model(options(tmp_path, weights=str(tmp_path / "net.safetensors"))).manifest

    assert manifest["preprocessing"] == {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3]}


def test_as_many_classes_as_names(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "net.safetensors")
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    given = options(tmp_path, weights=str(tmp_path / "net.safetensors"), classes=tmp_path / "names.txt")

    manifest = Manifest.model_validate(find_model(given).manifest)

    assert manifest.classes == ("cat", "dog")
    assert manifest.architecture.arguments == {"num_classes": 2}


def test_a_download_that_fails_names_the_way_without_one(tmp_path, monkeypatch):
    def unreachable(*args, **kwargs):
        raise OSError("no route")

    monkeypatch.setattr(torchvision.models.MobileNet_V2_Weights, "get_state_dict", unreachable)

    with pytest.raises(Unusable, match=r"--weights PATH\.safetensors"):
        find_model(options(tmp_path))


def test_a_file_that_is_no_safetensors_is_named(tmp_path):
    Path(tmp_path / "net.safetensors").write_bytes(b"nonsense")

    with pytest.raises(Unusable, match="no safetensors file"):
        find_model(options(tmp_path, weights=str(tmp_path / "net.safetensors")))
