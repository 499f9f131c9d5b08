"""Tokens as properties: whatever the gateway takes, the runner takes too, and completing says nothing new."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobs.schemas import ModelInput, Tokens
from jobs.tokens import completed, faults

VOCABULARY, LENGTH = 6, 4


@st.composite
def texts(draw: st.DrawFn) -> tuple[Tokens, ModelInput]:
    """Tokens that may fit the model or not."""
    padding = draw(st.none() | st.integers(0, VOCABULARY - 1))
    ids = draw(st.lists(st.integers(0, VOCABULARY), min_size=1, max_size=LENGTH + 1))
    words = draw(st.none() | st.lists(st.none() | st.integers(0, 9), min_size=1, max_size=LENGTH + 1))
    names = draw(st.none() | st.just([f"w{id}" for id in range(VOCABULARY)]))
    described = {"vocabulary": VOCABULARY, "mask_id": 1, "padding_id": padding, "names": names}
    return Tokens.model_validate({"ids": ids, "words": words}), ModelInput.model_validate(
        {"kind": "tokens", "shape": [LENGTH], **described}
    )


@given(texts())
def test_completed_tokens_have_no_fault_and_are_complete(drawn: tuple[Tokens, ModelInput]) -> None:
    tokens, input = drawn
    if list(faults(tokens, input)):
        return

    whole = completed(tokens, input)

    assert list(faults(whole, input)) == []
    assert completed(whole, input) == whole
    assert whole.ids == tokens.ids
    assert len(whole.texts or ()) == len(whole.words or ()) == len(whole.ids)
    assert any(word is not None for word in whole.words or ())


@given(texts())
def test_what_has_no_fault_can_be_embedded_and_has_a_player(drawn: tuple[Tokens, ModelInput]) -> None:
    """The faults against their definition, one id and word after the other."""
    tokens, input = drawn
    words = tokens.words or tuple(None if id == input.padding_id else 0 for id in tokens.ids)
    fits = (
        max(tokens.ids) < VOCABULARY
        and (len(tokens.ids) == LENGTH or (input.padding_id is not None and len(tokens.ids) < LENGTH))
        and len(words) == len(tokens.ids)
        and all(word is None for id, word in zip(tokens.ids, words, strict=False) if id == input.padding_id)
        and any(word is not None for word in words)
    )

    assert (list(faults(tokens, input)) == []) == fits
