"""Which of torchvision's families differentiate twice after surgery, and at what price: `make bench`, or
`python -m benchmarks.architectures [--quick]`.

One member of each family, with random weights, goes through the inspection that every upload goes through.
"""

from __future__ import annotations

import argparse

import torch
import torchvision
from torch import nn

from benchmarks._rows import Rows
from jobs.schemas import Capability, Inspection, Manifest
from worker.devices import pick
from worker.models.inspection import inspect

FAMILIES = (
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3",
    "maxvit_t", "mnasnet1_0", "mobilenet_v2", "mobilenet_v3_large", "regnet_x_400mf", "regnet_y_400mf", "resnet18",
    "resnet50", "resnext50_32x4d", "shufflenet_v2_x1_0", "squeezenet1_1", "swin_t", "swin_v2_t", "vgg16", "vit_b_16",
    "wide_resnet50_2",
)  # fmt: skip
QUICK = ("mobilenet_v3_large", "resnet18", "squeezenet1_1")
_TRAINING_HEADS = ("googlenet", "inception_v3")
_MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three families in place of all")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    device = pick(arguments.device)
    with Rows("architectures", device=str(device), threads=torch.get_num_threads()) as rows:
        for name in QUICK if arguments.quick else FAMILIES:
            add(rows, name, inspect(random_model(name).to(device), manifest(name)))


def manifest(name: str) -> Manifest:
    side = 299 if name == "inception_v3" else 224
    return Manifest.model_validate({"architecture": name, "input": {"shape": [3, side, side]}})


def random_model(name: str) -> nn.Module:
    torch.manual_seed(0)
    options = {"aux_logits": False, "init_weights": False} if name in _TRAINING_HEADS else {}
    model: nn.Module = torchvision.models.get_model(name, **options)
    return model.eval().requires_grad_(False)


def add(rows: Rows, name: str, found: Inspection) -> None:
    twice = Capability.SECOND_DERIVATIVE in found.capabilities
    rows.add(metric="twice_differentiable", case=name, value=float(twice), unit="1 = yes")
    rows.add(metric="operators_replaced", case=name, value=sum(found.surgery.values()), unit="operators")
    rows.add(metric="activation_mib", case=name, value=found.activation_bytes / _MIB, unit="MiB")
    rows.add(metric="backward_seconds", case=name, value=found.seconds_backward or 0.0, unit="s")
    if found.seconds_hessian_row is not None and found.seconds_backward is not None:
        ratio = found.seconds_hessian_row / found.seconds_backward
        rows.add(
            metric="hessian_row_seconds", case=name, value=found.seconds_hessian_row, unit="s",
            peer="one backward", ratio=ratio,
        )  # fmt: skip


if __name__ == "__main__":
    main()
