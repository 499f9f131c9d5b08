"""Layers that work on one feature at a time and that PyTorch lacks, or has in a form without second derivatives."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Affine(nn.Module):
    """A factor and a shift for each feature, such as the standardisation that a network begins with."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(features))
        self.bias = nn.Parameter(torch.empty(features))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight + self.bias


class LeakyRectifier(nn.Module):
    """`nn.LeakyReLU` by way of a rectifier, so that surgery finds one to smooth."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, z: Tensor) -> Tensor:
        return self.slope * z + (1 - self.slope) * torch.relu(z)

    def extra_repr(self) -> str:
        return f"{self.slope}"
