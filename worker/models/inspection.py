"""Inspection: what a loaded model gives for a probe, which derivatives it has, and what they cost."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call

from jobs.errors import NumericalError, OutOfMemory, UnsupportedModel
from jobs.schemas import Capability, Inspection, Manifest, Target
from worker.methods._chunks import is_out_of_memory
from worker.models.surgery import operate

_REPEATS = 3  # The median of as many timings, after one to warm up.
_ENOUGH_SECONDS = 1.0  # A big model's timings are not repeated beyond this.
_SEED = 0
_IDS_HAVE_NO_GRADIENT = "the inputs are token ids, whole numbers, which have no gradient"


@dataclass(frozen=True)
class _Finding:
    """The time that a derivative takes, or why there is none."""

    seconds: float | None = None
    obstacle: str | None = None


def inspect(model: nn.Module, manifest: Manifest) -> Inspection:
    """Run a probe through the model: forward, gradient, one row of the Hessian after surgery.

    Each of the times found is that of the step alone: a backward without its forward, a row of the Hessian without the
    graph that all rows share.

    Args:
        model: In eval mode, frozen; on the device on which it is to be measured.

    Raises:
        UnsupportedModel: The model does not take the manifest's inputs, does not give one finite vector of outputs,
            or gives another number of them than the manifest has class names.
    """
    # Here, as methods import the architectures of this package.
    from worker.methods.nid.reading import obstacle as mixing_obstacle

    probe = _probe(model, manifest)
    outputs = _checked_outputs(model, probe, manifest)
    gradient, row, surgery = _attempt_derivatives(model, probe)
    mixing = mixing_obstacle(model, manifest.input.shape)
    return Inspection(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        outputs=outputs,
        capabilities=_capabilities(gradient, row, mixing),
        obstacles=_obstacles(gradient, row, mixing),
        seconds_forward=_median_seconds(lambda: _forward(model, probe), probe.device),
        seconds_backward=gradient.seconds,
        seconds_hessian_row=row.seconds,
        activation_bytes=activation_bytes(model, probe),
        surgery=surgery,
    )


def activation_bytes(model: nn.Module, sample: Tensor) -> int:
    """Measure the memory of the forward and backward of one sample, beyond the weights and the sample.

    On CUDA it is the allocator's peak. Elsewhere it is what autograd keeps between forward and backward, each memory
    counted once, and twice the largest part of it for what is alive while one operator runs. Of token ids, which only
    go forward, it is the same: an upper bound.
    """
    if sample.is_cuda:
        return _cuda_peak(model, sample)
    weights = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        # The output holds the graph, and the graph what is kept: no memory is freed and used again meanwhile.
        output = _with_graph(model, sample)
    del output
    return sum(kept.values()) + 2 * max(kept.values(), default=sample.nbytes)


def _with_graph(model: nn.Module, sample: Tensor) -> Tensor:
    """Run the forward of a frozen model such that autograd records it."""
    if sample.is_floating_point():
        return model(sample.detach().requires_grad_())  # type: ignore[no-any-return]
    # Ids carry no gradient, so the graph has to begin at the weights.
    weights = {name: weight.detach().requires_grad_() for name, weight in model.named_parameters()}
    return functional_call(model, weights, (sample,))  # type: ignore[no-any-return]


def _cuda_peak(model: nn.Module, sample: Tensor) -> int:
    torch.cuda.synchronize(sample.device)
    before: int = torch.cuda.memory_allocated(sample.device)
    torch.cuda.reset_peak_memory_stats(sample.device)
    if sample.is_floating_point():
        _gradient(model, sample)()
    else:
        _forward(model, sample)
    peak: int = torch.cuda.max_memory_allocated(sample.device)
    return peak - before


def _probe(model: nn.Module, manifest: Manifest) -> Tensor:
    generator = torch.Generator().manual_seed(_SEED)
    device = next(iter(model.state_dict().values()), torch.empty(0)).device
    shape = (1, *manifest.input.shape)
    if manifest.input.vocabulary is not None:
        return torch.randint(manifest.input.vocabulary, shape, generator=generator).to(device)
    return torch.randn(shape, generator=generator).to(device)


def _checked_outputs(model: nn.Module, probe: Tensor, manifest: Manifest) -> int:
    try:
        outputs = _forward(model, probe)
    except (RuntimeError, AssertionError, ValueError, IndexError) as error:
        if is_out_of_memory(error):
            raise
        raise UnsupportedModel(
            f"the model does not take inputs of shape {list(manifest.input.shape)}: {_first_line(error)}. Set the "
            "manifest's input.shape to what the model was trained on, or the architecture's arguments to that shape "
            "(image_size for a Vision Transformer)"
        ) from error
    if outputs.dim() != 2 or len(outputs) != 1:
        raise UnsupportedModel(f"expected outputs of shape (1, classes) for one input, got {tuple(outputs.shape)}")
    if not outputs.isfinite().all():
        inputs = "normally distributed inputs" if probe.is_floating_point() else "random tokens"
        raise UnsupportedModel(f"the model's outputs for {inputs} hold NaN or infinite values")
    _check_classes(manifest, outputs.shape[1])
    return outputs.shape[1]


def _check_classes(manifest: Manifest, outputs: int) -> None:
    if manifest.classes is not None and len(manifest.classes) != outputs:
        raise UnsupportedModel(
            f"expected as many class names as the model has outputs, {outputs}, got {len(manifest.classes)}"
        )


def _forward(model: nn.Module, probe: Tensor) -> Tensor:
    with torch.no_grad():
        outputs: Tensor = model(probe)
        return outputs


def _gradient(model: nn.Module, probe: Tensor) -> Callable[[], Tensor]:
    """Run the forward, and return the backward."""
    sample = probe.detach().requires_grad_()
    logit = model(sample)[0, 0]
    return lambda: torch.autograd.grad(logit, sample, retain_graph=True)[0]


def _attempt_derivatives(model: nn.Module, probe: Tensor) -> tuple[_Finding, _Finding, dict[str, int]]:
    """Try the gradient, and a row of the Hessian after surgery; also say what the surgery replaced."""
    if not probe.is_floating_point():
        none = _Finding(obstacle=_IDS_HAVE_NO_GRADIENT)
        return none, none, {}
    operated = operate(model)
    return _attempt_gradient(model, probe), _attempt_hessian_row(operated.model, probe), dict(operated.replaced)


def _attempt_gradient(model: nn.Module, probe: Tensor) -> _Finding:
    try:
        backward = _gradient(model, probe)
        values = backward()
    except (RuntimeError, MemoryError) as error:
        return _Finding(obstacle=_obstacle(error))
    if not values.isfinite().all():
        return _Finding(obstacle="it holds NaN or infinite values")
    return _Finding(seconds=_median_seconds(backward, probe.device))


def _attempt_hessian_row(model: nn.Module, probe: Tensor) -> _Finding:
    """Compute, as methods do, the row of the feature with the largest gradient."""
    # Here, as methods import the surgery of this package.
    from worker.methods.h_sets.rows import hessian_rows

    try:
        with hessian_rows(model, probe[0], Target(index=0)) as rows:
            largest = [int(rows.gradient.detach().abs().argmax())]
            rows(largest)
            return _Finding(seconds=_median_seconds(lambda: rows(largest), probe.device))
    except (NumericalError, OutOfMemory) as error:
        return _Finding(obstacle=error.detail)
    except (RuntimeError, MemoryError) as error:
        return _Finding(obstacle=_obstacle(error))


def _obstacle(error: RuntimeError | MemoryError) -> str:
    """Name the operator that PyTorch has no derivative for, where that is the reason."""
    if is_out_of_memory(error):
        return "it does not fit into the worker's memory"
    operator = re.search(r"derivative for '?(aten::\w+?)(?:_backward)?'? is not implemented", str(error))
    if operator is None:
        return _first_line(error)
    return f"PyTorch has no derivative of this order for the operator {operator[1]}"


def _capabilities(gradient: _Finding, row: _Finding, mixing: str | None) -> tuple[Capability, ...]:
    offered = {
        Capability.FORWARD: True,
        Capability.GRADIENT: gradient.obstacle is None,
        Capability.SECOND_DERIVATIVE: row.obstacle is None,
        Capability.MIXING_LAYER: mixing is None,
    }
    return tuple(capability for capability, has in offered.items() if has)


def _obstacles(gradient: _Finding, row: _Finding, mixing: str | None) -> dict[Capability, str]:
    found = {
        Capability.GRADIENT: gradient.obstacle,
        Capability.SECOND_DERIVATIVE: row.obstacle,
        Capability.MIXING_LAYER: mixing,
    }
    return {capability: obstacle for capability, obstacle in found.items() if obstacle is not None}


def _median_seconds(call: Callable[[], Any], device: torch.device) -> float:
    """Time `call`, which has run before."""
    seconds: list[float] = []
    while len(seconds) < _REPEATS and sum(seconds) < _ENOUGH_SECONDS:
        started = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:300]
