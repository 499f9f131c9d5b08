"""Which model files are let in: safetensors, and weights-only state dicts saved by torch."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

from app.uploads.pickles import is_legacy_checkpoint, is_pickle
from app.uploads.safetensors_files import check_safetensors
from app.uploads.torch_archives import check_archive
from jobs.errors import InvalidInput, UnsafeModel, UnsupportedModel

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
        return UnsupportedModel(f"ONNX models are not supported; {INSTEAD}")
    for magic, name in _OTHER_FORMATS:
        if head.startswith(magic):
            return UnsupportedModel(f"this is {name}, not a model file that this service takes; {INSTEAD}")
    return UnsupportedModel(f"the file is neither safetensors nor a PyTorch state dict; {INSTEAD}")


def _is_onnx(head: bytes) -> bool:
    """Tell whether this is an ONNX protobuf: field 1 (ir_version, a small varint), then another low field."""
    return len(head) > 2 and head[0] == 0x08 and 0 < head[1] < 0x20 and head[2] in (0x12, 0x1A, 0x22, 0x3A, 0x42)
