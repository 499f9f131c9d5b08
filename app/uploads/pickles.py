"""Read the opcodes of a pickle without running them.

A state dict's pickle calls a handful of constructors, each named by a GLOBAL opcode. Names that are computed on the
unpickler's stack (STACK_GLOBAL, protocol 4) are refused whole, because saying what they name takes an unpickler;
torch writes protocol 2, and its own weights-only loader refuses the rest too.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO, Final

from jobs.errors import InvalidInput, UnsafeModel

_STORAGES: Final = (
    "Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool",
)  # fmt: skip

ALLOWED: Final = frozenset(
    {
        "collections OrderedDict",
        "torch Size",
        "torch device",
        "torch._utils _rebuild_parameter",
        "torch._utils _rebuild_tensor_v2",
        "torch.storage UntypedStorage",
        *(f"torch {name}Storage" for name in _STORAGES),
    }
)
"""What the pickle of a state dict may name; the runner's weights-only loader is stricter still about arguments."""

# Every opcode that can import or call by another way than GLOBAL followed by REDUCE.
_REFUSED_OPCODES: Final = frozenset({"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "STACK_GLOBAL"})

_LEGACY_MAGIC: Final = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")
_MIN_OPCODES: Final = 4


def check_state_dict_pickle(data: bytes, *, instead: str) -> None:
    """Check that a pickle names nothing but the parts of a state dict.

    Raises:
        UnsafeModel: It names something else, or uses an opcode that can.
        InvalidInput: It is damaged.
    """
    for opcode, argument in _operations(data):
        if opcode == "GLOBAL" and argument not in ALLOWED:
            raise UnsafeModel(_explained(str(argument), instead))
        if opcode in _REFUSED_OPCODES:
            raise UnsafeModel(
                f"the file's pickle uses {opcode}, which a state dict saved by torch never does; {instead}"
            )


def _operations(data: bytes) -> Iterator[tuple[str, Any]]:
    try:
        for opcode, argument, _ in pickletools.genops(data):
            yield opcode.name, argument
    except (ValueError, IndexError, OverflowError, MemoryError) as error:
        raise InvalidInput(f"the file's pickle is damaged: {error}") from error


def _explained(name: str, instead: str) -> str:
    dotted = name.replace(" ", ".")[:100]
    if dotted.startswith(("torch.nn.", "torchvision.", "__main__.", "timm.")):
        return f"the file holds a whole pickled module ({dotted}), not a state dict; {instead}"
    return f"the file's pickle names {dotted}, which does not belong in a state dict and could run code; {instead}"


def is_legacy_checkpoint(head: bytes) -> bool:
    """Tell whether a file begins as `torch.save(..., _use_new_zipfile_serialization=False)` and old PyTorch wrote."""
    return head[:1] == b"\x80" and _LEGACY_MAGIC in head[:20]


def is_pickle(file: BinaryIO) -> bool:
    """Tell whether a file begins with a few pickle opcodes that make sense together."""
    file.seek(0)
    head = file.read(1)
    if head == b"\x80":
        return True
    file.seek(0)
    try:
        opcodes = [opcode.name for opcode, _, _ in islice(pickletools.genops(file.read(65536)), _MIN_OPCODES)]
    except (ValueError, IndexError, OverflowError):
        return False
    return bool({"GLOBAL", "INST", "MARK", "PUT"} & set(opcodes))
