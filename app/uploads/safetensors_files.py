"""Check a safetensors file without loading it.

Layout: a little-endian uint64 N, N bytes of JSON (name → dtype, shape, data_offsets), then the tensors' bytes, with
neither gap nor overlap. Source: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO, Final

from jobs.errors import InputTooLarge, InvalidInput

MAX_HEADER_BYTES: Final = 8 * 1024 * 1024  # vit_h_14 needs about 50 kB; the format itself allows 100 MB
MAX_TENSORS: Final = 100_000
MAX_DIMENSIONS: Final = 16

_BITS: Final[Mapping[str, int]] = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
}  # fmt: skip


def check_safetensors(file: BinaryIO, size: int) -> None:
    """Check header and extent of a safetensors file of `size` bytes.

    Raises:
        InputTooLarge: The header exceeds `MAX_HEADER_BYTES` or names more than `MAX_TENSORS` tensors.
        InvalidInput: The header is not what the format prescribes, or the file is shorter or longer than it says.
    """
    length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER_BYTES:
        raise InputTooLarge(f"expected a safetensors header of at most {MAX_HEADER_BYTES} bytes, got {length}")
    if 8 + length > size:
        raise InvalidInput(f"the safetensors file is truncated: its header ends at byte {8 + length} of {size}")
    tensors = _parsed(file.read(length))
    end = _check_tensors(tensors)
    if 8 + length + end != size:
        raise InvalidInput(
            f"the safetensors header describes a file of {8 + length + end} bytes, but {size} were uploaded: "
            "it is truncated, or something was appended"
        )


def _parsed(header: bytes) -> dict[str, Any]:
    try:
        tensors = json.loads(header.decode("utf-8"), object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the safetensors header is not valid JSON: {_short(error)}") from error
    if not isinstance(tensors, dict):
        raise InvalidInput("the safetensors header is not a JSON object")
    _check_metadata(tensors.pop("__metadata__", {}))
    if not 0 < len(tensors) <= MAX_TENSORS:
        kind = InputTooLarge if tensors else InvalidInput
        raise kind(f"expected 1 to {MAX_TENSORS} tensors in the safetensors file, got {len(tensors)}")
    return tensors


def _without_duplicates(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for name, value in pairs:
        if name in seen:
            raise ValueError(f"the name {_short(name)} occurs twice")
        seen[name] = value
    return seen


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _check_metadata(metadata: Any) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise InvalidInput("expected __metadata__ of the safetensors header to map strings to strings")


def _check_tensors(tensors: Mapping[str, Any]) -> int:
    """Check every entry and that their bytes follow one another; return where the last one ends."""
    extents = sorted(_extent(name, entry) for name, entry in tensors.items())
    end = 0
    for begin, stop, name in extents:
        if begin != end:
            raise InvalidInput(f"tensor {_short(name)} begins at byte {begin} of the data, expected {end}")
        end = stop
    return end


def _extent(name: str, entry: Any) -> tuple[int, int, str]:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise InvalidInput(f"expected dtype, shape and data_offsets for tensor {_short(name)}")
    bits, shape, offsets = _BITS.get(str(entry["dtype"])), entry["shape"], entry["data_offsets"]
    if bits is None:
        raise InvalidInput(f"tensor {_short(name)} has the unknown dtype {_short(entry['dtype'])}")
    if not _are_sizes(shape) or len(shape) > MAX_DIMENSIONS or not _are_sizes(offsets) or len(offsets) != 2:
        raise InvalidInput(f"tensor {_short(name)} has an invalid shape or data_offsets")
    begin, stop = offsets
    if stop - begin != math.prod(shape) * bits // 8:
        raise InvalidInput(f"tensor {_short(name)} of shape {shape} cannot occupy {stop - begin} bytes")
    return begin, stop, name


def _are_sizes(values: Any) -> bool:
    # bool is an int in Python, but `true` is no size.
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**48 for value in values)


def _short(value: object) -> str:
    text = repr(str(value))
    return text if len(text) <= 120 else f"{text[:120]}…"
