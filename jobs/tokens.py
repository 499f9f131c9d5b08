"""Tokens of a text: what a model does not take, and the one form in which gateway and runner exchange the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jobs.errors import FieldError
from jobs.schemas import ModelInput, Tokens


def faults(tokens: Tokens, input: ModelInput) -> Iterator[FieldError]:
    """Yield everything that is wrong with the tokens for a model of this input; pointers are into the tokens."""
    yield from _faulty_ids(tokens.ids, input)
    for name in ("texts", "words"):
        given = getattr(tokens, name)
        if given is not None and len(given) != len(tokens.ids):
            detail = f"expected as many {name} as ids, {len(tokens.ids)}, got {len(given)}"
            yield FieldError(pointer=f"/{name}", detail=detail)
    yield from _faulty_words(tokens, input)


def _faulty_ids(ids: Sequence[int], input: ModelInput) -> Iterator[FieldError]:
    (length,) = input.shape
    if len(ids) > length:
        yield FieldError(pointer="/ids", detail=f"expected at most {length} tokens, got {len(ids)}")
    if len(ids) < length and input.padding_id is None:
        detail = f"expected {length} tokens, as the model has no padding_id, got {len(ids)}"
        yield FieldError(pointer="/ids", detail=detail)
    for index, id in enumerate(ids):
        if id >= (input.vocabulary or 0):
            detail = f"expected an id below the vocabulary of {input.vocabulary}, got {id}"
            yield FieldError(pointer=f"/ids/{index}", detail=detail)


def _faulty_words(tokens: Tokens, input: ModelInput) -> Iterator[FieldError]:
    if all(id == input.padding_id for id in tokens.ids):
        yield FieldError(pointer="/ids", detail="expected one token at least that is not padding")
    elif tokens.words is not None and all(word is None for word in tokens.words):
        yield FieldError(pointer="/words", detail="expected the number of one word at least, got null for every token")
    for index, (id, word) in enumerate(zip(tokens.ids, tokens.words or (), strict=False)):
        if id == input.padding_id and word is not None:
            detail = f"expected null, as padding is never a player, got {word}"
            yield FieldError(pointer=f"/words/{index}", detail=detail)


def completed(tokens: Tokens, input: ModelInput) -> Tokens:
    """Return the tokens with texts and words filled in: every token is a word of its own, but padding is none."""
    texts, words = tokens.texts, tokens.words
    if texts is None:
        texts = tuple(str(id) if input.names is None else input.names[id] for id in tokens.ids)
    if words is None:
        words = tuple(None if id == input.padding_id else index for index, id in enumerate(tokens.ids))
    return Tokens(ids=tokens.ids, texts=texts, words=words)
