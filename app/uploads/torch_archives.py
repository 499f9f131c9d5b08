"""Check a zip archive written by `torch.save`, without torch: its members, their sizes, and the pickle within.

A state dict is `NAME/data.pkl` (a pickle that names a few constructors), `NAME/data/0`, `NAME/data/1`, … (raw numbers)
and some small files. Everything else that comes as a zip, TorchScript and `.pt2` first, can carry code.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from typing import BinaryIO, Final

from app.uploads.pickles import check_state_dict_pickle
from jobs.errors import InputTooLarge, InvalidInput, UnsafeModel, UnsupportedModel

MAX_MEMBERS: Final = 100_000
MAX_PICKLE_BYTES: Final = 16 * 1024 * 1024  # vit_h_14's has about 0.1 MB

MAX_DIRECTORY_BYTES: Final = 16 * 1024 * 1024

_MEMBER = re.compile(
    r"[^/]+/(data\.pkl|data/\d+|version|byteorder|\.format_version|\.storage_alignment|\.data/serialization_id)"
)

_OTHER_ARCHIVES: Final = (
    (re.compile(r"(^|/)(constants\.pkl$|code/)"), "a TorchScript archive, which holds code"),
    (re.compile(r"(^|/)(models/[^/]+\.json$|archive_format$|serialized_exported_program\.json$)"), "a .pt2 archive"),
    (re.compile(r"^MAR-INF/"), "a TorchServe archive (.mar), which holds code"),
    (re.compile(r"\.npy$"), "an archive of NumPy arrays (.npz)"),
    (re.compile(r"^(config\.json|model\.weights\.h5)$"), "a Keras archive"),
)


def check_archive(file: BinaryIO, size: int, *, instead: str) -> None:
    """Check a zip archive of `size` bytes.

    Args:
        instead: The sentence that says what to upload instead.

    Raises:
        UnsafeModel: It is TorchScript, `.pt2` or `.mar`, or its pickle names anything but the parts of a state dict.
        UnsupportedModel: It is another kind of archive.
        InvalidInput: It is damaged.
        InputTooLarge: It has too many members, or they expand beyond the file.
    """
    try:
        with zipfile.ZipFile(Capped(file)) as archive:
            members = archive.infolist()
            _check_names([member.filename for member in members], instead)
            _check_sizes(members, size)
            check_state_dict_pickle(_pickle(archive, members), instead=instead)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise InvalidInput(f"the file is a damaged zip archive: {error}; {instead}") from error


class Capped:
    """A file that refuses large reads: `zipfile` reads an archive's directory at once, before one can count it."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self.seekable, self.close = file.seek, file.tell, file.seekable, file.close
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if size > MAX_DIRECTORY_BYTES:
            raise InputTooLarge(f"expected an archive directory of at most {MAX_DIRECTORY_BYTES} bytes, got {size}")
        return self._file.read(MAX_DIRECTORY_BYTES if size < 0 else size)


def _check_names(names: Sequence[str], instead: str) -> None:
    if len(names) > MAX_MEMBERS:
        raise InputTooLarge(f"expected at most {MAX_MEMBERS} members in the archive, got {len(names)}")
    for pattern, kind in _OTHER_ARCHIVES:
        if any(pattern.search(name) for name in names):
            raise UnsafeModel(f"this is {kind}, and is not accepted; {instead}")
    strange = [name for name in names if _MEMBER.fullmatch(name) is None]
    if strange:
        raise UnsupportedModel(f"the archive is no PyTorch state dict: it holds {strange[0][:100]!r}; {instead}")
    if len({name.partition("/")[0] for name in names}) != 1 or len(set(names)) != len(names):
        raise UnsafeModel(f"expected one folder with distinct members in the archive; {instead}")


def _check_sizes(members: Sequence[zipfile.ZipInfo], size: int) -> None:
    """`torch.save` stores without compression, so an honest archive never expands beyond its own size."""
    expanded = sum(member.file_size for member in members)
    if expanded > size:
        raise InputTooLarge(f"the archive of {size} bytes expands to {expanded}; save it without compression")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise UnsupportedModel("the archive's members are compressed; upload the file as torch.save wrote it")


def _pickle(archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo]) -> bytes:
    found = [member for member in members if member.filename.endswith("/data.pkl")]
    if not found:
        raise UnsupportedModel("the archive is no PyTorch state dict: it has no data.pkl")
    if found[0].file_size > MAX_PICKLE_BYTES:
        raise InputTooLarge(f"expected a data.pkl of at most {MAX_PICKLE_BYTES} bytes, got {found[0].file_size}")
    return archive.read(found[0])
