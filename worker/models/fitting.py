"""Putting a file's tensors into a module: every key, shape and kind of number must fit."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jobs.errors import UnsupportedModel
from worker.models.formats import State, named

_NAMED = 3  # How many keys of each sort an error names.
_MOST_AXES = 8  # That an error lists; a stranger's tensor may have thousands.
_OPTIONAL = ".num_batches_tracked"  # A counter of training, in no file from before PyTorch 0.4.1, without effect here.


def fitted(module: nn.Module, state: State) -> State:
    """Return the tensors of `state` under the module's keys and in its number types.

    Args:
        module: As built; its tensors may be on the meta device.
        state: May share memory, hold half-precision numbers, and lack batch norm's counters.

    Raises:
        UnsupportedModel: A key is missing or unexpected, or a tensor has another shape or kind of number.
    """
    expected = module.state_dict()
    faults = _faults(expected, state)
    if faults:
        raise UnsupportedModel(f"the file does not fit the architecture: {'; '.join(faults)}{_advice(expected, state)}")
    return {key: state.get(key, tensor).to(tensor.dtype) for key, tensor in expected.items()}


def put_in(module: nn.Module, state: State) -> None:
    """Make the tensors of `state`, as `fitted` returned them, the module's own, without a copy."""
    current = module.state_dict()
    # Only the tensors change: with the versions that it carries, the dict is not taken for one of an old release.
    current.update(state)
    module.load_state_dict(current, assign=True)


def refuse_non_finite(state: State) -> None:
    """Check that every weight is a number.

    Raises:
        UnsupportedModel: A tensor holds NaN or infinity.
    """
    for key, tensor in state.items():
        if not torch.isfinite(tensor).all():
            count = int((~torch.isfinite(tensor)).sum())
            raise UnsupportedModel(f"the weights {key!r} hold {count} value(s) that are NaN or infinite")


def _faults(expected: State, given: State) -> list[str]:
    missing = [key for key in expected if key not in given and not key.endswith(_OPTIONAL)]
    unexpected = [key for key in given if key not in expected]
    pairs = {key: (expected[key], given[key]) for key in expected if key in given}
    shapes = [f"{key} (expected {_size(a)}, got {_size(b)})" for key, (a, b) in pairs.items() if a.shape != b.shape]
    kinds = [f"{key} (expected {a.dtype}, got {b.dtype})" for key, (a, b) in pairs.items() if _kind(a) != _kind(b)]
    return [
        *_listed("missing", missing),
        *_listed("unexpected", [named(key) for key in unexpected]),
        *_listed("of another shape", shapes),
        *_listed("of another kind", kinds),
    ]


def _listed(what: str, keys: list[str]) -> list[str]:
    if not keys:
        return []
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return [f"{what}: {', '.join(keys[:_NAMED])}{more}"]


def _kind(tensor: Tensor) -> tuple[bool, bool]:
    return tensor.is_floating_point(), tensor.is_complex()


def _size(tensor: Tensor) -> str:
    return str(list(tensor.shape)) if tensor.dim() <= _MOST_AXES else f"{tensor.dim()} axes"


def _advice(expected: State, given: State) -> str:
    """Say which number of classes the file has, where nothing else than that does not fit."""
    if not expected:
        return ""
    *_, last = expected
    layer = last.rpartition(".")[0] + "."
    head = {key for key in expected if key.startswith(layer)}
    elsewhere = {key for key in expected.keys() | given.keys() if not _same_shape(key, expected, given)} - head
    if elsewhere or not all(
        key in given and given[key].dim() and given[key].shape[1:] == expected[key].shape[1:] for key in head
    ):
        return ""
    return f". The file's head has {len(given[last])} classes: set num_classes to that, or leave it out"


def _same_shape(key: str, expected: State, given: State) -> bool:
    if key.endswith(_OPTIONAL):
        return True
    return key in expected and key in given and expected[key].shape == given[key].shape
