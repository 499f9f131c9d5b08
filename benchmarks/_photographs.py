"""A pretrained MobileNetV2 and photographs, where a developer has them beside the checkout; absent otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from benchmarks._rows import ROOT
from jobs.schemas import Target
from worker.methods._games import Game
from worker.methods._masking import Masking
from worker.methods._players import grid_cells
from worker.methods._values import value_function

ASSETS = ROOT.parent / "shared" / "assets"
WEIGHTS = ASSETS / "weights" / "imagenet_mobilenet_v2.safetensors"
IMAGES = ASSETS / "images" / "imagenet"


def present() -> bool:
    """Whether weights and photographs are there."""
    return WEIGHTS.is_file() and IMAGES.is_dir()


def network() -> nn.Module:
    model: nn.Module = torchvision.models.mobilenet_v2()
    model.load_state_dict(load_file(WEIGHTS))
    return model.eval().requires_grad_(False)


def folded_network() -> nn.Module:
    """Return the same network with batch norms folded into convolutions, channels last: a third of the time.

    The logits are equal to 1e-4; layers have other names.
    """
    folded: nn.Module = fuse(network())
    return folded.to(memory_format=torch.channels_last).eval().requires_grad_(False)


def names() -> list[str]:
    """List the photographs, in alphabetical order."""
    return sorted(json.loads((IMAGES / "labels.json").read_text()))


def game(model: nn.Module, name: str, *, cells: int = 16) -> Game:
    """Play for the log-odds of the photograph's class with `cells` × `cells` cells, masked by zero (mean grey)."""
    label = json.loads((IMAGES / "labels.json").read_text())[name]["index"]
    masking = Masking(
        input=_input(IMAGES / name), baseline=torch.zeros(()), labels=grid_cells(224, 224, rows=cells, columns=cells)
    )
    return Game(model, masking, value_function("log-odds", Target(index=label)), chunk=32)


def _input(path: Path) -> Tensor:
    with safe_open(WEIGHTS, "pt") as weights:
        metadata = weights.metadata()
    mean, std = (torch.tensor(json.loads(metadata[key]))[:, None, None] for key in ("mean", "std"))
    transforms = torchvision.transforms.functional
    picture = transforms.center_crop(transforms.resize(Image.open(path).convert("RGB"), 256), [224, 224])
    return (torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1) / 255 - mean) / std
