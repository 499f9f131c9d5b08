"""The models that a runner keeps loaded: as many as fit a budget of bytes, the least recently used out first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import nn

from jobs.schemas import Model

Key = tuple[str, str]


class ModelCache:
    """Loaded modules by what determines them: the weights' digest and the manifest.

    Args:
        budget_bytes: Of parameters and buffers together. A model above it is loaded for its job and not kept.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._modules: OrderedDict[Key, tuple[nn.Module, int]] = OrderedDict()

    def get(self, model: Model, load: Callable[[Model], nn.Module]) -> nn.Module:
        """Return the module of `model`, from memory or from `load`."""
        key = (model.weights_sha256 or model.sha256, model.manifest.model_dump_json())
        if key not in self._modules:
            # Room is made before loading: both at once might not fit the device.
            self._shrink_to(self._budget - model.size_bytes)
            module = load(model)
            self._modules[key] = (module, _bytes(module))
        self._modules.move_to_end(key)
        module, _ = self._modules[key]
        self._shrink_to(self._budget)
        return module

    @property
    def used_bytes(self) -> int:
        return sum(size for _, size in self._modules.values())

    def _shrink_to(self, size: int) -> None:
        while self._modules and self.used_bytes > size:
            self._modules.popitem(last=False)


def _bytes(module: nn.Module) -> int:
    tensors = (*module.parameters(), *module.buffers())
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
