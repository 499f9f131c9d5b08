"""Devices: which one computes, how much fits, and that it computes the same every time."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torchvision

from jobs.errors import OutOfMemory
from jobs.version import CODE_VERSION
from worker.methods._chunks import is_out_of_memory

MAX_CHUNK = 32
"""Samples at once; more gain nothing on the devices measured, and make a job slower to notice that it was canceled."""


def pick(setting: str, *, slot: int = 0) -> torch.device:
    """Return the device that a setting names: auto (a GPU, else the CPU), cpu, cuda or cuda:N.

    Args:
        slot: Which of a worker's runners asks; auto and cuda give each its own GPU, as far as there are enough.

    Raises:
        ValueError: There is no such device on this machine.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", setting):
        raise ValueError(f"expected device auto, cpu, cuda or cuda:N, got {setting!r}")
    count = torch.cuda.device_count() if setting != "cpu" else 0
    if setting == "cpu" or (setting == "auto" and count == 0):
        return torch.device("cpu")
    number = setting.partition(":")[2]
    index = int(number) if number else slot % max(1, count)
    if index >= count:
        raise ValueError(f"expected a CUDA device below {count}, the number of them on this machine, got {setting!r}")
    return torch.device("cuda", index)


def set_up(device: torch.device, *, threads: int | None = None) -> None:
    """Prepare this process to compute on `device`; call it once, before anything is computed.

    The same job gives the same bytes again on the same device: no autotuned or randomly ordered kernels, and no
    TensorFloat-32, whose 10-bit mantissa is too coarse for second derivatives.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    # cuBLAS reads this when it starts; without it PyTorch refuses matrix products in deterministic mode.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Some CUDA kernels, such as adaptive pooling's backward, have no deterministic twin: there it is a warning, as
    # refusing the model would be worse than a last digit. On the CPU every operator is deterministic.
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    # Nothing here reads memory that it has not written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.fp32_precision = "ieee"


def describe(device: torch.device) -> str:
    """Return the device as people call it, such as "cuda:0 (NVIDIA H100)"."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def chunk_size(activation_bytes: int, budget_bytes: int) -> int:
    """Return how many samples may go forward and backward at once: at least 1, at most `MAX_CHUNK`."""
    return max(1, min(MAX_CHUNK, budget_bytes // max(1, activation_bytes)))


def versions() -> dict[str, str]:
    """Return the versions of everything that an answer's numbers depend on."""
    return {
        "interplay": CODE_VERSION,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torchvision": str(torchvision.__version__),
        "numpy": np.__version__,
    }


@contextmanager
def memory_errors_translated() -> Iterator[None]:
    """Turn a failed allocation, of whatever device, into `OutOfMemory`."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            "the computation did not fit into the worker's memory; use a smaller model or input, "
            "or a worker with more memory"
        ) from error
