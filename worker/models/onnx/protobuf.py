"""The wire format of protocol buffers: numbered fields, read one after the other and never copied.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

Value = int | memoryview
"""A number of a varint field; the bytes of every other one."""

_VARINT = 0
_LONGEST_VARINT = 10
_MOST_FIELDS = 100_000
"""Of one message; what is longer is no network, but work for whoever reads it."""


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield number and value of every field of a message.

    Raises:
        ValueError: The message is cut off or damaged.
    """
    at = count = 0
    while at < len(message):
        count += 1
        if count > _MOST_FIELDS:
            raise ValueError(f"expected at most {_MOST_FIELDS} fields in a message, got more")
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        size, at = _size(message, at, wire)
        if number == 0 or at + size > len(message):
            raise ValueError(f"field {number} ends at byte {at + size} of a message of {len(message)}")
        yield number, message[at : at + size]
        at += size


def text(value: Value) -> str:
    """Return a string field.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, int):
        raise ValueError("expected a text, got a number")
    return bytes(value).decode("utf-8")


def part(value: Value) -> memoryview:
    """Return the bytes of a field that holds a message, or bytes.

    Raises:
        ValueError: It is a number.
    """
    if isinstance(value, int):
        raise ValueError("expected a message, got a number")
    return value


def signed(value: Value) -> int:
    """Return an int64 field.

    Raises:
        ValueError: It is no number.
    """
    if not isinstance(value, int):
        raise ValueError("expected a number, got bytes")
    return value - (1 << 64) if value >> 63 else value


def numbers(value: Value, *, most: int) -> list[int]:
    """Return a repeated int64 field, which comes as one number or packed as several.

    Raises:
        ValueError: It is damaged, or there are more than `most`.
    """
    if isinstance(value, int):
        return [signed(value)]
    found, at = [], 0
    while at < len(value):
        one, at = _varint(value, at)
        found.append(signed(one))
        if len(found) > most:
            raise ValueError(f"expected at most {most} numbers, got more")
    return found


def _size(message: memoryview, at: int, wire: int) -> tuple[int, int]:
    match wire:
        case 2:
            return _varint(message, at)
        case 1:
            return 8, at
        case 5:
            return 4, at
    raise ValueError(f"a field has the wire type {wire}, which there is not any more")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for place in range(_LONGEST_VARINT):
        if at + place >= len(message):
            raise ValueError("it is cut off within a number")
        byte = message[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value & (2**64 - 1), at + place + 1
    raise ValueError(f"a number has more than {_LONGEST_VARINT} bytes")
