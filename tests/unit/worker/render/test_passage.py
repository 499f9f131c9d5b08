"""The text on the page: words that play are told from words that do not, and nothing of it is HTML."""

from __future__ import annotations

import re

from jobs.schemas import Passage, Players
from tests.explanations import of_features
from worker import render
from worker.render.report_passage import passage_section

HOSTILE = "<script>alert(1)</script>&\"'"


def text(passage: Passage) -> str:
    found = re.search(r'<p class="passage">(.*?)</p>', passage_section(passage), re.DOTALL)
    assert found is not None
    return found[1]


def test_words_bear_the_number_of_their_player_and_pieces_are_one_word() -> None:
    passage = Passage(texts=("[CLS]", "un", "##help", "##ful", "the", "film"), players=(-1, 1, 1, 1, -1, 0))

    assert text(passage) == "<span>[CLS]</span> <b>unhelpful<sub>1</sub></b> <span>the</span> <b>film<sub>0</sub></b>"


def test_words_that_are_apart_or_of_nobody_stay_apart() -> None:
    passage = Passage(texts=("turn", "it", "off", "a", "b"), players=(0, 1, 0, -1, -1))

    assert text(passage) == (
        "<b>turn<sub>0</sub></b> <b>it<sub>1</sub></b> <b>off<sub>0</sub></b> <span>a</span> <span>b</span>"
    )


def test_hostile_and_empty_words_are_text() -> None:
    passage = Passage(texts=(HOSTILE, "", "##"), players=(0, 1, -1))

    assert text(passage) == (
        "<b>&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;&#x27;<sub>0</sub></b> <b>▯<sub>1</sub></b> <span>##</span>"
    )


def test_of_a_long_text_the_page_shows_the_beginning() -> None:
    passage = Passage(texts=("word",) * 4096, players=(-1,) * 4096)

    assert text(passage).count("word") == 2000
    assert text(passage).endswith("… and 2,096 more tokens")


def test_the_page_of_a_text_shows_it_and_other_pages_do_not() -> None:
    other = of_features([1.0, 2.0], ("not", "good"))
    passage = Passage(texts=("not", "good"), players=(0, 1))
    of_text = other.model_copy(
        update={"players": Players(kind="token", shape=(2,), names=("not", "good"), passage=passage)}
    )

    shown, without = (render.report(one.model_dump(mode="json"), {}).decode() for one in (of_text, other))

    assert "<b>not<sub>0</sub></b> <b>good<sub>1</sub></b>" in shown
    assert '<p class="passage">' not in without
