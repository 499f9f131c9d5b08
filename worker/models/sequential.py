"""The project's own architectures: a list of layers, checked one by one, → `nn.Sequential`.

The shape of the data is followed from layer to layer, so that a fault is named where it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import nn

from jobs.errors import UnsupportedModel
from jobs.schemas import Layer

Shape = tuple[int, ...]
"""Of one sample: `(features,)` or `(channels, height, width)`."""

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "hardswish": nn.Hardswish,
    "hardsigmoid": nn.Hardsigmoid,
    "dropout": nn.Dropout,
}

# Fields that a layer type must and may have; every other one is refused, as it would have no effect.
_NEEDS = {
    "linear": {"outputs"},
    "conv2d": {"outputs", "kernel"},
    "max-pool": {"kernel"},
    "average-pool": {"kernel"},
}
_TAKES = {
    "linear": {"inputs", "outputs", "bias"},
    "conv2d": {"inputs", "outputs", "kernel", "stride", "padding", "bias"},
    "batch-norm": {"inputs"},
    "max-pool": {"kernel", "stride", "padding"},
    "average-pool": {"kernel", "stride", "padding"},
}


def build_sequential(layers: Sequence[Layer], shape: Shape) -> nn.Sequential:
    """Build the layers for samples of `shape`.

    Raises:
        UnsupportedModel: A layer does not fit what comes in, or the last one does not give a vector.
    """
    modules = []
    for index, layer in enumerate(layers):
        try:
            module, shape = _build_layer(layer, shape)
        except (ValueError, RuntimeError) as error:  # The second where a size exceeds 64 bits.
            raise UnsupportedModel(f"layer {index} ({layer.type}): {error}") from error
        modules.append(module)
    if len(shape) != 1:
        raise UnsupportedModel(
            f"layer {len(layers) - 1} ({layers[-1].type}): expected (outputs,) after the last layer, got {shape}; "
            "add a flatten layer"
        )
    return nn.Sequential(*modules)


def _build_layer(layer: Layer, shape: Shape) -> tuple[nn.Module, Shape]:
    _check_fields(layer)
    match layer.type:
        case "linear":
            return _linear(layer, shape)
        case "conv2d":
            return _convolution(layer, shape)
        case "batch-norm":
            _check_inputs(layer, shape)
            return (nn.BatchNorm1d if len(shape) == 1 else nn.BatchNorm2d)(shape[0]), shape
        case "max-pool" | "average-pool":
            return _pool(layer, shape)
        case "global-average-pool":
            _check_image(shape)
            return nn.AdaptiveAvgPool2d(1), (shape[0], 1, 1)
        case "flatten":
            return nn.Flatten(), (math.prod(shape),)
        case activation:
            return _ACTIVATIONS[activation](), shape


def _check_fields(layer: Layer) -> None:
    # Not model_fields_set: a layer that was stored and read again has every field set, most to their defaults.
    fields = Layer.model_fields.items()
    given = {name for name, field in fields if name != "type" and getattr(layer, name) != field.default}
    if superfluous := sorted(given - _TAKES.get(layer.type, set())):
        raise ValueError(f"expected no {superfluous[0]}, got {getattr(layer, superfluous[0])}")
    if absent := sorted(_NEEDS.get(layer.type, set()) - given):
        raise ValueError(f"expected {absent[0]}, got none")


def _linear(layer: Layer, shape: Shape) -> tuple[nn.Module, Shape]:
    if len(shape) != 1:
        raise ValueError(f"expected a vector coming in, got {shape}; put a flatten layer before it")
    _check_inputs(layer, shape)
    outputs = _required(layer.outputs)
    return nn.Linear(shape[0], outputs, bias=layer.bias), (outputs,)


def _convolution(layer: Layer, shape: Shape) -> tuple[nn.Module, Shape]:
    _check_image(shape)
    _check_inputs(layer, shape)
    outputs, kernel, stride = _required(layer.outputs), _required(layer.kernel), layer.stride or 1
    module = nn.Conv2d(shape[0], outputs, kernel, stride, layer.padding, bias=layer.bias)
    return module, (outputs, *_slide(layer, shape, stride))


def _pool(layer: Layer, shape: Shape) -> tuple[nn.Module, Shape]:
    _check_image(shape)
    kernel = _required(layer.kernel)
    if 2 * layer.padding > kernel:
        raise ValueError(f"expected a padding of at most half the kernel {kernel}, got {layer.padding}")
    stride = layer.stride or kernel
    module = (nn.MaxPool2d if layer.type == "max-pool" else nn.AvgPool2d)(kernel, stride, layer.padding)
    return module, (shape[0], *_slide(layer, shape, stride))


def _slide(layer: Layer, shape: Shape, stride: int) -> Shape:
    """Return the height and width that a sliding window leaves."""
    kernel, sizes = _required(layer.kernel), shape[1:]
    if any(size + 2 * layer.padding < kernel for size in sizes):
        raise ValueError(f"expected a padded input of at least the kernel's {kernel} px, got {sizes}")
    return tuple((size + 2 * layer.padding - kernel) // stride + 1 for size in sizes)


def _check_image(shape: Shape) -> None:
    if len(shape) != 3:
        raise ValueError(f"expected (channels, height, width) coming in, got {shape}")


def _check_inputs(layer: Layer, shape: Shape) -> None:
    if layer.inputs not in (None, shape[0]):
        raise ValueError(f"expected inputs={shape[0]}, which is what comes in, got {layer.inputs}")


def _required(value: int | None) -> int:
    assert value is not None  # noqa: S101 - `_check_fields` has refused the layer otherwise.
    return value
