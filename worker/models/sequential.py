"""The project's own architectures: a list of layers, checked one by one, → `nn.Sequential`.

The shape of the data is followed from layer to layer, so that a fault is named where it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import nn

from jobs.errors import UnsupportedModel
from jobs.layers import Layer
from jobs.schemas import ModelInput
from worker.models.elementwise import Affine, LeakyRectifier
from worker.models.token_layers import (
    OverTokens,
    Positions,
    TokenFirst,
    TokenMax,
    TokenMean,
    TokenSequential,
    TransformerBlock,
)

Shape = tuple[int, ...]
"""Of one sample: `(features,)`, `(tokens, dim)` or `(channels, height, width)`."""

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "hardswish": nn.Hardswish,
    "hardsigmoid": nn.Hardsigmoid,
    "dropout": nn.Dropout,
}

_POOLS: dict[str, type[OverTokens]] = {"token-first": TokenFirst, "token-mean": TokenMean, "token-max": TokenMax}

# Fields that a layer type must and may have; every other one is refused, as it would have no effect.
_NEEDS = {
    "linear": {"outputs"},
    "conv2d": {"outputs", "kernel"},
    "max-pool": {"kernel"},
    "average-pool": {"kernel"},
    "embedding": {"outputs"},
    "transformer": {"heads", "feedforward"},
}
_TAKES = {
    "linear": {"inputs", "outputs", "bias"},
    "conv2d": {"inputs", "outputs", "kernel", "stride", "padding", "bias"},
    "batch-norm": {"inputs", "epsilon"},
    "affine": {"inputs"},
    "leaky-relu": {"slope"},
    "elu": {"slope"},
    "max-pool": {"kernel", "stride", "padding"},
    "average-pool": {"kernel", "stride", "padding"},
    "layer-norm": {"inputs", "epsilon"},
    "embedding": {"inputs", "outputs"},
    "transformer": {"inputs", "heads", "feedforward", "norm", "activation", "epsilon"},
}


def build_sequential(layers: Sequence[Layer], input: ModelInput) -> nn.Sequential:
    """Build the layers for samples of `input`.

    Raises:
        UnsupportedModel: A layer does not fit what comes in, or the last one does not give a vector.
    """
    modules: list[nn.Module] = []
    shape = input.shape
    for index, layer in enumerate(layers):
        try:
            module, shape = build_layer(layer, shape, input, is_first=index == 0)
        except (ValueError, RuntimeError) as error:  # The second where a size exceeds 64 bits.
            raise UnsupportedModel(f"layer {index} ({layer.type}): {error}") from error
        modules.append(module)
    if len(shape) != 1:
        raise UnsupportedModel(
            f"layer {len(layers) - 1} ({layers[-1].type}): expected (outputs,) after the last layer, got {shape}; "
            + ("pool the tokens" if len(shape) == 2 else "add a flatten layer")
        )
    return TokenSequential(modules, input.padding_id) if input.kind == "tokens" else nn.Sequential(*modules)


def build_layer(layer: Layer, shape: Shape, input: ModelInput, *, is_first: bool) -> tuple[nn.Module, Shape]:
    """Build one layer for what comes in, and say what goes out.

    Raises:
        ValueError: It does not fit what comes in, or has fields that it does not take.
    """
    check_fields(layer)
    takes_ids = is_first and input.kind == "tokens"
    if takes_ids != (layer.type == "embedding"):
        raise ValueError(
            f"expected an embedding, as {input.vocabulary} token ids come in"
            if takes_ids
            else "expected an embedding only as the first layer of a model of tokens"
        )
    match layer.type:
        case "embedding":
            return _embedding(layer, shape, input)
        case "linear":
            return _linear(layer, shape)
        case "conv2d":
            return _convolution(layer, shape)
        case "batch-norm":
            return _batch_norm(layer, shape)
        case "layer-norm":
            return _layer_norm(layer, shape)
        case "affine":
            return _affine(layer, shape)
        case "leaky-relu":
            return LeakyRectifier(0.01 if layer.slope is None else layer.slope), shape
        case "elu":
            return nn.ELU(1.0 if layer.slope is None else layer.slope), shape
        case "max-pool" | "average-pool":
            return _pool(layer, shape)
        case "global-average-pool":
            _check_image(shape)
            return nn.AdaptiveAvgPool2d(1), (shape[0], 1, 1)
        case "flatten":
            return _flatten(shape, input)
        case "positions":
            _check_tokens(shape)
            return Positions(*shape), shape
        case "transformer":
            return _transformer(layer, shape)
        case "token-first" | "token-mean" | "token-max":
            _check_tokens(shape)
            return _POOLS[layer.type](), shape[1:]
        case "add" | "concat":
            raise ValueError("expected a layer of one input; what joins several is a node of the family `graph`")
        case activation:
            return _ACTIVATIONS[activation](), shape


def check_fields(layer: Layer) -> None:
    """Check that a layer has the fields that its type needs, and no others.

    Raises:
        ValueError: It has not.
    """
    # Not model_fields_set: a layer that was stored and read again has every field set, most to their defaults.
    fields = Layer.model_fields.items()
    given = {name for name, field in fields if name != "type" and getattr(layer, name) != field.default}
    if superfluous := sorted(given - _TAKES.get(layer.type, set())):
        raise ValueError(f"expected no {superfluous[0]}, got {getattr(layer, superfluous[0])}")
    if absent := sorted(_NEEDS.get(layer.type, set()) - given):
        raise ValueError(f"expected {absent[0]}, got none")


def _linear(layer: Layer, shape: Shape) -> tuple[nn.Module, Shape]:
    if len(shape) != 1:
        advice = "pool the tokens" if len(shape) == 2 else "put a flatten layer"
        raise ValueError(f"expected a vector coming in, got {shape}; {advice} before it")
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


def _batch_norm(layer: Layer, shape: Shape) -> tuple[nn.Module, Shape]:
    if len(shape) == 2:
        raise ValueError(f"expected a vector or (channels, height, width) coming in, got {shape}; use a layer-norm")
    _check_inputs(layer, shape)
    return (nn.BatchNorm1d if len(shape) == 1 else nn.BatchNorm2d)(shape[0], eps=layer.epsilon), shape


def _layer_norm(layer: Layer, shape: Shape) -> tuple[nn.Module, Shape]:
    if len(shape) == 3:
        raise ValueError(f"expected a vector or (tokens, dim) coming in, got {shape}; use a batch-norm")
    _check_inputs(layer, shape[-1:])
    return nn.LayerNorm(shape[-1], eps=layer.epsilon), shape


def _affine(layer: Layer, shape: Shape) -> tuple[nn.Module, Shape]:
    if len(shape) != 1:
        raise ValueError(f"expected a vector coming in, got {shape}")
    _check_inputs(layer, shape)
    return Affine(shape[0]), shape


def _flatten(shape: Shape, input: ModelInput) -> tuple[nn.Module, Shape]:
    if input.padding_id is not None and len(shape) == 2:
        raise ValueError("expected a pool over the tokens, as flattened padding would count; or no padding_id")
    return nn.Flatten(), (math.prod(shape),)


def _embedding(layer: Layer, shape: Shape, input: ModelInput) -> tuple[nn.Module, Shape]:
    vocabulary, dim = _required(input.vocabulary), _required(layer.outputs)
    _check_inputs(layer, (vocabulary,))
    return nn.Embedding(vocabulary, dim), (*shape, dim)


def _transformer(layer: Layer, shape: Shape) -> tuple[nn.Module, Shape]:
    _check_tokens(shape)
    dim, heads = shape[1], _required(layer.heads)
    _check_inputs(layer, (dim,))
    if dim % heads:
        raise ValueError(f"expected heads that divide the {dim} numbers of a token, got {heads}")
    block = TransformerBlock(
        dim, heads, _required(layer.feedforward), norm=layer.norm or "post", activation=layer.activation or "relu",
        epsilon=layer.epsilon,
    )  # fmt: skip
    return block, shape


def _slide(layer: Layer, shape: Shape, stride: int) -> Shape:
    """Return the height and width that a sliding window leaves."""
    kernel, sizes = _required(layer.kernel), shape[1:]
    if any(size + 2 * layer.padding < kernel for size in sizes):
        raise ValueError(f"expected a padded input of at least the kernel's {kernel} px, got {sizes}")
    return tuple((size + 2 * layer.padding - kernel) // stride + 1 for size in sizes)


def _check_image(shape: Shape) -> None:
    if len(shape) != 3:
        raise ValueError(f"expected (channels, height, width) coming in, got {shape}")


def _check_tokens(shape: Shape) -> None:
    if len(shape) != 2:
        raise ValueError(f"expected (tokens, dim) coming in, got {shape}")


def _check_inputs(layer: Layer, shape: Shape) -> None:
    if layer.inputs not in (None, shape[0]):
        raise ValueError(f"expected inputs={shape[0]}, which is what comes in, got {layer.inputs}")


def _required(value: int | None) -> int:
    assert value is not None  # noqa: S101 - `check_fields` has refused the layer otherwise.
    return value
