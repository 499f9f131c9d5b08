"""One input as it was sent, in the JSON or as a part of a multipart body → the bytes that a runner reads."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.bodies import parsed
from app.errors import invalid_at
from app.token_inputs import token_bytes
from app.uploads.pictures import check_picture
from jobs.errors import FieldError, InputTooLarge, InvalidInput, RequestError, UnsupportedModel
from jobs.schemas import FeatureColumn, InlineInput, InputKind, Manifest, Tokens
from jobs.settings import Settings

FLOAT32_MAX: Final = 3.4028235e38  # models compute in float32; what exceeds it would arrive as infinity

ROWS_INSTEAD: Final = "rows, which no job explains; ask POST /v1/models/{id}:predict or :explain"

KINDS: Final[tuple[InputKind, ...]] = ("image", "features", "tokens")
_TAKEN: Final[Mapping[InputKind, str]] = {
    "image": "a picture; send image, in base64 or as a multipart part",
    "features": "features; send features, a list of values",
    "tokens": "tokens; send tokens, in the JSON or as a multipart part",
    "row": ROWS_INSTEAD,
}


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One input of a request.

    Attributes:
        pointer: Where it belongs in the JSON, such as `/input`.
        inline: What stands there.
        part: The picture, or the tokens, that came as a part of its own.
        part_kind: Which of the two.
        part_pointer: To that part.
    """

    pointer: str
    inline: InlineInput | None = None
    part: bytes | None = None
    part_kind: InputKind = "image"
    part_pointer: str = "/image"

    @property
    def given(self) -> tuple[InputKind, str] | None:
        """What kind of input came, and where; None where nothing came."""
        if self.part is not None:
            return self.part_kind, self.part_pointer
        for kind in KINDS:
            if getattr(self.inline, kind, None) is not None:
                return kind, f"{self.pointer}/{kind}"
        return None


def inputs_bytes(sent: Sequence[Sent], manifest: Manifest, settings: Settings) -> list[bytes]:
    """Return the inputs as a runner reads them: a picture's file, features as a JSON list, tokens as a JSON object.

    Raises:
        InputTooLarge: Together they are larger than one input may be.
        RequestError: The model takes no such input; with a JSON pointer.
    """
    found = [_input_bytes(one, manifest, settings) for one in sent]
    size, limit = sum(map(len, found)), settings.max_input_mib << 20
    if len(found) > 1 and size > limit:
        raise invalid_at("/samples", f"expected inputs of at most {limit} bytes together, got {size}", InputTooLarge)
    return found


def _input_bytes(sent: Sent, manifest: Manifest, settings: Settings) -> bytes:
    pointer = _checked_pointer(sent, manifest.input.kind)
    match manifest.input.kind:
        case "image":
            return _picture(sent, pointer, settings)
        case "features":
            return _features(sent, pointer, manifest)
        case "tokens":
            return token_bytes(_tokens(sent, pointer), manifest.input, pointer=pointer)
        case "row":
            raise invalid_at(pointer, f"this model takes {ROWS_INSTEAD}", UnsupportedModel)


def _checked_pointer(sent: Sent, wanted: InputKind) -> str:
    """Return the pointer to the input that was sent, of the kind that the model takes."""
    if sent.inline is not None and sent.part is not None:
        raise invalid_at(sent.pointer, "expected the input once: as a multipart part or in the JSON")
    if sent.given is None:
        raise invalid_at(sent.pointer, f"expected input: this model takes {_TAKEN[wanted]}")
    kind, pointer = sent.given
    if kind != wanted:
        raise invalid_at(pointer, f"this model takes {_TAKEN[wanted]}", InvalidInput)
    return pointer


def _picture(sent: Sent, pointer: str, settings: Settings) -> bytes:
    inline = sent.inline
    data = _decoded(inline.image or "", pointer) if inline is not None else sent.part or b""
    limit = settings.max_input_mib << 20
    if len(data) > limit:
        raise InputTooLarge(f"expected a picture of at most {limit} bytes, got {len(data)}")
    try:
        check_picture(data, max_pixels=settings.max_pixels)
    except RequestError as error:
        raise type(error)(error.detail, errors=[FieldError(pointer=pointer, detail=error.detail)]) from error
    return data


def _tokens(sent: Sent, pointer: str) -> Tokens:
    if sent.inline is not None and sent.inline.tokens is not None:
        return sent.inline.tokens
    return parsed(Tokens, sent.part or b"", at=pointer)


def _decoded(text: str, pointer: str) -> bytes:
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise invalid_at(pointer, f"expected base64: {error}", InvalidInput) from error


def _features(sent: Sent, pointer: str, manifest: Manifest) -> bytes:
    values = sent.inline.features if sent.inline is not None else None
    columns = manifest.features.columns if manifest.features is not None else None
    expected = manifest.input.shape[0] if columns is None else len(columns)
    if values is None or len(values) != expected:
        raise invalid_at(pointer, f"expected {expected} features, got {len(values or ())}", InvalidInput)
    for index, value in enumerate(values):
        fault = _number_fault(value) if columns is None else _raw_fault(value, columns[index])
        if fault is not None:
            raise invalid_at(f"{pointer}/{index}", fault, InvalidInput)
    return json.dumps(values).encode()


def _number_fault(value: float | str | None) -> str | None:
    if isinstance(value, float) and math.isfinite(value) and abs(value) <= FLOAT32_MAX:
        return None
    return f"expected a number that float32 holds, got {'null' if value is None else repr(value)}"


def _raw_fault(value: float | str | None, column: FeatureColumn) -> str | None:
    """Say what is wrong with a raw value of a table's column; None where it is missing or fits."""
    if value is None:
        return None
    if column.categories is None:
        fault = _number_fault(value)
        return None if fault is None else f"column {column.name!r}: {fault}"
    if value in column.categories:
        return None
    known = ", ".join(map(repr, column.categories[:10])) + (", …" if len(column.categories) > 10 else "")
    return f"column {column.name!r}: expected one of {known}, got {value!r}"
