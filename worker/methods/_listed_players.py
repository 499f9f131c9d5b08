"""Players of inputs that are lists: columns of a table and words of a text, one by one or in groups."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch

from jobs.errors import InvalidInput
from worker.methods import _players
from worker.methods._game_params import GameParams
from worker.methods._registry import Subject
from worker.methods._seats import Seats, refused


def columns(subject: Subject, params: GameParams, generator: torch.Generator) -> Seats:
    """Let columns of a table play.

    Raises:
        InvalidParameters: More players than columns, or groups of columns that are not there.
    """
    length = len(subject.input)
    names = subject.names or tuple(f"feature {column + 1}" for column in range(length))
    groups, notes = _grouped(params, length, generator, what="columns", numbers=_column_numbers(params, names))
    labels = _players.groups(groups, length=length)
    titles = tuple(" + ".join(names[column] for column in group) for group in groups)
    return Seats(labels=labels, names=titles, notes=notes)


def _column_numbers(params: GameParams, names: Sequence[str]) -> list[list[int]] | None:
    """Return the groups by number."""
    if params.groups is None:
        return None
    by_name = {name: number for number, name in enumerate(names)}
    named = [member for group in params.groups for member in group if isinstance(member, str)]
    unknown = [name for name in named if name not in by_name]
    if unknown:
        raise refused("groups", f"expected names of columns, such as {names[0]!r}, got {unknown[0]!r}")
    return [[by_name[member] if isinstance(member, str) else member for member in group] for group in params.groups]


def _grouped(
    params: GameParams, length: int, generator: torch.Generator, *, what: str, numbers: list[list[int]] | None
) -> tuple[list[list[int]], tuple[str, ...]]:
    """Return the members of every player among `length` columns or words, and what to note of the others."""
    if numbers is not None:
        rest = length - len({member for group in numbers for member in group})
        return numbers, (f"{rest} {what} play in no group and are always present.",) if rest else ()
    if params.count is None or params.count == length:
        return [[member] for member in range(length)], ()
    if params.count > length:
        raise refused("count", f"expected at most {length} players, one each of the {what}, got {params.count}")
    drawn = torch.randperm(length, generator=generator)[: params.count].sort().values.tolist()
    return [[member] for member in drawn], (
        f"{params.count} of {length} {what} play, drawn by the seed; the others are always present.",
    )


def word_numbers(subject: Subject) -> list[int]:
    """List the numbers of the words."""
    return sorted({word for word in subject.words or () if word is not None})


def words(subject: Subject, params: GameParams, generator: torch.Generator) -> Seats:
    """Let words of a text play, with all of their tokens.

    Raises:
        InvalidInput: The text has none.
        InvalidParameters: More players than words, or groups of words that are not there.
    """
    there = word_numbers(subject)
    if not there:
        raise InvalidInput("expected a text with a word that can play, got only tokens without a word")
    groups, notes = _grouped(params, len(there), generator, what="words", numbers=_word_places(params, there))
    by_word = [[there[place] for place in group] for group in groups]
    owner = {word: player for player, group in enumerate(by_word) for word in group}
    labels = torch.tensor([-1 if word is None else owner.get(word, -1) for word in subject.words or ()])
    titles = tuple(" + ".join(_text(subject, word) for word in group) for group in by_word)
    return Seats(labels=labels, names=titles, notes=notes)


def _word_places(params: GameParams, there: Sequence[int]) -> list[list[int]] | None:
    """Return the groups as places among the words that there are."""
    if params.groups is None:
        return None
    place = {word: at for at, word in enumerate(there)}
    flat = [member for group in params.groups for member in group]
    if any(member not in place for member in flat) or len(set(flat)) < len(flat):
        raise refused("groups", f"expected different numbers of words, from {there[0]} to {there[-1]}, got {flat}")
    return [[place[member] for member in group if isinstance(member, int)] for group in params.groups]


def _text(subject: Subject, word: int) -> str:
    """Return a word's tokens in one, with the mark of word pieces taken off where tokens are neighbours."""
    places = [place for place, other in enumerate(subject.words or ()) if other == word]
    texts = subject.names or tuple(str(int(id)) for id in subject.input)
    text = texts[places[0]]
    for before, place in pairwise(places):
        text += texts[place].removeprefix("##") if place == before + 1 else f" {texts[place]}"
    return text
