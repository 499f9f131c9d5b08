"""One input as it was sent, in the JSON or as a part of a multipart body → the bytes that a runner reads."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.errors import invalid_at
from app.uploads.pictures import check_picture
from jobs.errors import FieldError, InputTooLarge, InvalidInput, RequestError
from jobs.schemas import InlineInput, Manifest
from jobs.settings import Settings

FLOAT32_MAX: Final = 3.4028235e38  # models compute in float32; what exceeds it would arrive as infinity


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One input of a request.

    Attributes:
        pointer: Where it belongs in the JSON, such as `/input`.
        inline: What stands there.
        part: The picture that came as a part of its own.
        part_pointer: To that part.
    """

    pointer: str
    inline: InlineInput | None = None
    part: bytes | None = None
    part_pointer: str = "/image"


def inputs_bytes(sent: Sequence[Sent], manifest: Manifest, settings: Settings) -> list[bytes]:
    """Return the inputs as a runner reads them: a picture's file, or features as a JSON list.

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
    return _picture(sent, settings) if manifest.input.kind == "image" else _features(sent, manifest)


def _picture(sent: Sent, settings: Settings) -> bytes:
    if sent.inline is not None and sent.part is not None:
        raise invalid_at(sent.pointer, "expected the picture once: as a multipart part or in the JSON")
    if sent.inline is not None and sent.inline.image is None:
        raise invalid_at(f"{sent.pointer}/features", "this model takes a picture; send image", InvalidInput)
    pointer = f"{sent.pointer}/image" if sent.inline is not None else sent.part_pointer
    data = sent.part if sent.inline is None else _decoded(sent.inline.image or "", pointer)
    if data is None:
        raise invalid_at(sent.pointer, "expected a picture: image in base64, or a multipart part")
    limit = settings.max_input_mib << 20
    if len(data) > limit:
        raise InputTooLarge(f"expected a picture of at most {limit} bytes, got {len(data)}")
    try:
        check_picture(data, max_pixels=settings.max_pixels)
    except RequestError as error:
        raise type(error)(error.detail, errors=[FieldError(pointer=pointer, detail=error.detail)]) from error
    return data


def _decoded(text: str, pointer: str) -> bytes:
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise invalid_at(pointer, f"expected base64: {error}", InvalidInput) from error


def _features(sent: Sent, manifest: Manifest) -> bytes:
    pointer = f"{sent.pointer}/features"
    if sent.part is not None or (sent.inline is not None and sent.inline.image is not None):
        raise invalid_at(sent.pointer, "this model takes features, not a picture; send features", InvalidInput)
    if sent.inline is None or sent.inline.features is None:
        raise invalid_at(sent.pointer, "expected features")
    values, expected = sent.inline.features, manifest.input.shape[0]
    if len(values) != expected:
        raise invalid_at(pointer, f"expected {expected} features, got {len(values)}", InvalidInput)
    for index, value in enumerate(values):
        if not (math.isfinite(value) and abs(value) <= FLOAT32_MAX):
            raise invalid_at(f"{pointer}/{index}", f"expected a number that float32 holds, got {value}", InvalidInput)
    return json.dumps(values).encode()
