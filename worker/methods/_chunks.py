"""Evaluate in chunks that fit the memory: when one does not, halve it and go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from jobs.errors import OutOfMemory

T = TypeVar("T")

# What PyTorch says when an allocation fails and the error is not `torch.OutOfMemoryError`.
_ALLOCATION_FAILURES = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def map_chunks(
    function: Callable[[Tensor], T],
    items: Tensor,
    *,
    chunk: int,
    on_halved: Callable[[int], None] | None = None,
) -> list[T]:
    """Apply `function` to consecutive slices of `items` and return what it gave, in order.

    Args:
        function: Called with `(n, *rest)`, `1 <= n <= chunk`; must be repeatable, as a slice that ran out of
            memory is tried again in smaller ones.
        items: `(n_items, *rest)`, split along the first axis; may be empty.
        chunk: Largest slice to begin with; halved for all that follows whenever memory runs out.
        on_halved: Told the new chunk size.

    Raises:
        OutOfMemory: A slice of one did not fit.
        ValueError: `chunk` is below 1.
    """
    if chunk < 1:
        raise ValueError(f"expected a chunk of at least 1, got {chunk}")
    results: list[T] = []
    start = 0
    while start < len(items):
        part = items[start : start + chunk]
        try:
            results.append(function(part))
            start += len(part)
            continue
        except (RuntimeError, MemoryError) as error:
            chunk = _halved(error, len(part))
        # Outside of `except`: the traceback, and with it every tensor of the failed call, is gone by now.
        if items.is_cuda:
            torch.cuda.empty_cache()
        if on_halved is not None:
            on_halved(chunk)
    return results


def _halved(error: RuntimeError | MemoryError, size: int) -> int:
    if not is_out_of_memory(error):
        raise error
    if size == 1:
        raise OutOfMemory(
            "one input at a time does not fit into the worker's memory; use a smaller model or input, "
            "or a worker with more memory"
        ) from error
    return size // 2


def is_out_of_memory(error: BaseException) -> bool:
    """Tell a failed allocation, on any device, from other errors."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _ALLOCATION_FAILURES)
