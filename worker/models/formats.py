"""Model files: bytes → named tensors, without running anything that the file holds.

Two formats are read, told apart by their content and never by a file name: safetensors, and PyTorch state dicts
through the weights-only unpickler, which knows tensors and containers and calls nothing else. All others are refused.
"""

from __future__ import annotations

import os
import pickle
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from jobs.errors import UnsafeModel, UnsupportedModel

State = dict[str, Tensor]
"""Tensors by their key in a module's state dict."""

Format = Literal["safetensors", "torch zip", "torch legacy"]

MAX_HEADER_BYTES = 1_000_000
"""Of a safetensors header; the largest torchvision model needs a tenth of it."""

_ZIP_MAGIC = b"PK\x03\x04"
# The pickled number that opens the files of PyTorch before 1.6, as which torchvision still publishes several weights.
_LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_STATE_DICT_MEMBER = re.compile(
    r"[^/]+/(data\.pkl|data/\d+|version|byteorder|\.(format_version|storage_alignment|data/.*))"
)
_EXPORT_MEMBER = re.compile(r".*(serialized_exported_program\.json|archive_format|models/.*\.json|\.so)")
_SCRIPT_MEMBER = re.compile(r".*(/code/.*|constants\.pkl)")

_SAVE_AGAIN = "save the state dict with safetensors.torch.save_file, or with torch.save(model.state_dict(), path)"
# Wrappers under which training scripts save a state dict, and the prefixes that wrapped modules give to its keys.
_NESTINGS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.", "model.")
_MOST_WRAPPERS = 16  # Scripts use one or two; a dict may hold itself, and a name may be of prefixes alone.
_MOST_NAMED = 100  # Characters of a tensor's name in a message.
# A state dict may share tensors (tied weights), so it may claim more than the file holds; an honest one little more.
_MAX_EXPANSION = 2


def read_state(artifact: Path | bytes) -> State:
    """Read the tensors of a model file, with wrappers and wrappers' prefixes taken off.

    The tensors may be views of the (memory-mapped) file, share memory, and have any strided layout and dtype.

    Args:
        artifact: A file; or the bytes of a safetensors file.

    Raises:
        UnsafeModel: The file is a pickle, an archive of code, or claims far more data than it holds.
        UnsupportedModel: The file is none of the known formats, is damaged, or holds other things than tensors.
    """
    data = _parse_safetensors(artifact) if isinstance(artifact, bytes) else _read_file(artifact)
    state = _without_prefixes(_only_tensors(_unwrapped(data)))
    size = len(artifact) if isinstance(artifact, bytes) else artifact.stat().st_size
    _refuse_expansion(state, size)
    return state


def write_state(state: Mapping[str, Tensor]) -> bytes:
    """Return the tensors as a safetensors file; equal tensors give equal bytes."""
    # The format knows neither strides nor shared memory, hence the copies.
    dense = {key: tensor.cpu().clone(memory_format=torch.contiguous_format) for key, tensor in state.items()}
    return safetensors.torch.save(dense, metadata={"format": "pt"})


def named(key: str) -> str:
    """Return a stranger's name for a tensor as messages give it: short, and of characters that every encoding has."""
    shown = ascii(key[:_MOST_NAMED])[1:-1]
    return shown if len(key) <= _MOST_NAMED and len(shown) <= _MOST_NAMED else f"{shown[:_MOST_NAMED]}…"


def _read_file(path: Path) -> Any:
    match _format(path):
        case "safetensors":
            return _parse_safetensors(path)
        case "torch zip":
            _refuse_foreign_members(path)
            return _load_weights_only(path, mmap=True)
        case "torch legacy":
            return _load_weights_only(path, mmap=False)


def _format(path: Path) -> Format:
    with path.open("rb") as file:
        head = file.read(64)
    if head[8:9] == b"{":
        return "safetensors"
    if head.startswith(_ZIP_MAGIC):
        return "torch zip"
    if head.startswith(_LEGACY_MAGIC):
        return "torch legacy"
    if head.startswith(b"\x80"):
        raise UnsafeModel(f"pickle files can run code and are never read; {_SAVE_AGAIN}")
    raise UnsupportedModel(f"expected a safetensors file or a PyTorch state dict, got neither; {_SAVE_AGAIN}")


def _parse_safetensors(artifact: Path | bytes) -> State:
    _check_header(artifact)
    try:
        if isinstance(artifact, bytes):
            return dict(safetensors.torch.load(artifact))
        return dict(safetensors.torch.load_file(artifact))
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise UnsupportedModel(f"the safetensors file is damaged or cut off: {_first_line(error)}") from error


def _check_header(artifact: Path | bytes) -> None:
    if isinstance(artifact, bytes):
        head = artifact[:8]
    else:
        with artifact.open("rb") as file:
            head = file.read(8)
    if len(head) < 8:
        raise UnsupportedModel(f"expected a safetensors file, got {len(head)} bytes")
    (length,) = struct.unpack("<Q", head)
    if length > MAX_HEADER_BYTES:
        raise UnsupportedModel(f"expected a safetensors header of at most {MAX_HEADER_BYTES} bytes, got {length}")


def _refuse_foreign_members(path: Path) -> None:
    """Refuse a zip archive that holds anything but the records of a state dict, as PyTorch writes them."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise UnsupportedModel(f"the file is a damaged or cut off archive: {_first_line(error)}") from error
    names = [member.filename for member in members]
    if any(_SCRIPT_MEMBER.fullmatch(name) for name in names):
        raise UnsafeModel(f"TorchScript archives hold code and are never read; {_SAVE_AGAIN}")
    if any(_EXPORT_MEMBER.fullmatch(name) for name in names):
        raise UnsafeModel(f"torch.export archives can run code when read and are refused; {_SAVE_AGAIN}")
    if foreign := [name for name in names if not _STATE_DICT_MEMBER.fullmatch(name)]:
        raise UnsafeModel(f"expected only the records of a state dict, got {foreign[0][:80]!r}; {_SAVE_AGAIN}")
    # PyTorch stores records uncompressed, so that they can be mapped: a compressed one, or more data than the file
    # has room for, is a bomb.
    stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
    if not stored or sum(member.file_size for member in members) > path.stat().st_size:
        raise UnsafeModel(f"the archive expands when it is read; {_SAVE_AGAIN}")


def _load_weights_only(path: Path, *, mmap: bool) -> Any:
    if os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD") != "1":
        raise RuntimeError("expected TORCH_FORCE_WEIGHTS_ONLY_LOAD=1 in a process that reads uploads")
    try:
        return torch.load(path, weights_only=True, map_location="cpu", mmap=mmap)
    except pickle.UnpicklingError as error:
        raise _refused_by_unpickler(error) from error
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, struct.error) as error:
        raise UnsupportedModel(f"the state dict is damaged or cut off: {_first_line(error)}") from error


def _refused_by_unpickler(error: pickle.UnpicklingError) -> UnsafeModel:
    name = re.search(r"GLOBAL ([\w.]+)", str(error))
    fault = (
        f"names {named(name[1])}, which could run code"
        if name
        else "is damaged or holds more than tensors and containers"
    )
    return UnsafeModel(f"the file's pickle {fault}; {_SAVE_AGAIN}")


def _first_line(error: BaseException) -> str:
    line = (str(error) or type(error).__name__).splitlines()[0][:200]
    return line.encode("ascii", "backslashreplace").decode()  # It may quote what the file holds.


def _unwrapped(data: Any) -> Any:
    for _ in range(_MOST_WRAPPERS + 1):
        inner = _inner(data)
        if inner is None:
            return data
        data = inner
    raise UnsupportedModel(f"expected a state dict within at most {_MOST_WRAPPERS} others, got more; {_SAVE_AGAIN}")


def _inner(data: Any) -> Any:
    """Return the dict that `data` wraps, or None."""
    found = (data.get(nesting) for nesting in _NESTINGS) if isinstance(data, Mapping) else ()
    return next((value for value in found if isinstance(value, Mapping)), None)


def _only_tensors(data: Any) -> State:
    if not isinstance(data, Mapping) or not data:
        raise UnsupportedModel(f"expected a state dict, got {type(data).__name__}; {_SAVE_AGAIN}")
    return {_key(key): _plain(_key(key), value) for key, value in data.items()}


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise UnsupportedModel(f"expected names of tensors, got a key of type {type(key).__name__}; {_SAVE_AGAIN}")
    return key


def _plain(key: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise UnsupportedModel(f"expected only tensors, got {type(value).__name__} under '{named(key)}'; {_SAVE_AGAIN}")
    plain = value.detach()
    # Meta tensors have a shape and no data; quantised and sparse ones have no plain values to take over.
    if plain.device.type != "cpu" or plain.layout != torch.strided or plain.is_quantized or plain.is_nested:
        raise UnsupportedModel(f"expected ordinary dense tensors, got another kind under '{named(key)}'")
    return plain


def _without_prefixes(state: State) -> State:
    for _ in range(_MOST_WRAPPERS + 1):
        prefix = next((prefix for prefix in _PREFIXES if all(key.startswith(prefix) for key in state)), None)
        if prefix is None:
            return state
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    raise UnsupportedModel(
        f"expected names of tensors with at most {_MOST_WRAPPERS} prefixes such as module., got more"
    )


def _refuse_expansion(state: State, file_bytes: int) -> None:
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if claimed > _MAX_EXPANSION * file_bytes:
        raise UnsafeModel(f"the tensors claim {claimed} bytes, but the file has {file_bytes}")
