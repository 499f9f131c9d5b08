"""Check a zip of pictures or an NPZ without unpacking it: how far its members expand, and its arrays' headers."""

from __future__ import annotations

import ast
import math
import re
import zipfile
from collections.abc import Sequence
from typing import BinaryIO, Final

from app.uploads.torch_archives import Capped
from jobs.errors import InputTooLarge, InvalidInput, UnsafeModel

MAX_MEMBERS: Final = 200_000
MAX_RATIO: Final = 1000
"""Deflate reaches 1032; honest arrays of mostly zeros come near it, so whole archives are bounded by bytes as well."""

MAX_EXPANSION: Final = 8
MAX_ARRAY_HEADER: Final = 4096
MAX_ARRAYS: Final = 16

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ARRAY = re.compile(r"[A-Za-z0-9_]{1,64}\.npy")
_NUMBERS = re.compile(r"[<>|=]?[fiub][1248]")
_DAMAGE = (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError)


def check_archive(file: BinaryIO, max_bytes: int) -> None:
    """Check a zip archive: an NPZ where it holds arrays, else pictures.

    Args:
        max_bytes: Of an upload; the members may expand to some times that.

    Raises:
        UnsafeModel: An array holds Python objects, which only a pickle can.
        InputTooLarge: It has too many members, or they expand too far.
        InvalidInput: It is damaged, encrypted, or holds something else.
    """
    try:
        with zipfile.ZipFile(Capped(file)) as archive:
            members = archive.infolist()
            _check_members(members, max_bytes)
            if any(member.filename.endswith(".npy") for member in members):
                _check_arrays(archive, members)
    except _DAMAGE as error:
        raise InvalidInput(f"the file is a damaged zip archive: {str(error)[:200]}") from error


def _check_members(members: Sequence[zipfile.ZipInfo], max_bytes: int) -> None:
    if not 0 < len(members) <= MAX_MEMBERS:
        raise InputTooLarge(f"expected 1 to {MAX_MEMBERS} members in the archive, got {len(members)}")
    expanded = sum(member.file_size for member in members)
    if expanded > MAX_EXPANSION * max_bytes:
        raise InputTooLarge(f"the archive expands to {expanded} bytes; expected at most {MAX_EXPANSION * max_bytes}")
    for member in members:
        name = member.filename[:100]
        if member.flag_bits & 1:
            raise InvalidInput(f"the archive's member {name!r} is encrypted")
        if member.compress_type not in _METHODS:
            raise InvalidInput(f"the archive's member {name!r} is compressed by a method other than deflate")
        if member.file_size > MAX_RATIO * max(member.compress_size, 1):
            raise InputTooLarge(f"the archive's member {name!r} expands more than {MAX_RATIO}-fold")
    if len({member.filename for member in members}) != len(members):
        raise InvalidInput("the archive holds two members of one name")


def _check_arrays(archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_ARRAYS:
        raise InputTooLarge(f"expected at most {MAX_ARRAYS} arrays in the NPZ, got {len(members)}")
    for member in members:
        if _ARRAY.fullmatch(member.filename) is None:
            raise InvalidInput(f"expected only arrays (NAME.npy) in the NPZ, got {member.filename[:100]!r}")
        with archive.open(member) as array:
            _check_array(array.read(MAX_ARRAY_HEADER + 12), member)


def _check_array(head: bytes, member: zipfile.ZipInfo) -> None:
    """Check the header of a .npy file. Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html"""
    name = member.filename
    if not head.startswith(b"\x93NUMPY") or len(head) < 12 or head[6] not in (1, 2, 3):
        raise InvalidInput(f"{name} is no NumPy array")
    wide = 2 if head[6] == 1 else 4
    length = int.from_bytes(head[8 : 8 + wide], "little")
    if length > MAX_ARRAY_HEADER:
        raise InvalidInput(f"the header of {name} has {length} bytes; expected at most {MAX_ARRAY_HEADER}")
    dtype, shape = _description(head[8 + wide : 8 + wide + length], name)
    if "O" in dtype:
        raise UnsafeModel(f"{name} holds Python objects, which are pickled and could run code; save plain numbers")
    if _NUMBERS.fullmatch(dtype) is None:
        raise InvalidInput(f"expected numbers in {name}, got the type {dtype[:60]!r}")
    size = 8 + wide + length + math.prod(shape) * int(dtype[-1])
    if size != member.file_size:
        raise InvalidInput(f"{name} of {dtype} and shape {list(shape)} takes {size} bytes, but has {member.file_size}")


def _description(header: bytes, name: str) -> tuple[str, tuple[int, ...]]:
    try:
        found = ast.literal_eval(header.decode("latin-1").strip())
        dtype, shape = found["descr"], found["shape"]
    except (SyntaxError, ValueError, KeyError, TypeError, MemoryError, RecursionError) as error:
        raise InvalidInput(f"the header of {name} cannot be read") from error
    if not isinstance(shape, tuple) or not all(type(size) is int and 0 <= size < 2**40 for size in shape):
        raise InvalidInput(f"the header of {name} has no valid shape")
    return (dtype if isinstance(dtype, str) else str(dtype)), shape
