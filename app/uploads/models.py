"""Which model files are let in: safetensors and weights-only state dicts; ONNX, JSON and arrays where asked for."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

from app.uploads import archives
from app.uploads.pickles import is_legacy_checkpoint, is_pickle
from app.uploads.safetensors_files import check_safetensors
from app.uploads.torch_archives import check_archive
from jobs.errors import InputTooLarge, InvalidInput, UnsafeModel, UnsupportedModel
from jobs.schemas import Architecture

MAX_JSON_BYTES: Final = 8 << 20
"""Some 400,000 weights; what is larger belongs into arrays."""

INSTEAD: Final = (
    "upload a safetensors file (safetensors.torch.save_file(model.state_dict(), path)) "
    "or a state dict (torch.save(model.state_dict(), path))"
)

_OTHER_FORMATS: Final = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes"),
    (b"GGUF", "a GGUF file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x78\x9c", "compressed by zlib, as joblib does"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstandard archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
)

_SNIFFED_BYTES: Final = 64
_ZLIB: Final = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
"""How joblib's compressed pickles begin, by how well they are compressed."""

_ARRAYS_INSTEAD: Final = (
    "of an estimator, save the arrays: numpy.savez(path, "
    "**{f'coefs_{i}': w for i, w in enumerate(mlp.coefs_)}, **{f'intercepts_{i}': b for i, b in "
    "enumerate(mlp.intercepts_)})"
)


def check_upload(path: Path, architecture: Architecture, *, max_bytes: int) -> None:
    """Let a model file pass whose format suits its architecture; a runner then reads all of it.

    Args:
        max_bytes: Of an upload.

    Raises:
        RequestError: As `check_model_file`.
    """
    match architecture.family:
        case "onnx":
            _check_onnx(path)
        case "json":
            _check_json(path)
        case "scikit-learn":
            _check_arrays(path, max_bytes)
        case _:
            check_model_file(path)


def _check_onnx(path: Path) -> None:
    _refuse_empty_and_pickles(path)
    if not _is_onnx(_head(path)):
        raise UnsupportedModel("the file is no ONNX model, which the manifest's family `onnx` announces")


def _check_json(path: Path) -> None:
    _refuse_empty_and_pickles(path)
    if path.stat().st_size > MAX_JSON_BYTES:
        raise InputTooLarge(f"expected at most {MAX_JSON_BYTES} bytes of JSON; upload a larger network as safetensors")
    if not _head(path).lstrip().startswith(b"{"):
        raise InvalidInput("the file is no JSON object, which the manifest's family `json` announces")


def _check_arrays(path: Path, max_bytes: int) -> None:
    head, size = _head(path), path.stat().st_size
    with path.open("rb") as file:
        if head.startswith(b"PK\x03\x04"):
            archives.check_archive(file, max_bytes)
        elif head[6:9] == b"\0\0{":  # as in safetensors; JSON has no zeros
            check_safetensors(file, size)
        elif head.lstrip().startswith(b"{"):
            _check_json(path)
        else:
            _refuse_empty_and_pickles(path)
            raise UnsupportedModel(f"expected scikit-learn's arrays as NPZ, safetensors or JSON; {_ARRAYS_INSTEAD}")


def _refuse_empty_and_pickles(path: Path) -> None:
    head = _head(path)
    if not head:
        raise InvalidInput("the artifact is empty")
    with path.open("rb") as file:
        if is_pickle(file) or head.startswith(_ZLIB):
            raise UnsafeModel(f"this is a pickle (joblib writes them too), which could run code; {_ARRAYS_INSTEAD}")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_SNIFFED_BYTES)


def check_model_file(path: Path) -> None:
    """Let a model file pass, or say what is wrong with it and what to upload instead.

    Raises:
        UnsafeModel: Loading it could run code.
        UnsupportedModel: It has a format that this service does not take.
        InvalidInput: It is damaged.
        InputTooLarge: One of its tables exceeds a limit.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_SNIFFED_BYTES)
        file.seek(0)
        if head.startswith(b"PK\x03\x04"):
            check_archive(file, size, instead=INSTEAD)
        elif head[8:9] == b"{":
            check_safetensors(file, size)
        else:
            raise _refusal(head, file)


def _refusal(head: bytes, file: BinaryIO) -> InvalidInput | UnsafeModel | UnsupportedModel:
    """Say what a file is that is neither safetensors nor a zip archive."""
    if not head:
        return InvalidInput(f"the artifact is empty; {INSTEAD}")
    if is_legacy_checkpoint(head):
        return UnsafeModel(
            "this is a checkpoint in PyTorch's old pickle format, which could run code; load it where you trust it and "
            f"{INSTEAD}"
        )
    if is_pickle(file):
        return UnsafeModel(f"this is a pickle (joblib and dill write them too), which could run code; {INSTEAD}")
    if _is_onnx(head):
        return UnsupportedModel('this is an ONNX model: give the manifest {"architecture": {"family": "onnx"}}')
    for magic, name in _OTHER_FORMATS:
        if head.startswith(magic):
            return UnsupportedModel(f"this is {name}, not a model file that this service takes; {INSTEAD}")
    return UnsupportedModel(f"the file is neither safetensors nor a PyTorch state dict; {INSTEAD}")


def _is_onnx(head: bytes) -> bool:
    """Tell whether this is an ONNX protobuf: field 1 (ir_version, a small varint), then another low field."""
    return len(head) > 2 and head[0] == 0x08 and 0 < head[1] < 0x20 and head[2] in (0x12, 0x1A, 0x22, 0x3A, 0x42)
