"""Rules and the arithmetic behind them: what the gateway can say of parameters without importing a method."""

from __future__ import annotations

import pytest

from jobs.catalog import evaluate
from jobs.quantities import quantities
from jobs.rules import Rule, broken, rules

RULE = Rule(holds="count <= most", expected="no more than there are", fitting="most", got="count", parameter="count")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 < 2", 1),
        ("2 <= 1", 0),
        ("not a", 0),
        ("a == None", 0),
        ("b == None or b + 1", 1),
        ("a and a == 3", 1),
        ("'x' in names", 1),
        ("'x' not in names", 0),
        ("(a == 3) == (b != None)", 0),
        ("len(names) + min(a, 1)", 2),
    ],
)
def test_expressions_compare_and_combine(expression, value):
    assert evaluate(expression, {"a": 3, "b": None, "names": ["x"]}) == value


@pytest.mark.parametrize("expression", ["__import__('os')", "a.b", "[a]", "a if", "-a", "lambda: 1", "a < 1 < 2"])
def test_expressions_hold_nothing_else(expression):
    with pytest.raises((ValueError, SyntaxError)):
        evaluate(expression, {"a": 1})


def test_a_broken_rule_says_what_would_fit_and_what_came():
    (fault,) = broken([RULE], {"count": 5, "most": 4})

    assert fault.pointer == "/params/count"
    assert fault.detail == "expected no more than there are (4), got 5"


def test_a_rule_that_holds_says_nothing():
    assert not list(broken([RULE], {"count": 4, "most": 4}))


def test_a_rule_for_each_entry_of_a_list_names_the_entry():
    rule = Rule(holds="low < high", expected="low below high", got="low", parameter="low", each="ranges")
    ranges = [{"low": 0, "high": most} for most in (1, 0, 2)]

    (fault,) = broken([rule], {"ranges": ranges, "high": 9})

    assert (fault.pointer, fault.detail) == ("/params/ranges/1/low", "expected low below high, got 0")


def test_rules_come_back_out_of_a_schema():
    assert rules({"x-rules": [RULE.model_dump()]}) == [RULE]
    assert rules({}) == []


def test_sizes_of_a_picture_are_named():
    names = quantities({"sets": 3}, kind="image", shape=(3, 4, 5), outputs=7)

    named = ("sets", "kind", "inputs", "channels", "height", "width", "outputs", "words", "given_samples")
    assert [names[name] for name in named] == [3, "image", 60, 3, 4, 5, 7, 0, 1]


@pytest.mark.parametrize(
    ("given", "count"),
    [
        (None, 0),
        ({"boxes": [[0, 0, 1, 1], [1, 1, 2, 2]]}, 2),
        ({"labels": [[0, 0, 7], [-1, -1, 3]]}, 3),
        ("everything", 0),
        ({"labels": [4, [5]]}, 1),
    ],
)
def test_given_regions_are_counted(given, count):
    assert quantities({"regions": given}, kind="image", shape=(3, 4, 5), outputs=7)["given_regions"] == count
