"""Receive `multipart/form-data` part by part: small parts into memory, a file to disk with a running SHA-256.

A client's file names are never read. Bytes beyond a part's cap end the request while it is still arriving.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from jobs.errors import ArtifactsUnavailable, FieldError, InputTooLarge, InvalidParameters

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

WRITE_BYTES: Final = 1 << 20  # written at once by a thread, so that the event loop never waits for the disk


@dataclass(frozen=True)
class Expected:
    """A part that a route takes.

    Attributes:
        spool: Where the part is written as a file; None keeps it in memory.
        least, most: How often it may come.
    """

    max_bytes: int
    spool: Path | None = None
    least: int = 1
    most: int = 1


@dataclass
class Part:
    """A part as it arrives; when it has arrived, `data` holds it, or the file `path`."""

    name: str
    expected: Expected
    path: Path | None = None
    size: int = 0
    data: bytearray = field(default_factory=bytearray)
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    file: BinaryIO | None = None

    @property
    def sha256(self) -> str:
        return self.digest.hexdigest()

    def receive(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self.expected.max_bytes:
            raise InputTooLarge(f"expected a part {self.name!r} of at most {self.expected.max_bytes} bytes, got more")
        self.data += data

    def flush(self) -> None:
        """Hash what came since the last flush, and write it out if this part goes to a file."""
        if self.expected.spool is None:
            self.digest = hashlib.sha256(self.data)
            return
        try:
            if self.file is None or self.path is None:
                self.path = self.expected.spool
                self.file = self.path.open("xb")
            self.digest.update(self.data)
            self.file.write(self.data)
        except OSError as error:
            raise ArtifactsUnavailable(f"the upload cannot be written: {error}") from error
        self.data = bytearray()

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


class Parts:
    """The parts of a body by name, each as often as it came, in the order in which they came."""

    def __init__(self) -> None:
        self._parts: list[Part] = []

    def __getitem__(self, name: str) -> Part:
        """Return the first part of that name."""
        return self.every(name)[0]

    def __iter__(self) -> Iterator[Part]:
        return iter(self._parts)

    def every(self, name: str) -> list[Part]:
        return [part for part in self._parts if part.name == name]

    def add(self, part: Part) -> None:
        self._parts.append(part)


@asynccontextmanager
async def received_parts(request: Request, expected: Mapping[str, Expected]) -> AsyncIterator[Parts]:
    """Receive the parts of a request; spooled files are deleted at the end, unless someone moved them away.

    Raises:
        InvalidParameters: The body is no well-formed multipart, or has parts that are unknown, missing or too many.
        InputTooLarge: A part exceeds its cap.
    """
    receiver = _Receiver(expected)
    try:
        parser = MultipartParser(_boundary(request), receiver.callbacks())
        async for chunk in request.stream():
            _feed(parser, chunk)
            await _write_out(receiver, at_least=WRITE_BYTES)
        await _write_out(receiver, at_least=0)
        yield receiver.finished()
    finally:
        for part in receiver.parts:
            part.close()
            if part.path is not None:
                part.path.unlink(missing_ok=True)


def _feed(parser: MultipartParser, chunk: bytes) -> None:
    try:
        parser.write(chunk)
    except FormParserError as error:
        raise InvalidParameters(f"the multipart body is malformed: {error}") from error


async def _write_out(receiver: _Receiver, *, at_least: int) -> None:
    for part in receiver.parts:
        if part.expected.spool is None and at_least:
            continue
        if len(part.data) >= at_least:
            await run_in_threadpool(part.flush)


def _boundary(request: Request) -> bytes:
    _, options = parse_options_header(request.headers.get("content-type"))
    if not options.get(b"boundary"):
        raise InvalidParameters("the Content-Type multipart/form-data lacks its boundary")
    if len(options[b"boundary"]) > 256:
        raise InvalidParameters("the boundary of the multipart body is longer than 256 characters")
    return options[b"boundary"]


class _Receiver:
    """The parser's callbacks: collects headers, then opens a part, then fills it."""

    def __init__(self, expected: Mapping[str, Expected]) -> None:
        self.parts = Parts()
        self._expected = expected
        self._current: Part | None = None
        self._header, self._value = b"", b""
        self._disposition = b""
        self._ended = False

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._on_begin,
            "on_header_field": self._on_field,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers,
            "on_part_data": self._on_data,
            "on_end": self._on_end,
        }

    def _on_begin(self) -> None:
        self._current, self._disposition = None, b""

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header, self._value = b"", b""

    def _on_headers(self) -> None:
        _, options = parse_options_header(self._disposition.decode("latin-1"))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name not in self._expected:
            raise _refused(name, f"unknown part; expected {' and '.join(self._expected)}")
        expected = self._expected[name]
        if len(self.parts.every(name)) >= expected.most:
            often = "the part came twice" if expected.most == 1 else f"expected at most {expected.most} such parts"
            raise _refused(name, often)
        self._current = Part(name, expected)
        self.parts.add(self._current)

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._current is not None:
            self._current.receive(data[start:end])

    def _on_end(self) -> None:
        self._ended = True

    def finished(self) -> Parts:
        """Return all parts, or say which are missing."""
        if not self._ended:
            raise InvalidParameters("the multipart body ends before its last boundary")
        for name, expected in self._expected.items():
            if len(self.parts.every(name)) < expected.least:
                raise _refused(name, "the part is missing")
        for part in self.parts:
            part.close()
        return self.parts


def _refused(name: str, detail: str) -> InvalidParameters:
    return InvalidParameters(
        f"part {name[:80]!r}: {detail}", errors=[FieldError(pointer=f"/{name[:80]}", detail=detail)]
    )
