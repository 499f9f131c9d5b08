"""The explained text in report.html: every word, and which of them could be absent."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from itertools import groupby

from jobs.schemas import Passage

_MOST_TOKENS = 2000
_PIECE = "##"  # how word pieces begin that go on with a word


def passage_section(passage: Passage | None) -> str:
    """The text in a section of its own; the number below a word is that of its player."""
    if passage is None:
        return ""
    words = " ".join(_words(passage))
    more = len(passage.texts) - _MOST_TOKENS
    rest = f" … and {more:,} more tokens" if more > 0 else ""
    return (
        '<section><h2>The text</h2><p class="muted">A framed word, with its number, is a player: it can be absent. '
        f'All others are always present.</p><p class="passage">{words}{rest}</p></section>'
    )


def _words(passage: Passage) -> Iterator[str]:
    tokens = list(zip(passage.texts, passage.players, strict=True))[:_MOST_TOKENS]
    # Tokens of one player that follow each other are one word; those of nobody stand alone.
    for (player, _), group in groupby(enumerate(tokens), key=lambda item: (item[1][1], item[1][1] < 0 and item[0])):
        text = _joined([text for _, (text, _) in group])
        yield f"<b>{text}<sub>{player}</sub></b>" if player >= 0 else f"<span>{text}</span>"


def _joined(texts: list[str]) -> str:
    first, *others = texts
    return escape(first + "".join(text.removeprefix(_PIECE) for text in others)) or "▯"
