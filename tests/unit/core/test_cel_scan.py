"""CEL: what the scan counts in an expression, on which the estimates of its cost rest."""

from dataclasses import replace
from typing import Any

import pytest

from eventsource_operator.core import cel_functions
from eventsource_operator.core.cel_scan import Read, Scan, scan

VARIABLES = frozenset({"type", "object", "oldObject", "changed"})


def _scan(text: str) -> Scan:
    return scan(text, VARIABLES, cel_functions.names())


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("1", {"size": 1}),
        ("[]", {"size": 2, "literal": 1, "made": 1}),
        ("[1, 2, 3]", {"size": 7, "literal": 3, "made": 3}),
        ("[[1, 2], {'a': 3}]", {"size": 13, "literal": 2, "made": 5}),
        ("[1].map(x, x)", {"size": 10, "literal": 2, "made": 1, "macros": 1, "builds": True}),
        ("[1].filter(x, true)", {"size": 10, "literal": 2, "made": 1, "macros": 1, "builds": True}),
        ("[1].all(x, true)", {"size": 10, "literal": 2, "made": 1, "macros": 1}),
        ("[1].all(x, [2].all(y, true))", {"size": 19, "literal": 2, "made": 2, "macros": 2}),
        ("(1 + 1) + 1", {"size": 7, "literal": 1, "sums": 2}),
        (
            "[1 + 1, (1 + 1)].all(x, true)",
            {"size": 18, "literal": 2, "made": 2, "macros": 1, "sums": 2, "joined": 2},
        ),
        (
            "([1] + [2]).all(y, 1 + 1 > y).all(x, true)",
            {"size": 27, "literal": 2, "made": 2, "macros": 1, "sums": 2, "joined": 2},
        ),
        (
            "[1 + 1 + 1 - 1].all(x, true)",
            {"size": 16, "literal": 2, "made": 1, "macros": 1, "sums": 2, "joined": 2},
        ),
        ("[1].map(1, 2)", {"size": 10, "literal": 2, "made": 1, "builds": True}),
        ("[1].all(true)", {"size": 8, "literal": 1, "made": 1}),
    ],
)
def test_what_is_counted(text: str, counts: dict[str, Any]) -> None:
    """What is no macro, for its first argument is no name, binds nothing."""
    assert _scan(text) == replace(Scan(), **counts)


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("object.data['k'].x", [Read("object", ("data", "k", "x"), False, 0)]),
        ("object.data[type]", [Read("object", ("data",), True, 0), Read("type", (), False, 0)]),
        ("changed.all(x, x == type)", [Read("changed", (), False, 0), Read("type", (), False, 1)]),
        (
            "changed.all(x, changed.all(y, x.a == y && x[0] == y))",
            [
                Read("changed", (), False, 0),
                Read("changed", (), False, 1),
                Read("", ("a",), False, 2),
                Read("", (), True, 2),
            ],
        ),
        ("[1].all(type == 'x')", [Read("type", (), False, 0)]),
        ("'a'.replace(type, 'b')", [Read("type", (), False, 0)]),
        ("math.greatest(type, 1)", [Read("type", (), False, 0)]),
    ],
)
def test_what_is_read(text: str, reads: list[Read]) -> None:
    """With the keys, whether an index follows, and in how many macros."""
    found = _scan(text)
    assert found.reads == reads
    assert found.problem is None


@pytest.mark.parametrize(
    ("deepest", "one_more"),
    [
        ("1 + object" + ".a" * 198, ".a"),
        ("object" + ".a" * 199, ".a"),
        ("[object" + ".a" * 198 + ", object" + ".a" * 198, ".a"),
        ("object.a.a.a + object" + ".a" * 198, ".a"),
        ("1" + " + 1" * 199, " + 1"),
        ("type" + " in type" * 199, " in type"),
        ("(" * 24 + "1" + " + 1" * 175, " + 1"),
    ],
)
def test_the_deepest_expressions(deepest: str, one_more: str) -> None:
    assert _scan(deepest).problem is None
    problem = _scan(deepest + one_more).problem
    assert problem is not None
    assert problem.fatal
    assert "deeper than 200 levels" in problem.message


@pytest.mark.parametrize("opener", ["(", "[", "{"])
def test_the_most_brackets(opener: str) -> None:
    assert _scan(opener * 24).problem is None
    problem = _scan(opener * 25).problem
    assert problem is not None
    assert (problem.at, problem.fatal) == (24, True)


@pytest.mark.parametrize(
    "text", ["'a'.size()", "1.size()", "1.5.size()", "{}.size()", "[].size()", "(1).size()"]
)
def test_what_a_member_is_taken_of(text: str) -> None:
    """Whether a literal has such a member is for the library to say."""
    found = _scan(text)
    assert found.problem is None
    assert found.functions == {"size"}
