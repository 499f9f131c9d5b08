"""Tokens as they were sent → the JSON that a runner reads: complete, and the same for requests that say the same."""

from __future__ import annotations

from itertools import islice
from typing import Final

from jobs.errors import FieldError, InvalidInput
from jobs.schemas import ModelInput, Tokens
from jobs.tokens import completed, faults

MAX_FAULTS: Final = 20  # a text of another vocabulary is wrong in every token


def token_bytes(tokens: Tokens, input: ModelInput, *, pointer: str) -> bytes:
    """Return the tokens with texts and words filled in, as JSON.

    Args:
        pointer: To where the tokens stand.

    Raises:
        InvalidInput: The model does not take them; with a pointer to each of the first faults.
    """
    found = [
        FieldError(pointer=f"{pointer}{fault.pointer}", detail=fault.detail)
        for fault in islice(faults(tokens, input), MAX_FAULTS)
    ]
    if found:
        raise InvalidInput(f"{found[0].pointer}: {found[0].detail}", errors=found)
    return completed(tokens, input).model_dump_json().encode()
